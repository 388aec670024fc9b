package tenancy

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

func TestDecode(t *testing.T) {
	text := `{"selector":{"kind":"slurm_job","value":"7"},"tenant":"ten-a","from":"2026-01-01T00:00:00Z","to":"2026-01-02T01:00:00+01:00"}

{"from":"2026-01-01T00:00:00.5Z","to":"","tenant":"ten-b","selector":{"value":"/a b","kind":"cgroup_prefix"}}`
	got, err := Decode("l", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
	want := []Lease{
		{Selector{SlurmJob, "7"}, "ten-a", day, day + 24*3600*1e9, 1},
		{Selector{CgroupPrefix, "/a b"}, "ten-b", day + 5e8, 0, 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("leases (-want +got):\n%s", diff)
	}
}

func TestDecodeFaults(t *testing.T) {
	const good = `{"selector":{"kind":"host","value":"h"},"tenant":"t","from":"2026-01-01T00:00:00Z"}`
	with := func(old, fresh string) string { return strings.Replace(good, old, fresh, 1) }
	tests := []struct{ name, text, want string }{
		{"unknown field", with(`"tenant"`, `"x":"1","tenant"`), `l:1: "x": unknown field`},
		{"wrong case", with(`"tenant"`, `"Tenant"`), `l:1: "Tenant": unknown field`},
		{"unknown field inside", with(`"kind"`, `"kine"`), `l:1: selector."kine": unknown field`},
		{"given twice", with(`"tenant":"t"`, `"tenant":"t","tenant":"u"`), "l:1: tenant: given twice"},
		{"given twice inside", with(`"value":"h"`, `"value":"h","value":"i"`), "l:1: selector.value: given twice"},
		{"unknown kind", with(`"host"`, `"hostess"`), `l:1: selector.kind: "hostess" is not a kind of selector`},
		{"no value", with(`"h"`, `""`), "l:1: selector.value: must have 1 to 4096 bytes"},
		{"missing value", with(`,"value":"h"`, ""), "l:1: selector.value: missing"},
		{"missing tenant", with(`"tenant":"t",`, ""), "l:1: tenant: missing"},
		{"missing selector", `{"tenant":"t","from":"2026-01-01T00:00:00Z"}`, "l:1: selector: missing"},
		{"tenant of another type", with(`"t"`, "7"), "l:1: tenant: not a string"},
		{"tenant null", with(`"t"`, "null"), "l:1: tenant: not a string"},
		{"tenant bidi", with(`"t"`, "\"t\u202e\""), "l:1: tenant: only printable ASCII"},
		{"tenant long", with(`"t"`, `"`+strings.Repeat("t", 129)+`"`), "l:1: tenant: must have 1 to 128"},
		{"bad from", with("2026-01-01T00:00:00Z", "yesterday"), `l:1: from: "yesterday" is not an RFC 3339 time`},
		{"bad to", with(`"from"`, `"to":"2026-01-01","from"`), `l:1: to: "2026-01-01" is not an RFC 3339 time`},
		{"far future", with("2026", "9999"), "l:1: from: 9999-01-01T00:00:00Z is out of range"},
		{"to before from", with(`"from"`, `"to":"2025-01-01T00:00:00Z","from"`), "l:1: to: 2025-01-01T00:00:00Z is not after from"},
		{"relative cgroup", strings.NewReplacer("host", "cgroup_prefix").Replace(good), "l:1: selector.value: a cgroup path starts with /"},
		{"not an object", "[]", "l:1: not a JSON object"},
		{"not JSON", "{", "l:1: not JSON"},
		{"selector is text", with(`{"kind":"host","value":"h"}`, `"host"`), "l:1: selector: not a JSON object"},
		{"two objects", good + good, "l:1: more text after the object"},
		{"not UTF-8", with(`"h"`, "\"\xff\""), "l:1: not valid UTF-8"},
		{"the same twice", good + "\n" + good, "l:2: selector: the same lease as line 1"},
		{"every fault", good + "\n{}\n[]\n", "l:2: selector: missing\nl:3: not a JSON object"},
		{"long line", with(`"h"`, `"`+strings.Repeat("h", maxLine)+`"`), "l:1: longer than"},
	}
	if _, err := Decode("l", []byte(good)); err != nil {
		t.Fatalf("the good line: %v", err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			leases, err := Decode("l", []byte(tt.text))
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) || leases != nil {
				t.Errorf("got %v, error %v; want %q", leases, err, tt.want)
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"selector":{"kind":"host","value":"h"},"tenant":"t","from":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte("{}\n\n[1,2]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		leases, err := Decode("l", data)
		if err != nil && leases != nil {
			t.Fatal("leases with an error")
		}
		for _, l := range leases {
			if specificity[l.Selector.Kind] == 0 || l.Selector.Value == "" || l.Tenant == "" || l.FromNS <= 0 || l.ToNS != 0 && l.ToNS <= l.FromNS {
				t.Fatalf("accepted %+v", l)
			}
		}
	})
}

// What Decode accepts it reads as it was written.
func TestDecodeReadsWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := Lease{
			Selector: Selector{rapid.SampledFrom([]Kind{Host, Device, PodUID, Container, UID, VM}).Draw(t, "kind"), rapid.StringMatching(`[ -~é"\\]{1,40}`).Draw(t, "value")},
			Tenant:   measure.TenantID(rapid.StringMatching(`[!-~]{1,128}`).Draw(t, "tenant")),
			FromNS:   rapid.Int64Range(1e9, 4e18).Draw(t, "from"), Line: 1,
		}
		doc := map[string]any{"selector": map[string]string{"kind": string(l.Selector.Kind), "value": l.Selector.Value}, "tenant": l.Tenant, "from": time.Unix(0, l.FromNS).UTC().Format(time.RFC3339Nano)}
		if rapid.Bool().Draw(t, "ends") {
			l.ToNS = l.FromNS + rapid.Int64Range(1, 1e18).Draw(t, "length")
			doc["to"] = time.Unix(0, l.ToNS).UTC().Format(time.RFC3339Nano)
		}
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Decode("l", text)
		if err != nil || len(got) != 1 || got[0] != l {
			t.Fatalf("%s\nwas read as %+v, %v", text, got, err)
		}
	})
}

