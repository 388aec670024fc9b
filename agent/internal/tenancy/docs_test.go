package tenancy

import (
	"errors"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// blocks returns the examples of a language in docs/tenancy.md.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/tenancy.md")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, m := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("docs/tenancy.md has no example in %s", language)
	}
	return found
}

func TestLeasesInTheDocs(t *testing.T) {
	for _, text := range blocks(t, "json") {
		if _, err := Decode("docs/tenancy.md", []byte(text)); err != nil {
			t.Error(err)
		}
	}
}

// The specificities that are written down are those in force.
func TestKindsInTheDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/tenancy.md")
	if err != nil {
		t.Fatal(err)
	}
	for kind, rank := range specificity {
		row := regexp.MustCompile("(?m)^\\| `" + string(kind) + "` \\|.*\\| " + decimal(rank) + " \\|$")
		if !row.Match(text) {
			t.Errorf("docs/tenancy.md has no row of %s with specificity %d", kind, rank)
		}
	}
}

// The prolog of docs/tenancy.md and the one in deploy/ write down whose job it is, in a
// form that the agent reads, and nothing of a job whose names are not plain.
func TestPrologs(t *testing.T) {
	deployed, err := os.ReadFile("../../../deploy/slurm/prolog")
	if err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{"docs/tenancy.md": blocks(t, "sh")[0], "deploy/slurm/prolog": string(deployed)} {
		t.Run(name, func(t *testing.T) { testProlog(t, script) })
	}
}

func testProlog(t *testing.T, script string) {
	path := filepath.Join(t.TempDir(), "made", "jobs.ndjson")
	prolog := func(job, account string) {
		t.Helper()
		cmd := exec.Command("sh", "-c", script)
		cmd.Env = []string{"FLOPWATCH_JOBS=" + path, "SLURM_JOB_ID=" + job, "SLURM_JOB_ACCOUNT=" + account, "SLURM_JOB_UID=1001"}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	prolog("7", "physics")
	prolog("8", `x","tenant":"y`)
	prolog("9", "")
	prolog("10", "b-1@x.y")
	w := NewJobWatcher(path)
	w.Poll(time.Now())
	if w.Err() != nil || w.Jobs().Len() != 2 {
		t.Fatalf("%d jobs, %v", w.Jobs().Len(), w.Err())
	}
	for id, account := range map[string]string{"7": "physics", "10": "b-1@x.y"} {
		if j, ok := w.Jobs().Of(id, time.Now().UnixNano()); !ok || j.Account != account || j.User != "1001" {
			t.Errorf("job %s: %+v, %t", id, j, ok)
		}
	}
}

// libvirt's hook gives each VM that names its tenant a lease from its start to its end.
// A VM without a tenant, one whose tenant is no plain id and other hooks change nothing,
// and a VM that starts again after its host crashed has one open lease.
func TestHookOfVMs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases.ndjson")
	const uuid, other = "78177d07-ac0e-4057-b1de-9ccd66cbc3d7", "00000000-ac0e-4057-b1de-9ccd66cbc3d7"
	hook := func(event, uuid, metadata string) {
		t.Helper()
		cmd := exec.Command("sh", "../../../deploy/libvirt/qemu", "box", event, "begin", "-")
		cmd.Env = []string{"FLOPWATCH_LEASES=" + path}
		cmd.Stdin = strings.NewReader("<domain type='kvm' id='1'>\n  <name>box</name>\n  <uuid>" + uuid + "</uuid>\n  <metadata>\n" + metadata + "\n  </metadata>\n</domain>\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	leases := func() (open, ended []Lease) {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all, err := Decode(path, data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		for _, l := range all {
			if l.Selector.Kind != VM || l.Tenant != "ten-7f3a" {
				t.Errorf("lease %+v", l)
			}
			if l.ToNS == 0 || l.ToNS == math.MaxInt64 {
				open = append(open, l)
			} else {
				ended = append(ended, l)
			}
		}
		return open, ended
	}
	expect := func(what string, open, ended int) {
		t.Helper()
		o, e := leases()
		if len(o) != open || len(e) != ended {
			t.Errorf("%s: %d open and %d ended leases: %+v %+v", what, len(o), len(e), o, e)
		}
	}
	const tenant = `<flopwatch:tenant xmlns:flopwatch="https://flopwatch.dev/tenant" id="ten-7f3a"/>`
	hook("prepare", uuid, tenant)
	hook("started", uuid, "")
	hook("started", uuid, `<tenant id="ten 7&quot;"/>`)
	expect("nothing is told", 0, 0)
	hook("started", uuid, tenant)
	expect("it runs", 1, 0)
	time.Sleep(1100 * time.Millisecond) // a lease must not end in the second in which it began
	hook("started", other, tenant)
	hook("started", uuid, tenant)
	expect("it starts again without having ended", 2, 1)
	time.Sleep(1100 * time.Millisecond)
	hook("release", uuid, tenant)
	expect("it ended", 1, 2)
	// A VM that lives for less than a second leaves a file that can be read.
	for range 5 {
		hook("started", uuid, tenant)
		hook("release", uuid, tenant)
		if open, _ := leases(); len(open) != 1 {
			t.Errorf("a short life leaves %+v", open)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v", info, err)
	}
}
