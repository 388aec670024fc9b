package apitypes_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

func TestSecondsAreExact(t *testing.T) {
	for d, want := range map[int64]string{
		0: "0", 1: "0.001", 1000: "1", 1500: "1.5", -1: "-0.001", 290 * 365 * 24 * 3600_000: "9145440000", 1<<63 - 1: "9223372036854775.807",
	} {
		got, err := json.Marshal(apitypes.Seconds(d))
		if err != nil || string(got) != want {
			t.Errorf("%d ms: %s, want %s (%v)", d, got, want, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in := apitypes.Seconds(rapid.Int64Range(-(1<<63-1), 1<<63-1).Draw(t, "ms"))
		data, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		var out apitypes.Seconds
		if err := json.Unmarshal(data, &out); err != nil || out != in {
			t.Fatalf("%s: %d, want %d (%v)", data, out, in, err)
		}
	})
	for _, bad := range []string{`"1"`, "1e9", "0.0001", "1.", "9223372036854775808", "null", "9999999999999999999999"} {
		var s apitypes.Seconds
		if err := s.UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s passed as %d", bad, s)
		}
	}
}

func FuzzSeconds(f *testing.F) {
	f.Add([]byte("1.5"))
	f.Add([]byte("-.5"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s, again apitypes.Seconds
		if s.UnmarshalJSON(data) != nil {
			return
		}
		if err := again.UnmarshalJSON([]byte(s.String())); err != nil || again != s {
			t.Fatalf("%q: %d, then %d (%v)", data, s, again, err)
		}
	})
}

func TestBoundsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.SliceOfN(rapid.Int64Range(0, 1<<60), 3, 3).Draw(t, "n")
		in := compute.Bounds{Low: compute.Operations(n[0]), Best: compute.Operations(n[0] + n[1]), High: compute.Operations(n[0] + n[1] + n[2])}
		out, err := apitypes.FromBounds(in).Bounds()
		if err != nil || out != in {
			t.Fatalf("%v, want %v (%v)", out, in, err)
		}
	})
	for _, bad := range []apitypes.Bounds{{Low: "2000000000", Best: "1000000000", High: "3000000000"}, {Low: "x"}, {Low: "0", Best: "1", High: "2"}} {
		if _, err := bad.Bounds(); err == nil {
			t.Errorf("%v passed", bad)
		}
	}
}

func TestEndpoint(t *testing.T) {
	path := filepath.Join(t.TempDir(), apitypes.EndpointFile)
	if _, err := apitypes.ReadEndpoint(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	want := apitypes.Endpoint{URL: "http://127.0.0.1:1", Token: "fwt_x"}
	for range 2 {
		if err := want.Write(path); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := apitypes.ReadEndpoint(path); err != nil || got != want {
		t.Errorf("%+v %v", got, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
	for _, bad := range []string{"", "{}", `{"url":"http://x"}`, "[]"} {
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if e, err := apitypes.ReadEndpoint(path); err == nil {
			t.Errorf("%q passed as %+v", bad, e)
		}
	}
}
