package resolver

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/guest"
	"github.com/flopwatch/flopwatch/agent/internal/kubelet"
	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Without anybody to ask a process stays what its path says.
func TestNobodyToAsk(t *testing.T) {
	for _, p := range []probe.Process{
		{PID: 1, Names: probe.Names{PodUID: "p"}, Workload: measure.Workload{Kind: measure.KindPod, ID: "p"}},
		{PID: 1, Names: probe.Names{SlurmJob: "7"}, Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: "7"}},
		{PID: 1, Names: probe.Names{Machine: "qemu-3-box", VM: "box"}, Workload: measure.Workload{Kind: measure.KindVM, ID: "box"}},
		{PID: 1, Names: probe.Names{Unit: "x.service"}, Workload: measure.Workload{Kind: measure.KindUnit, ID: "x.service"}},
		{},
	} {
		nobody := []*Resolver{New(Config{}), New(Config{Pods: kubelet.New(kubelet.Config{}), Jobs: tenancy.NewJobWatcher(""), Root: t.TempDir()})}
		for i, r := range nobody {
			r.Poll(noon)
			if got := r.Complete(p, noon.UnixNano()); got != p || r.Err() != nil {
				t.Errorf("%d: %+v became %+v, %v", i, p, got, r.Err())
			}
		}
	}
}

func TestMachinesAreReadAnew(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "run/systemd/machines")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	register := func(name, id string) {
		t.Helper()
		text := "NAME=" + name + "\nCLASS=vm\nID=" + strings.Repeat(id, 32) + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := New(Config{Root: root})
	expect := func(step string, at time.Time, name, id string) {
		t.Helper()
		r.Poll(at)
		got := r.Complete(probe.Process{PID: 9, Names: probe.Names{Machine: name, VM: "box"}}, at.UnixNano()).Names.VMUUID
		if want, _ := probe.ParseUUID(strings.Repeat(id, 32)); got != want {
			t.Errorf("%s: %q, want %q", step, got, want)
		}
	}
	register("qemu-1-box", "a")
	expect("first", noon, "qemu-1-box", "a")
	register("qemu-2-box", "b")
	expect("too soon for a new one", noon.Add(machinesAgain-1), "qemu-2-box", "")
	expect("a new one", noon.Add(machinesAgain), "qemu-2-box", "b")
	register("qemu-1-box", "c")
	expect("what is known stays", noon.Add(machinesAfter), "qemu-1-box", "a")
	expect("for a while", noon.Add(machinesAgain+machinesAfter), "qemu-1-box", "c")
	if err := os.MkdirAll(filepath.Join(root, "run/libvirt/qemu/dir.xml"), 0o755); err != nil {
		t.Fatal(err)
	}
	expect("a fault beside", noon.Add(time.Hour), "qemu-1-box", "c")
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "dir.xml is not a file") {
		t.Errorf("error %v", err)
	}
}

func TestJobsAreTold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "jobs.ndjson")
	r := New(Config{Jobs: tenancy.NewJobWatcher(path)})
	if !r.Poll(noon) || r.Err() == nil {
		t.Error("a missing table is not told")
	}
	if err := os.WriteFile(path, []byte(`{"job":"7","account":"physics","start":"2026-03-01T12:00:00Z"}`+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !r.Poll(noon) || r.Err() != nil {
		t.Errorf("a good table: %v", r.Err())
	}
	job := probe.Process{PID: 1, Names: probe.Names{SlurmJob: "7", User: "1001"}}
	if got := r.Complete(job, noon.UnixNano()).Names; got.SlurmAccount != "physics" || got.User != "1001" {
		t.Errorf("%+v", got)
	}
	if got := r.Complete(job, noon.UnixNano()-1).Names; got.SlurmAccount != "" {
		t.Errorf("before the job: %+v", got)
	}
}

func TestGuestThatCannotBeSeen(t *testing.T) {
	table := tenancy.NewTable([]tenancy.Lease{{Selector: tenancy.Selector{Kind: tenancy.Host, Value: "h"}, Tenant: "t"}})
	shares := New(Config{}).GuestShares(tenancy.Subject{Host: "h"}, guest.Guest{State: guest.Unseen}, table, 5)
	if len(shares) != 1 || shares[0].Tenant != "t" || shares[0].Workload.Kind != measure.KindHost {
		t.Errorf("%+v", shares)
	}
}

func TestUnknownHoldersWithoutAKubelet(t *testing.T) {
	table := tenancy.NewTable([]tenancy.Lease{{Selector: tenancy.Selector{Kind: tenancy.Host, Value: "h"}, Tenant: "t"}})
	shares := New(Config{}).UnknownShares(tenancy.Subject{Host: "h", Device: "GPU-1"}, table, 5)
	if len(shares) != 1 || shares[0].Tenant != "t" || shares[0].Workload.Kind != measure.KindHost {
		t.Errorf("%+v", shares)
	}
}

func TestCompleteDoesNotAllocate(t *testing.T) {
	r := New(Config{Pods: kubelet.New(kubelet.Config{}), Jobs: tenancy.NewJobWatcher("")})
	for _, p := range []probe.Process{{Names: probe.Names{PodUID: "p", Container: "c"}}, {Names: probe.Names{SlurmJob: "7"}}, {Names: probe.Names{Unit: "u"}}} {
		if n := testing.AllocsPerRun(100, func() { r.Complete(p, 5) }); n > 0 {
			t.Errorf("%v allocations for %+v", n, p)
		}
	}
}
