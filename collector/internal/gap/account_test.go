package gap_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/gap"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

func TestFiguresThatCannotBe(t *testing.T) {
	idle := func(d time.Duration, watts, limit int64) gap.Idle {
		return gap.Idle{Device: "gpu0", StartNS: start, Duration: d, EnergyMJ: watts * d.Milliseconds(), LimitW: limit}
	}
	for name, c := range map[string]struct {
		idle   []gap.Idle
		events []measure.Event
		want   []string
	}{
		"idle and cool":        {idle: []gap.Idle{idle(time.Hour, 90, 700)}},
		"idle and hot":         {idle: []gap.Idle{idle(2*time.Minute, 600, 700)}, want: []string{"G5 no use with power finding unknown a gpu0"}},
		"too short":            {idle: []gap.Idle{idle(time.Minute, 600, 700)}},
		"limit not known":      {idle: []gap.Idle{idle(time.Hour, 600, 0)}},
		"energy not known":     {idle: []gap.Idle{{Device: "gpu0", StartNS: start, Duration: time.Hour, EnergyMJ: -1, LimitW: 700}}},
		"counter went back":    {events: []measure.Event{{TimeNS: start, Device: "gpu0", Kind: measure.EventCounters, Detail: "energy fell"}}, want: []string{"G6 counter break finding unknown a gpu0"}},
		"blind":                {events: []measure.Event{{TimeNS: start, Kind: measure.EventCanary, Code: 130}, {TimeNS: start + 1, Kind: measure.EventCanary, Code: 3730}}, want: []string{"G11 canary finding unknown a", "G11 canary finding unknown a"}},
		"something else":       {events: []measure.Event{{TimeNS: start, Device: "gpu0", Kind: measure.EventXid, Code: 79}}},
		"the same told twice":  {events: []measure.Event{{TimeNS: start, Device: "gpu0", Kind: measure.EventCounters}, {TimeNS: start, Device: "gpu0", Kind: measure.EventXid}}, want: []string{"G6 counter break finding unknown a gpu0"}},
		"nothing of the kinds": {},
	} {
		r := report("a", 0)
		r.Idle, r.Events = c.idle, c.events
		if d := cmp.Diff(c.want, told(gap.New(start).Report(r))); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// A device that the operator let go of is missing for a reason, until it is back.
func TestReleasedDeviceIsDeclared(t *testing.T) {
	w := gap.New(start)
	expected := []gap.Expected{{Host: "a", FromNS: start, Devices: []measure.DeviceID{"gpu0", "gpu1"}}}
	w.Report(report("a", 0, "gpu0", "gpu1"))
	r := report("a", 3*time.Minute, "gpu0")
	r.Events = []measure.Event{{TimeNS: start, Device: "gpu1", Kind: measure.EventReleased}}
	w.Report(r)
	want := []string{"G4 missing device finding declared a gpu1"}
	if d := cmp.Diff(want, told(w.Tick(after(3*time.Minute), expected))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	r = report("a", 6*time.Minute, "gpu0")
	r.Events = []measure.Event{{TimeNS: start, Device: "gpu1", Kind: measure.EventResumed}}
	w.Report(r)
	want = []string{"G4 missing device finding unknown a gpu1"}
	if d := cmp.Diff(want, told(w.Tick(after(6*time.Minute), expected))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestCoverage(t *testing.T) {
	for _, c := range []struct {
		expected, observed time.Duration
		found              bool
	}{{100 * time.Hour, 100 * time.Hour, false}, {100 * time.Hour, 99 * time.Hour, false}, {100 * time.Hour, 98 * time.Hour, true}, {0, 0, false}, {time.Hour, 0, true}} {
		f := gap.Coverage("a", start, c.expected, c.observed)
		if (f != nil) != c.found || f != nil && f.Rule != gap.LowCoverage {
			t.Errorf("%s of %s: %+v", c.observed, c.expected, f)
		}
	}
}
