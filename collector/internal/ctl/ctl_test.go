package ctl_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/ctl"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
)

type importer struct{}

func (importer) ImportCustomers(_ context.Context, name, format string, data []byte, _ bool) (httpapi.Diff, error) {
	if bytes.Contains(data, []byte("alien")) {
		return httpapi.Diff{}, errors.Join(fmt.Errorf("%s:2: foreign_status: must be foreign, us or undetermined", name), fmt.Errorf("%s:3: country: must be two letters", name))
	}
	return httpapi.Diff{New: []string{"cus_" + format, "cus_b"}, Unchanged: []string{"cus_c"}}, nil
}

func (importer) ImportAllocations(_ context.Context, name, format string, data []byte, dryRun bool) (apitypes.AllocationDiff, error) {
	if bytes.Contains(data, []byte("alien")) {
		return apitypes.AllocationDiff{}, fmt.Errorf("%s:2: host: is missing", name)
	}
	return apitypes.AllocationDiff{
		New: []string{"all_" + format}, Changed: []string{"all_b"}, Corrections: 3, Corrected: 7_200_000, DryRun: dryRun,
		Conflicts: []apitypes.AllocationConflict{{Allocations: []string{"all_b", "all_c"}, Tenants: []string{"t1", "t2"}, From: time.Unix(1_767_225_600, 0).UTC()}},
	}, nil
}

func (importer) ImportPower(_ context.Context, name, _ string, data []byte, _ bool) (apitypes.PowerDiff, error) {
	if bytes.Contains(data, []byte("alien")) {
		return apitypes.PowerDiff{}, fmt.Errorf("%s:2: host: is missing", name)
	}
	return apitypes.PowerDiff{New: 4, Unchanged: 2}, nil
}

// collector serves the real API behind the real guard and returns a data
// directory that points at it.
func collector(t *testing.T, reader desk.Reader) (data string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	guard, err := access.New(listener.Addr(), access.Options{})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(guard.Wrap(httpapi.New(httpapi.Deps{Reader: reader, Importer: importer{}, Allocator: importer{}, Metering: importer{}, ExportLog: importer{}, NewLink: guard.NewLink, Version: "v0.1.0"})))
	if err := server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	data = t.TempDir()
	if err := (apitypes.Endpoint{URL: guard.URL(), Token: guard.Token()}).Write(filepath.Join(data, apitypes.EndpointFile)); err != nil {
		t.Fatal(err)
	}
	return data
}

func (importer) NoteExport(context.Context, string, string) error { return nil }

