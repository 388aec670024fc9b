package probe

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// statTail is what follows the command, with start time 998877.
const statTail = " S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 998877 123 456 18446744073709551615\n"

func TestParseStat(t *testing.T) {
	tests := []struct {
		name, data string
		want       Stat
		err        string
	}{
		{"usual", "42 (python)" + statTail, Stat{42, 998877}, ""},
		{"parenthesis in the command", "42 (a) R 1 1)" + statTail, Stat{42, 998877}, ""},
		{"newline in the command", "42 (a\n43 (b) S 1)" + statTail, Stat{42, 998877}, ""},
		{"only parentheses", "42 ())))((" + ")" + statTail, Stat{42, 998877}, ""},
		{"empty command", "42 ()" + statTail, Stat{42, 998877}, ""},
		{"empty", "", Stat{}, "no command"},
		{"no command", "42 python S 1", Stat{}, "no command"},
		{"reversed", "42 )python(" + " S 1", Stat{}, "no command"},
		{"short", "42 (x) S 1 42", Stat{}, "only 3 fields"},
		{"not a number", "x2 (x)" + statTail, Stat{}, "process id"},
		{"negative id", "-2 (x)" + statTail, Stat{}, "process id"},
		{"start too large", "42 (x)" + strings.Replace(statTail, "998877", "99999999999999999999", 1), Stat{}, "start time"},
		{"start negative", "42 (x)" + strings.Replace(statTail, "998877", "-1", 1), Stat{}, "start time"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseStat([]byte(tt.data))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func manyHierarchies() string {
	var b strings.Builder
	for i := range maxLines + 1 {
		b.WriteString(strconv.Itoa(i+1) + ":a:/x\n")
	}
	return b.String()
}

func TestParseCgroup(t *testing.T) {
	tests := []struct {
		name, data string
		want       []string
		err        string
	}{
		{"v2", "0::/a/b\n", []string{"/a/b"}, ""},
		{"hybrid, unified first", "12:devices:/slurm/x\n1:name=systemd:/s\n0::/u\n", []string{"/u", "/slurm/x", "/s"}, ""},
		{"colon in the path", "0::/a:b:c\n", []string{"/a:b:c"}, ""},
		{"deleted", "0::/a/b (deleted)\n", []string{"/a/b"}, ""},
		{"no newline at the end", "0::/a", []string{"/a"}, ""},
		{"empty", "", nil, "empty"},
		{"no path", "0::\n", nil, "line 1"},
		{"relative", "0::../x\n", nil, "line 1"},
		{"no hierarchy", "0::/a\nx::/b\n", nil, "line 2"},
		{"too long", "0::/" + strings.Repeat("x", maxPath) + "\n", nil, "longer"},
		{"a hierarchy twice", "0::/a\n0::/b\n", nil, "line 2: hierarchy 0 for the second time"},
		{"too many", manyHierarchies(), nil, "more than"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseCgroup([]byte(tt.data))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Fatalf("error %v, want %q", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("paths (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a) R 1 1)" + statTail))
	f.Add([]byte("42 (python)" + statTail))
	f.Fuzz(func(t *testing.T, data []byte) {
		stat, err := ParseStat(data)
		if err == nil && stat.PID <= 0 {
			t.Errorf("process id %d", stat.PID)
		}
		if err != nil && stat != (Stat{}) {
			t.Errorf("error with an answer: %+v", stat)
		}
		// Whatever the command holds, the fields after it decide.
		hostile := append(append([]byte("42 ("), data...), ")"+statTail...)
		if got, err := ParseStat(hostile); err != nil || got != (Stat{42, 998877}) {
			t.Errorf("with the command %q: %+v, %v", data, got, err)
		}
	})
}

func FuzzCgroup(f *testing.F) {
	f.Add([]byte("12:devices:/slurm/uid_1/job_2\n0::/user.slice/user-1.slice\n"))
	f.Add([]byte("0::/kubepods/pod" + podUID + "/" + hexID + "\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		paths, err := ParseCgroup(data)
		if err != nil {
			return
		}
		if _, w := Resolve(paths); w.Kind == measure.KindNone || w.ID == "" || len(w.ID) > maxID {
			t.Errorf("%q is %+v", data, w)
		}
	})
}

// fixture is a /proc made of files.
type fixture struct {
	t    *testing.T
	root string
}

func (f fixture) set(pid int, start, cgroup string) {
	f.t.Helper()
	dir := filepath.Join(f.root, strconv.Itoa(pid))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		f.t.Fatal(err)
	}
	stat := strconv.Itoa(pid) + " (trainer)" + strings.Replace(statTail, "998877", start, 1)
	status := "Name:\ttrainer\nUmask:\t0022\nUid:\t1000\t0\t0\t0\nGid:\t100\t100\t100\t100\n"
	for name, content := range map[string]string{"stat": stat, "cgroup": cgroup, "status": status} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			f.t.Fatal(err)
		}
	}
}

func TestLookup(t *testing.T) {
	f := fixture{t, t.TempDir()}
	p := New(f.root)
	f.set(42, "100", "0::/system.slice/slurmstepd.scope/job_1/step_0\n")
	got, err := p.Lookup(42)
	want := Process{
		PID: 42, StartTicks: 100, UID: 1000, Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: "1"},
		Names: Names{Cgroup: "/system.slice/slurmstepd.scope/job_1/step_0", SlurmJob: "1"},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Fatalf("first (-want +got): %v\n%s", err, diff)
	}
	// Slurm moves a process into its step after it started.
	f.set(42, "100", "0::/system.slice/slurmstepd.scope/job_2/step_0\n")
	if got, err := p.Lookup(42); err != nil || got.Workload.ID != "2" {
		t.Errorf("moved: %+v, %v", got, err)
	}
	// The id passed on to another process.
	f.set(42, "200", "0::/system.slice/x.service\n")
	if got, err := p.Lookup(42); err != nil || got.StartTicks != 200 || got.Workload.ID != "x.service" {
		t.Errorf("reused: %+v, %v", got, err)
	}
	if err := os.RemoveAll(filepath.Join(f.root, "42")); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Lookup(42); err != nil || !got.Ended || got.Workload.ID != "x.service" {
		t.Errorf("ended: %+v, %v, want what was known", got, err)
	}
	if _, err := p.Lookup(43); !errors.Is(err, ErrGone) {
		t.Errorf("never seen: %v, want ErrGone", err)
	}
	if _, err := p.Lookup(0); err == nil {
		t.Error("process 0 was found")
	}
	f.set(44, "100", "no cgroup file\n")
	if _, err := p.Lookup(44); err == nil || !strings.Contains(err.Error(), "cgroup of process 44") {
		t.Errorf("damaged: %v", err)
	}
	f.set(45, "100", "0::/"+strings.Repeat("x", readLimit)+"\n")
	if _, err := p.Lookup(45); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("endless: %v", err)
	}
}

