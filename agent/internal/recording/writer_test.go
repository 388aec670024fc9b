package recording_test

import (
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/recording"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

func TestWhatIsWrittenIsRead(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "rec")
	want := recording.Recording{
		Host: "host", BootID: "b", Source: "recorded", Driver: "590.10",
		Devices: []measure.Device{
			{ID: "GPU-0", Name: "NVIDIA H100 80GB HBM3", PCIID: "2330", CC: "9.0", SMCount: 132, MaxSMMHz: 1980, MemoryMiB: 81559},
			{ID: "MIG-1", Name: "NVIDIA H100 80GB HBM3", SMCount: 16, Parent: "GPU-0"},
		},
	}
	w, err := recording.Create(folder, want)
	if err != nil {
		t.Fatal(err)
	}
	full, empty := measure.NewSample("GPU-0", 5), measure.NewSample("MIG-1", 6)
	for _, c := range measure.Columns {
		if c.IsCounter {
			full.SetCounter(c.Counter, 1<<63+5)
		} else {
			full.SetGauge(c.Gauge, c.Max/4)
		}
	}
	want.Samples = []measure.Sample{full, empty}
	want.Processes = []recording.Process{
		{TimeNS: 5, Device: "GPU-0", PID: 1000, StartNS: 3, SMUtil: 12.5, MemoryBytes: 4096, Cgroup: "/a,\"b\"\nc"},
		{TimeNS: 6, Device: "MIG-1", PID: 1001, SMUtil: -1, MemoryBytes: -1},
	}
	want.Events = []measure.Event{{TimeNS: 5, Device: "GPU-0", Kind: measure.EventXid, Code: 79}, {TimeNS: 7, Kind: measure.EventDriver, Detail: "590 after 580"}}
	want.Network = []recording.Flow{{TimeNS: 5, Cgroup: "/a", Direction: recording.Sent, Bytes: 7, Peer: netip.MustParseAddr("fd00::1")}, {TimeNS: 6, Direction: recording.Received}}
	for _, f := range want.Network {
		if err := w.Flow(f); err != nil {
			t.Fatal(err)
		}
	}
	for i := range want.Samples {
		if err := w.Sample(&want.Samples[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range want.Processes {
		if err := w.Process(p); err != nil {
			t.Fatal(err)
		}
	}
	for _, e := range want.Events {
		if err := w.Event(e); err != nil {
			t.Fatal(err)
		}
	}
	stranger := measure.NewSample("GPU-9", 5)
	if err := w.Sample(&stranger); err == nil {
		t.Error("a sample of a device that is not in the recording is written")
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := recording.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	same := cmp.Comparer(func(a, b measure.Sample) bool {
		for _, c := range measure.Columns {
			if c.IsCounter {
				x, okX := a.Counter(c.Counter)
				y, okY := b.Counter(c.Counter)
				if okX != okY || x != y {
					return false
				}
				continue
			}
			x, okX := a.Gauge(c.Gauge)
			y, okY := b.Gauge(c.Gauge)
			if okX != okY || okX && (x-y > 1e-5*y || y-x > 1e-5*y) {
				return false
			}
		}
		return a.Device == b.Device && a.TimeNS == b.TimeNS
	})
	if diff := cmp.Diff(&want, got, same, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
	if _, err := recording.Create(folder, want); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a recording is written over another: %v", err)
	}
}

// A pseudonym is resolved to a workload of the same kind, tells workloads apart,
// and holds nothing of the name that it stands for.
func TestPseudonyms(t *testing.T) {
	p := recording.NewPseudonyms()
	kinds := []measure.WorkloadKind{
		measure.KindPod, measure.KindSlurmJob, measure.KindContainer, measure.KindUnit, measure.KindVM, measure.KindSession, measure.KindCgroup,
	}
	seen := map[measure.Workload]bool{}
	for _, kind := range kinds {
		for _, id := range []string{"secret-a", "secret-b"} {
			path := p.Cgroup(measure.Workload{Kind: kind, ID: id, Hint: "secret"})
			if path != p.Cgroup(measure.Workload{Kind: kind, ID: id}) || strings.Contains(path, "secret") {
				t.Errorf("%s %s becomes %s", kind, id, path)
			}
			_, w := probe.Resolve([]string{path})
			if w.Kind != kind || seen[w] {
				t.Errorf("%s %s becomes %s, which is %+v", kind, id, path, w)
			}
			seen[w] = true
		}
	}
	if a, b := p.Process(7, 1), p.Process(7, 2); a == b || a != p.Process(7, 1) {
		t.Errorf("a process id that was used again becomes %d and %d", a, b)
	}
	if d := p.Device("MIG-abc"); !strings.HasPrefix(string(d), "MIG-") || strings.Contains(string(d), "abc") || d != p.Device("MIG-abc") || d == p.Device("GPU-x") || p.Device("") != "" {
		t.Errorf("device becomes %s", d)
	}
}