func run(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = ctl.Main(args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestGolden(t *testing.T) {
	data := collector(t, desktest.New())
	file := filepath.Join(t.TempDir(), "customers.csv")
	if err := os.WriteFile(file, []byte("customer_id\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"tenants": {"tenants"}, "customers": {"customers"}, "customers-list": {"customers", "list"}, "runs": {"runs"},
		"runs-tenant": {"runs", "--tenant", "ten-7f3a"}, "totals": {"ledger", "totals"}, "check": {"ledger", "check"},
		"coverage": {"coverage"}, "power": {"power"}, "power-host": {"power", "--host", "abcdefghijklmnopqrstuvwxyz", "--limit", "1"}, "power-import": {"power", "import", file}, "power-import-dry": {"power", "import", "--dry-run", file}, "findings": {"findings"}, "hosts": {"hosts"}, "events": {"events"},
		"events-host": {"events", "--host", "bcdefghijklmnopqrstuvwxyz2", "--kind", "driver_changed", "--limit", "1"}, "status": {"status"},
		"cases": {"cases"}, "case": {"cases", "show", "cas_0001"}, "whoami": {"whoami"}, "users": {"users"}, "audit": {"audit"}, "audit-check": {"audit", "check"}, "allocations": {"allocations"}, "corrections": {"allocations", "corrections"}, "allocations-import": {"allocations", "import", file}, "allocations-import-dry": {"allocations", "import", "--dry-run", file},
		"import": {"customers", "import", file}, "import-dry": {"customers", "import", "--dry-run", file},
	} {
		for _, format := range []string{"table", "json", "csv"} {
			t.Run(name+"/"+format, func(t *testing.T) {
				code, out, errs := run(append([]string{"--data", data, "-o", format}, args...)...)
				if code != 0 || errs != "" {
					t.Fatalf("exit %d: %s", code, errs)
				}
				switch format {
				case "json":
					if !json.Valid([]byte(out)) {
						t.Errorf("not JSON: %s", out)
					}
				case "csv":
					if _, err := csv.NewReader(strings.NewReader(out)).ReadAll(); err != nil {
						t.Errorf("not CSV: %v", err)
					}
				}
				golden(t, filepath.Join("testdata", name+"."+format), out)
			})
		}
	}
}

// golden compares with a file; UPDATE=1 writes it anew.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

func TestEmptyCollector(t *testing.T) {
	data := collector(t, desktest.Empty())
	for args, want := range map[string]string{
		"tenants": "No tenants yet", "customers": "No customers yet", "runs": "No runs yet", "findings": "No findings",
		"hosts": "No hosts yet", "coverage": "No coverage yet", "events": "No events", "events --kind xid": "No such events", "status": "not yet", "audit": "No entries", "audit check": "intact: 0 entries", "ledger check": "balanced: 0 devices",
	} {
		code, out, errs := run(append([]string{"--data", data}, strings.Fields(args)...)...)
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("%s: exit %d: %s%s", args, code, out, errs)
		}
	}
	if _, out, _ := run("--data", data, "runs", "-o", "json"); out != "[]\n" {
		t.Errorf("no runs as JSON: %q", out)
	}
}

func TestUnbalancedLedgerFails(t *testing.T) {
	r := desktest.New()
	r.CheckView.Balanced, r.CheckView.Problems = false, []string{"device GPU-1: 3 s too many"}
	data := collector(t, r)
	for _, format := range []string{"table", "json", "csv"} {
		code, out, errs := run("--data", data, "ledger", "check", "-o", format)
		if code != 1 || !strings.Contains(out, "GPU-1") || errs != "" {
			t.Errorf("%s: exit %d: %s%s", format, code, out, errs)
		}
		if format == "table" && strings.Contains(out, "balanced") {
			t.Errorf("a script that looks for the word balanced would be misled: %s", out)
		}
	}
}

func TestHostileTextIsInert(t *testing.T) {
	data := collector(t, desktest.NewHostile())
	for _, args := range []string{"tenants", "customers", "runs", "findings", "hosts", "coverage", "events", "allocations", "allocations corrections", "audit", "audit check", "ledger check"} {
		for _, format := range []string{"table", "json", "csv"} {
			_, out, errs := run(append([]string{"--data", data, "-o", format}, strings.Fields(args)...)...)
			if strings.ContainsAny(out+errs, "\x1b\u202e\r\x00") {
				t.Errorf("%s %s: control or bidi character came through: %q", args, format, out)
			}
			if !strings.Contains(out, "HYPERLINK") {
				t.Errorf("%s %s: the hostile text is not there, so this test shows nothing", args, format)
			}
			if format != "csv" {
				continue
			}
			records, err := csv.NewReader(strings.NewReader(out)).ReadAll()
			if err != nil {
				t.Fatal(err)
			}
			for _, record := range records {
				for _, cell := range record {
					if cell != "" && strings.ContainsAny(cell[:1], "=+-@\t\r") {
						t.Errorf("%s: a spreadsheet would take %q for a formula", args, cell)
					}
				}
			}
		}
	}
	var names []apitypes.Customer
	_, out, _ := run("--data", data, "customers", "-o", "json")
	if err := json.Unmarshal([]byte(out), &names); err != nil || names[0].Name != desktest.Hostile {
		t.Errorf("JSON changed the text: %v %v", names, err)
	}
}

func TestListsAreReadToTheEnd(t *testing.T) {
	data := collector(t, desktest.NewLarge(450))
	for args, want := range map[string]int{"runs": 450, "findings": 450, "tenants": 450, "runs --limit 7": 7, "runs --limit 300": 300, "events": 450, "events --limit 300": 300} {
		_, out, errs := run(append([]string{"--data", data, "-o", "csv"}, strings.Fields(args)...)...)
		if got := strings.Count(out, "\n") - 1; got != want {
			t.Errorf("%s: %d rows, want %d %s", args, got, want, errs)
		}
	}
}

func TestImportFaults(t *testing.T) {
	data := collector(t, desktest.New())
	file := filepath.Join(t.TempDir(), "broken.csv")
	if err := os.WriteFile(file, []byte("alien"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := run("--data", data, "customers", "import", file)
	want := "flopwatchctl: the file has faults; nothing was changed\nbroken.csv:2: foreign_status: must be foreign, us or undetermined\nbroken.csv:3: country: must be two letters\n"
	if code != 1 || out != "" || errs != want {
		t.Errorf("exit %d %q %q", code, out, errs)
	}
	code, out, errs = run("--data", data, "allocations", "import", file)
	if code != 1 || out != "" || errs != "flopwatchctl: the file has faults; nothing was changed\nbroken.csv:2: host: is missing\n" {
		t.Errorf("exit %d %q %q", code, out, errs)
	}
}

func TestLogin(t *testing.T) {
	data := collector(t, desktest.New())
	code, out, errs := run("--data", data, "login")
	link, _, _ := strings.Cut(out, "\n")
	if code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	answer, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != 200 || len(answer.Cookies()) != 1 {
		t.Errorf("the link answers %s", answer.Status)
	}
}

func TestClearErrors(t *testing.T) {
	t.Setenv("FLOPWATCH_TOKEN", "")
	data := collector(t, desktest.New())
	gone := t.TempDir()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + closed.Addr().String()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := (apitypes.Endpoint{URL: url, Token: "fwt_x"}).Write(filepath.Join(gone, apitypes.EndpointFile)); err != nil {
		t.Fatal(err)
	}
	stale := t.TempDir()
	e, err := apitypes.ReadEndpoint(filepath.Join(data, apitypes.EndpointFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := (apitypes.Endpoint{URL: e.URL, Token: "fwt_old"}).Write(filepath.Join(stale, apitypes.EndpointFile)); err != nil {
		t.Fatal(err)
	}
	failing := desktest.New()
	failing.Err = errors.New("disk I/O")
	sick := collector(t, failing)
	for _, c := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no data directory", []string{"--data", "none", "runs"}, 1, "is a collector running on the data directory none?"},
		{"collector gone", []string{"--data", gone, "runs"}, 1, "no collector answers at " + url},
		{"token of an earlier start", []string{"--data", stale, "runs"}, 1, "does not know the token"},
		{"token for another address", []string{"--data", data, "--server", "http://127.0.0.1:9", "runs"}, 1, "set FLOPWATCH_TOKEN"},
		{"collector fails", []string{"--data", sick, "runs"}, 1, "the runs could not be read"},
		{"wrong time", []string{"--data", data, "ledger", "totals", "--from", "yesterday"}, 1, "from: "},
		{"unknown command", []string{"nonsense"}, 2, "nonsense"},
		{"unknown format", []string{"runs", "-o", "xml"}, 2, "xml"},
		{"no file", []string{"--data", data, "customers", "import", "none.csv"}, 2, "none.csv"},
		{"nothing", nil, 2, "expected one of"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := run(c.args...)
			if code != c.code || !strings.Contains(errs, c.want) || out != "" {
				t.Errorf("exit %d, want %d; stdout %q; stderr %q, want %q", code, c.code, out, errs, c.want)
			}
		})
	}
	t.Setenv("FLOPWATCH_TOKEN", "fwt_x")
	for server, want := range map[string]string{"http://192.0.2.1:80": "http without TLS only to this machine", "ftp://127.0.0.1:1": "must be given as", "http://user@127.0.0.1:1": "must be given as"} {
		if code, _, errs := run("--server", server, "runs"); code != 1 || !strings.Contains(errs, want) {
			t.Errorf("%s: exit %d: %s", server, code, errs)
		}
	}
	if code, out, _ := run("version"); code != 0 || out == "" {
		t.Errorf("version: exit %d %q", code, out)
	}
	if code, out, _ := run("--help"); code != 0 || !strings.Contains(out, "ledger check") {
		t.Errorf("--help: exit %d %q", code, out)
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestFullDiskIsNotSuccess(t *testing.T) {
	data := collector(t, desktest.New())
	for _, format := range []string{"table", "json", "csv"} {
		var errs bytes.Buffer
		if code := ctl.Main([]string{"--data", data, "runs", "-o", format}, fullDisk{}, &errs); code != 1 || !strings.Contains(errs.String(), "no space left") {
			t.Errorf("%s: exit %d: %s", format, code, &errs)
		}
	}
}