func TestLookupSelf(t *testing.T) {
	p := New("/proc")
	if err := p.Check(); err != nil {
		t.Skipf("no /proc here: %v", err)
	}
	got, err := p.Lookup(os.Getpid())
	if err != nil || got.StartTicks == 0 || got.Workload.Kind == measure.KindNone || got.UID != os.Geteuid() {
		t.Errorf("self: %+v, %v", got, err)
	}
	if err := New(t.TempDir()).Check(); err == nil {
		t.Error("an empty folder passed for /proc")
	}
}

func BenchmarkLookup(b *testing.B) {
	p := New("/proc")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Lookup(os.Getpid()); err != nil {
			b.Fatal(err)
		}
	}
}

func TestParseOwner(t *testing.T) {
	tests := []struct {
		name, data string
		want       int
		err        string
	}{
		{"usual", "Name:\tx\nUmask:\t0022\nUid:\t1000\t0\t0\t0\n", 1000, ""},
		{"nobody in a user namespace", "Name:\tx\nUid:\t65534\t65534\t65534\t65534\n", 65534, ""},
		{"command that looks like it", "Name:\tUid:\t0\nUid:\t1000\t1000\t1000\t1000\n", 1000, ""},
		{"command with an escaped newline", `Name:	x\nUid:	0` + "\nUid:\t7\t7\t7\t7\n", 7, ""},
		{"empty", "", 0, "no user id"},
		{"not a number", "Name:\tx\nUid:\tx\n", 0, "user id"},
		{"negative", "Name:\tx\nUid:\t-1\t0\n", 0, "user id"},
		{"too large", "Name:\tx\nUid:\t4294967296\t0\n", 0, "user id"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseOwner([]byte(tt.data))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) || got != tt.want {
				t.Errorf("got %d, %v; want %d, %q", got, err, tt.want, tt.err)
			}
		})
	}
}

func FuzzParseOwner(f *testing.F) {
	f.Add([]byte("Name:\tx\nUid:\t1000\t0\t0\t0\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		user, err := parseOwner(data)
		if err != nil && user != 0 || user < 0 || user > 1<<32-1 {
			t.Errorf("user %d, %v", user, err)
		}
	})
}
