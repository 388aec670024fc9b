package gap_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/gap"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const start = int64(1_800_000_000) * int64(time.Second)

func after(d time.Duration) int64 { return start + int64(d) }

func told(found []gap.Finding) []string {
	var out []string
	for _, f := range found {
		out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %s %s %s", f.Rule, f.Level, f.Cause, f.Host, f.Device)))
	}
	slices.Sort(out)
	return out
}

func report(id string, at time.Duration, devices ...measure.DeviceID) gap.Report {
	r := gap.Report{Host: ledger.HostID(id), ReceivedNS: after(at), LastNS: after(at), BootID: "b", Epoch: 1}
	for _, d := range devices {
		r.Devices = append(r.Devices, gap.Seen{Device: d, LastNS: after(at)})
	}
	return r
}

func TestSilence(t *testing.T) {
	expected := []gap.Expected{{Host: "a", Site: "x", FromNS: start}}
	for at, want := range map[time.Duration][]string{
		90 * time.Second:                 nil,
		91 * time.Second:                 {"G1 silent host warning unknown a"},
		15 * time.Minute:                 {"G1 silent host warning unknown a"},
		15*time.Minute + time.Nanosecond: {"G1 silent host finding unknown a"},
		24*time.Hour + time.Nanosecond:   {"G1 silent host report unknown a"},
	} {
		w := gap.New(start)
		if d := cmp.Diff(want, told(w.Tick(after(at), expected))); d != "" {
			t.Errorf("a host that never came, after %s (-want +got):\n%s", at, d)
		}
		w = gap.New(start - int64(time.Hour))
		w.Report(report("a", 0))
		first := w.Tick(after(at), expected)
		if d := cmp.Diff(want, told(first)); d != "" {
			t.Errorf("a host that came, after %s (-want +got):\n%s", at, d)
		}
		if d := cmp.Diff(first, w.Tick(after(at), expected)); d != "" {
			t.Errorf("told otherwise the second time:\n%s", d)
		}
	}
	// Who is not expected is not missed.
	w := gap.New(start)
	w.Report(report("b", 0))
	if found := w.Tick(after(time.Hour), nil); found != nil {
		t.Errorf("found %v", found)
	}
}