func TestWatcher(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases.ndjson")
	now := time.Now().Add(time.Hour) // every file is settled
	write := func(text string, age time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	line := func(tenant string) string {
		return `{"selector":{"kind":"host","value":"h"},"tenant":"` + tenant + `","from":"2026-01-01T00:00:00Z"}` + "\n"
	}
	w := NewWatcher(path)
	expect := func(step string, changed bool, tenant measure.TenantID, fault string) {
		t.Helper()
		if got := w.Poll(now); got != changed {
			t.Errorf("%s: changed %t, want %t", step, got, changed)
		}
		got, _ := w.Table().Tenant(Subject{Host: "h"}, now.UnixNano())
		if got != tenant {
			t.Errorf("%s: tenant %q, want %q", step, got, tenant)
		}
		if err := w.Err(); (err != nil) != (fault != "") || err != nil && !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: error %v, want %q", step, err, fault)
		}
	}
	expect("no file", true, "", "no such file")
	expect("still none", false, "", "no such file")
	write(line("ten-a"), time.Minute)
	expect("first", true, "ten-a", "")
	expect("unchanged", false, "ten-a", "")
	write(line("ten-b"), 30*time.Second)
	expect("newer", true, "ten-b", "")
	write("{}\n", 20*time.Second)
	expect("bad", true, "ten-b", path+":1: selector: missing")
	expect("still bad", false, "ten-b", path+":1: selector: missing")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("removed", true, "ten-b", "no such file")
	write(line("ten-b"), 10*time.Second)
	expect("back", true, "ten-b", "")
	// Two writes of one size within one tick of the clock look alike by time.
	write(line("ten-c"), time.Second)
	expect("recent", true, "ten-c", "")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(line("ten-d")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, info.ModTime()); err != nil {
		t.Fatal(err)
	}
	expect("same time and size", true, "ten-d", "")
	// Replaced by rename, with the time and size of the old one.
	write(line("ten-d"), time.Minute)
	expect("settled", false, "ten-d", "")
	other := path + ".new"
	if err := os.WriteFile(other, []byte(line("ten-e")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chtimes(other, time.Time{}, now.Add(-time.Minute)), os.Rename(other, path)); err != nil {
		t.Fatal(err)
	}
	expect("renamed", true, "ten-e", "")
	if err := os.Chmod(path, 0o622); err != nil {
		t.Fatal(err)
	}
	expect("anyone may write", true, "ten-e", "must be a file that not everybody may write")
	if err := os.Chmod(path, 0o620); err != nil {
		t.Fatal(err)
	}
	expect("its group may write", true, "ten-e", "")
	if NewWatcher("").Poll(now) {
		t.Error("a watcher without a file changed")
	}
}
