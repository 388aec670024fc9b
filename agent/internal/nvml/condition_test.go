package nvml

import (
	"math"
	"testing"
	"time"

	nv "github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/google/go-cmp/cmp"
)

func TestCondition(t *testing.T) {
	p := play(t, scene{
		script: h100 + "reasons=68\necc=3\nmps=2\naccounting=1\nclique=7\ncc=1\n@2 xid=79\n",
		ticks:  3, period: 300 * time.Millisecond,
	})
	want := Condition{Reasons: 68, ReasonsKnown: true, ECC: 3, ECCKnown: true, MPSProcesses: 2}
	if diff := cmp.Diff(want, p.Ticks[2][0].Condition); diff != "" {
		t.Errorf("condition (-want +got):\n%s", diff)
	}
	d := p.Devices[0]
	if d.Accounting != Yes || p.Secret != Yes || d.Fabric != "abababab-abab-abab-abab-abababababab/7" {
		t.Errorf("device %+v, confidential %s", d, p.Secret)
	}
	if diff := cmp.Diff([]Xid{{Device: d.ID, Code: 79}}, p.Xids); diff != "" {
		t.Errorf("Xids (-want +got):\n%s", diff)
	}
	plain := play(t, scene{script: h100, ticks: 1})
	if d := plain.Devices[0]; d.Accounting != No || plain.Secret != No || d.Fabric != "" {
		t.Errorf("a plain device %+v, confidential %s", d, plain.Secret)
	}
}

// The mean of a clock that falls from 1980 to 1530 MHz each second is 1755; point
// readings would have said anything between.
func TestClockIsIntegrated(t *testing.T) {
	p := play(t, scene{script: h100 + "history=20\n", ticks: 3})
	for i, tick := range p.Ticks[1:] {
		if mhz := tick[0].Values["sm_clock_mean_mhz"]; math.Abs(mhz-1755) > 1 {
			t.Errorf("tick %d: mean %v MHz, want 1755", i+2, mhz)
		}
	}
	if _, has := play(t, scene{script: h100, ticks: 2}).Ticks[1][0].Values["sm_clock_mean_mhz"]; has {
		t.Error("a driver without history has a mean clock")
	}
}

func TestClockHistory(t *testing.T) {
	row := func(us uint64, mhz byte) nv.Sample {
		return nv.Sample{TimeStamp: us, SampleValue: [8]byte{mhz}}
	}
	c := clockHistory{seenUS: 100}
	// 100 µs at 10, 300 µs at 50; the repeated row is old.
	if mhz, ok := c.mean(nv.VALUE_TYPE_UNSIGNED_INT, []nv.Sample{row(100, 200), row(200, 10), row(500, 50)}); !ok || mhz != 40 {
		t.Errorf("mean %v %t, want 40", mhz, ok)
	}
	if c.newUS != 500 || c.seenUS != 100 {
		t.Errorf("history %+v: a row is taken only once the reading is", c)
	}
	if _, ok := c.mean(nv.VALUE_TYPE_UNSIGNED_INT, []nv.Sample{row(50, 9)}); ok {
		t.Error("an old row has a mean")
	}
	if _, ok := (&clockHistory{}).mean(nv.VALUE_TYPE_UNSIGNED_INT, []nv.Sample{row(50, 9)}); ok {
		t.Error("a first row, which has no beginning, has a mean")
	}
}

// Byte counters become rates only where the metrics have none of their own.
func TestLinkRates(t *testing.T) {
	p := play(t, scene{script: h100 + "count_kib=1\n", ticks: 3, period: 100 * time.Millisecond})
	values := p.Ticks[2][0].Values
	if got := values["pcie_tx_bytes_s"]; got != 100<<20 {
		t.Errorf("pcie_tx_bytes_s = %v, want the metric's", got)
	}
	// 1 KiB in somewhat more than 100 ms, counted in KiB there and in bytes here.
	for _, name := range []string{"nvlink_rx_bytes_s", "pcie_rx_bytes_s"} {
		if got := values[name]; got < 5000 || got > 10300 {
			t.Errorf("%s = %v", name, got)
		}
	}
}

func TestPartitionedAnew(t *testing.T) {
	p := play(t, scene{script: h100 + "@4 mig=2\n", ticks: 13})
	changed := 0
	for _, tick := range p.Ticks {
		if tick[0].Changed {
			changed++
		}
	}
	if changed != 1 || !p.Ticks[10][0].Changed {
		t.Errorf("%d readings say that the device was partitioned anew, want the 11th", changed)
	}
}

func TestDriverUnloaded(t *testing.T) {
	p := play(t, scene{script: "devices=2\n" + h100 + "@3 unloaded=1\n", ticks: 4})
	for i, want := range []bool{false, false, true, true} {
		if r := p.Ticks[i][0]; r.NoDriver != want {
			t.Errorf("tick %d: %q, want no driver %t", i+1, r.Error, want)
		}
	}
}
