package ledger

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Segments that can no longer grow leave the memory, or a year of jobs would
// stay in it.
func TestClosedSegmentsAreForgotten(t *testing.T) {
	l := New()
	b := &Batch{Host: "h", Devices: []Device{{Device: measure.Device{ID: "GPU-0"}}}}
	for i := range int64(1000) {
		at := (1 + 20*i) * int64(time.Second) // a hole before each
		b.Windows = []measure.Window{{Device: "GPU-0", StartNS: at, EndNS: at + int64(time.Second), Entries: []measure.Entry{{
			State: measure.Attributed, Workload: measure.Workload{ID: fmt.Sprint(i)}, Duration: time.Second,
		}}}}
		if err := l.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.Take().Opened); n != 1999 {
		t.Errorf("%d segments were opened, want 1999", n)
	}
	if n := len(l.hosts["h"].account("GPU-0").open); n != 1 {
		t.Errorf("%d segments are open, want 1", n)
	}
	for _, s := range l.hosts["h"].dirtySegments[:cap(l.hosts["h"].dirtySegments)] {
		if s != nil {
			t.Fatal("a segment that was given out is still held")
		}
	}
}

// What a fleet takes in memory is per device: the ledger holds what devices have in
// common once.
func TestMemoryOfAFleet(t *testing.T) {
	const hosts, devices, most = 2_000, 8, 640 // bytes of a device
	heap := func() int64 {
		runtime.GC()
		runtime.GC() // what the first one found to be finalised
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	l := New()
	const start = int64(1_700_000_000_000_000_000)
	for k := range int64(3) {
		for i := range hosts {
			b := &Batch{Host: HostID(fmt.Sprintf("%026d", i)), PublicKey: make([]byte, 32), Name: fmt.Sprintf("node-%06d", i), OS: "Linux", Kernel: "6.18", AgentVersion: "1.0.0",
				BootID: fmt.Sprintf("00000000-0000-4000-8000-%012d", i), Position: Position{Epoch: 1, Seq: uint64(k + 1)}}
			for d := range devices {
				id := measure.DeviceID(fmt.Sprintf("GPU-00000000-0000-4000-%04d-%012d", d, i))
				b.Devices = append(b.Devices, Device{Device: measure.Device{ID: id, Name: "NVIDIA H100 80GB HBM3", PCIID: "2330", CC: "9.0", SMCount: 132, MaxSMMHz: 1980, MemoryMiB: 81_559},
					SKU: "H100-SXM5-80GB", Grade: "A", Peak: 989_400_000, Ceiling: 1_978_900_000})
				at := start + k*int64(time.Minute)
				b.Windows = append(b.Windows, measure.Window{Device: id, StartNS: at, EndNS: at + int64(time.Minute), Entries: []measure.Entry{{
					State: measure.Attributed, Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: fmt.Sprint("job-", i/8)}, Tenant: measure.TenantID(fmt.Sprint("t", i%100)),
					Method: measure.Method{Name: measure.GPM, Version: 1, Grade: "A"}, Duration: time.Minute, EnergyMJ: 30_000_000}}})
			}
			if err := l.Apply(b); err != nil {
				t.Fatal(err)
			}
		}
		l.Take()
	}
	took := (heap() - before) / (hosts * devices)
	t.Logf("a device takes %d bytes", took)
	if took > most {
		t.Errorf("a device takes %d bytes, want at most %d", took, most)
	}
	runtime.KeepAlive(l)
}
