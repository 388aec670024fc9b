package ctl_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
)

func TestExportIsSavedWhole(t *testing.T) {
	data := collector(t, desktest.New())
	for format, last := range map[string]string{"csv": "#end,3,runs,", "ndjson": `{"end":{"kind":"runs","rows":3}}`} {
		to := filepath.Join(t.TempDir(), "runs")
		code, out, errs := run("--data", data, "export", "runs", "-o", format, "--to", to)
		text, err := os.ReadFile(to)
		if code != 0 || out != "" || errs != "runs: 3 rows, whole\n" || err != nil || !strings.Contains(string(text), "\n"+last) {
			t.Errorf("%s: exit %d, %q, %q, %v: %s", format, code, out, errs, err, text)
		}
		if code, printed, _ := run("--data", data, "export", "runs", "-o", format); code != 0 || printed != string(text) {
			t.Errorf("%s printed: exit %d: %s", format, code, printed)
		}
	}
	if code, out, _ := run("--data", data, "export", "runs", "--tenant", "ten-7f3a"); code != 0 || strings.Count(out, "\n") != 2 {
		t.Errorf("of one tenant: exit %d: %s", code, out)
	}
	if code, _, errs := run("--data", data, "runs", "-o", "ndjson"); code != 2 || !strings.Contains(errs, "exports alone") {
		t.Errorf("a list as ndjson: exit %d: %s", code, errs)
	}
}

// What has no last line, or one of another export, is not kept.
func TestACutExportIsRefused(t *testing.T) {
	whole := map[string]string{
		"csv":    "run,label,tenant\nrun_1,a,b\nrun_2,c,d\n#end,2,runs\n",
		"ndjson": "{\"id\":\"run_1\"}\n{\"id\":\"run_2\"}\n{\"end\":{\"kind\":\"runs\",\"rows\":2}}\n",
	}
	var send string
	abort := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, send) // the client reads all of it
		if abort {
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	t.Cleanup(server.Close)
	data := t.TempDir()
	if err := (apitypes.Endpoint{URL: server.URL, Token: "x"}).Write(filepath.Join(data, apitypes.EndpointFile)); err != nil {
		t.Fatal(err)
	}
	for format, text := range whole {
		var cuts []string
		for n := range text {
			cuts = append(cuts, text[:n])
		}
		cuts = append(cuts, strings.Replace(text, "2", "3", 99), strings.ReplaceAll(text, "runs", "tenants"), text+text, text+"x", text+"x\n")
		try := func(text string) (code int, errs string, kept bool) {
			send = text
			to := filepath.Join(t.TempDir(), "runs")
			code, _, errs = run("--data", data, "export", "runs", "-o", format, "--to", to)
			_, err := os.Stat(to)
			if _, part := os.Stat(to + ".part"); !errors.Is(part, fs.ErrNotExist) {
				t.Errorf("a part is left: %v", part)
			}
			return code, errs, err == nil
		}
		if code, errs, kept := try(text); code != 0 || !kept {
			t.Fatalf("%s: the whole one: exit %d: %s", format, code, errs)
		}
		for _, cut := range cuts {
			if code, errs, kept := try(cut); code != 1 || kept || !strings.Contains(errs, "was cut") {
				t.Errorf("%s %q: exit %d, kept %t: %s", format, cut, code, kept, errs)
			}
		}
		abort = true
		if code, errs, kept := try(text[:len(text)/2]); code != 1 || kept || !strings.Contains(errs, "was cut") {
			t.Errorf("%s cut on the wire: exit %d, kept %t: %s", format, code, kept, errs)
		}
		abort = false
	}
}