func TestMissingDevice(t *testing.T) {
	w := gap.New(start)
	expected := []gap.Expected{{Host: "a", FromNS: start, Devices: []measure.DeviceID{"gpu0", "gpu1", "gpu2"}}}
	w.Report(report("a", 0, "gpu0", "gpu1"))
	w.Report(report("a", 2*time.Minute, "gpu0"))
	if found := w.Tick(after(2*time.Minute), expected); found != nil {
		t.Errorf("too early: %v", told(found))
	}
	w.Report(report("a", 121*time.Second, "gpu0"))
	want := []string{"G4 missing device finding unknown a gpu1", "G4 missing device finding unknown a gpu2"}
	if d := cmp.Diff(want, told(w.Tick(after(121*time.Second), expected))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestClocksAndBoots(t *testing.T) {
	ahead := report("a", 0)
	ahead.LastNS += int64(5*time.Minute) + 1
	late := report("a", 3*time.Hour)
	late.LastNS = after(time.Hour)
	for name, c := range map[string]struct {
		reports []gap.Report
		want    []string
	}{
		"ahead":       {[]gap.Report{ahead}, []string{"G8 clock warning unknown a"}},
		"set back":    {[]gap.Report{report("a", time.Hour), {Host: "a", ReceivedNS: after(time.Hour + 1), LastNS: after(54 * time.Minute), BootID: "b", Epoch: 1}}, []string{"G8 clock warning unknown a"}},
		"400 days":    {[]gap.Report{report("a", 0), {Host: "a", ReceivedNS: after(1), LastNS: after(-400 * 24 * time.Hour), BootID: "b", Epoch: 1}}, []string{"G8 clock warning unknown a"}},
		"late":        {[]gap.Report{report("a", 0), late}, []string{"G9 late finding network a"}},
		"three boots": {boots(4), nil},
		"four boots":  {boots(5), []string{"G7 boots without a reason finding unknown a"}},
	} {
		w := gap.New(start)
		var found []gap.Finding
		for _, r := range c.reports {
			found = append(found, w.Report(r)...)
		}
		if d := cmp.Diff(c.want, told(found)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// boots are the reports of a host that runs under n boot ids.
func boots(n int) []gap.Report {
	var out []gap.Report
	for i := range n {
		r := report("a", time.Duration(i)*time.Hour)
		r.BootID = fmt.Sprint(i)
		out = append(out, r)
	}
	return out
}

func TestCorrelatedSilence(t *testing.T) {
	var expected []gap.Expected
	w := gap.New(start - int64(time.Hour))
	for i := range 6 {
		id := fmt.Sprint("h", i)
		expected = append(expected, gap.Expected{Host: ledger.HostID(id), Site: "x", FromNS: start})
		w.Report(report(id, time.Duration(i)*time.Minute))
	}
	together := func(at time.Duration) (out []string) {
		for _, f := range w.Tick(after(at), expected) {
			if f.Rule == gap.CorrelatedSilence {
				out = append(out, f.Cause)
			}
		}
		return out
	}
	if d := cmp.Diff([]string{"network"}, together(time.Hour)); d != "" {
		t.Errorf("all hosts: %s", d)
	}
	w.Report(report("h5", time.Hour)) // one comes back
	if d := cmp.Diff([]string{"unknown"}, together(time.Hour)); d != "" {
		t.Errorf("all but one: %s", d)
	}
}

// fleet plays hosts that report every half minute and what happens to them.
type fleet struct {
	random *rand.Rand
	watch  *gap.Watch
	hosts  []gap.Expected
	ids    map[string]gap.Finding
}

func newFleet(seed uint64, hosts int) *fleet {
	f := &fleet{random: rand.New(rand.NewPCG(seed, 1)), watch: gap.New(start), ids: map[string]gap.Finding{}}
	for i := range hosts {
		f.hosts = append(f.hosts, gap.Expected{Host: ledger.HostID(fmt.Sprint("h", i)), Site: "x", FromNS: start, Devices: []measure.DeviceID{"gpu0", "gpu1"}})
	}
	return f
}

const step = 30 * time.Second

// play runs the fleet over a time. change may hold a report back, by returning
// false, or falsify it.
func (f *fleet) play(length time.Duration, change func(i int, at time.Duration, r *gap.Report) bool) {
	for at := time.Duration(0); at <= length; at += step {
		for i, e := range f.hosts {
			r := report(string(e.Host), at+time.Duration(f.random.Int64N(int64(time.Second))), "gpu0", "gpu1")
			if change(i, at, &r) {
				f.note(f.watch.Report(r))
			}
		}
		f.note(f.watch.Tick(after(at), f.hosts))
	}
}

func (f *fleet) note(found []gap.Finding) {
	for _, x := range found {
		f.ids[x.ID] = x
	}
}

// suppressions hide something of host 0 from an instant on. Each returns what
// change does. A batch that is dropped stops a host's chain, so nothing of it is
// counted until it is sent again: for the watch that is silence.
var suppressions = map[string]func(f *fleet, from time.Duration) func(int, time.Duration, *gap.Report) bool{
	"agent killed": func(f *fleet, from time.Duration) func(int, time.Duration, *gap.Report) bool {
		length := 3*time.Minute + time.Duration(f.random.Int64N(int64(time.Hour)))
		return func(i int, at time.Duration, _ *gap.Report) bool { return i != 0 || at < from || at > from+length }
	},
	"a device hidden": func(f *fleet, from time.Duration) func(int, time.Duration, *gap.Report) bool {
		length := 4*time.Minute + time.Duration(f.random.Int64N(int64(time.Hour)))
		return func(i int, at time.Duration, r *gap.Report) bool {
			if i == 0 && at >= from && at <= from+length {
				r.Devices = slices.DeleteFunc(r.Devices, func(d gap.Seen) bool { return d.Device == "gpu1" })
			}
			return true
		}
	},
	"a batch dropped": func(_ *fleet, from time.Duration) func(int, time.Duration, *gap.Report) bool {
		return func(i int, at time.Duration, _ *gap.Report) bool { return i != 0 || at < from }
	},
	"the clock set ahead": func(f *fleet, from time.Duration) func(int, time.Duration, *gap.Report) bool {
		by := int64(6*time.Minute) + f.random.Int64N(int64(400*24*time.Hour))
		return func(i int, at time.Duration, r *gap.Report) bool {
			if i == 0 && at >= from {
				r.LastNS += by
			}
			return true
		}
	},
	"the clock set back": func(f *fleet, from time.Duration) func(int, time.Duration, *gap.Report) bool {
		by := int64(6*time.Minute) + f.random.Int64N(int64(400*24*time.Hour))
		return func(i int, at time.Duration, r *gap.Report) bool {
			if i == 0 && at >= from {
				r.LastNS -= by
			}
			return true
		}
	},
	"started again and again": func(f *fleet, from time.Duration) func(int, time.Duration, *gap.Report) bool {
		every := time.Minute + time.Duration(f.random.Int64N(int64(5*time.Minute)))
		return func(i int, at time.Duration, r *gap.Report) bool {
			if i == 0 && at >= from {
				r.Epoch += uint64((at-from)/every) + 1
			}
			return true
		}
	},
	"several hosts silenced": func(_ *fleet, from time.Duration) func(int, time.Duration, *gap.Report) bool {
		return func(i int, at time.Duration, _ *gap.Report) bool { return i > 2 || at < from }
	},
}

// long is whether the full counts run: make suppression.
func long() bool { return os.Getenv("FLOPWATCH_LONG") != "" }

func TestSuppressionIsFound(t *testing.T) {
	scenarios := 140
	if long() {
		scenarios = 1000
	}
	var names []string
	for name := range suppressions {
		names = append(names, name)
	}
	slices.Sort(names)
	missed := 0
	for seed := range scenarios {
		name := names[seed%len(names)]
		f := newFleet(uint64(seed), 4)
		from := 10*time.Minute + time.Duration(f.random.Int64N(int64(2*time.Hour)))
		f.play(4*time.Hour, suppressions[name](f, from))
		if !slices.ContainsFunc(slices.Collect(values(f.ids)), func(x gap.Finding) bool { return x.Host == "h0" }) {
			missed++
			t.Errorf("seed %d, %s from %s: not found", seed, name, from)
		}
	}
	t.Logf("%d scenarios, %d missed", scenarios, missed)
}

func values(m map[string]gap.Finding) func(func(gap.Finding) bool) {
	return func(yield func(gap.Finding) bool) {
		for _, x := range m {
			if !yield(x) {
				return
			}
		}
	}
}

// A clean fleet reboots, restarts its agents, loses its network for a while and
// steps its clocks a little. That is no finding.
func TestCleanFleetIsQuiet(t *testing.T) {
	days := 40
	if long() {
		days = 1000
	}
	const hosts = 10
	alarms, length := 0, 24*time.Hour
	for seed := range days / hosts {
		f := newFleet(uint64(seed), hosts)
		type nuisance struct{ from, to time.Duration }
		outages := make([][]nuisance, hosts)
		restarts := make([][]time.Duration, hosts)
		skew := make([]int64, hosts)
		for i := range hosts {
			for range f.random.IntN(3) { // reboots and outages of the network of up to 12 minutes
				from := time.Duration(f.random.Int64N(int64(length)))
				outages[i] = append(outages[i], nuisance{from, from + time.Duration(f.random.Int64N(int64(12*time.Minute)))})
			}
			for range f.random.IntN(3) {
				restarts[i] = append(restarts[i], time.Duration(f.random.Int64N(int64(length))))
			}
			skew[i] = f.random.Int64N(int64(2*time.Minute)) - int64(time.Minute)
		}
		f.play(length, func(i int, at time.Duration, r *gap.Report) bool {
			for _, o := range outages[i] {
				if at >= o.from && at <= o.to {
					return false
				}
			}
			for _, s := range restarts[i] {
				if at >= s {
					r.Epoch++
				}
			}
			r.LastNS += skew[i]
			return true
		})
		for _, x := range f.ids {
			if x.Level != "warning" {
				alarms++
				t.Errorf("seed %d: %+v", seed, x)
			}
		}
	}
	t.Logf("%d clean host-days, %d false findings", days, alarms)
}
