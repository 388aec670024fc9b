package ingest

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// What comes between two steps of 10 s of a host whose wall clock is set.
const (
	setWhileRunning = "while the agent runs"
	setAcrossStart  = "across a start of the agent"
	setAcrossBoot   = "across a boot"
	setAtFirst      = "before the first batch ever"
	setAgain        = "again and again, with starts between"
	driftsAway      = "by 5 % all the time, with starts between"
)

var clockSets = []string{setWhileRunning, setAcrossStart, setAcrossBoot, setAgain, driftsAway}

const day = 24 * 3600 * second

// farStep is between 6 minutes and 400 days, either way.
func farStep(r *rand.Rand) int64 {
	by := 6*60*second + r.Int64N(400*day-6*60*second)
	if r.IntN(2) == 0 {
		return -by
	}
	return by
}

// start begins a new epoch of a host, as a start of its agent does: times go by the
// wall clock of that moment and the time since boot.
func (h *host) start() {
	h.epoch, h.seq = h.epoch+1, 0
	h.clockNS += h.stepNS
	h.atNS += h.stepNS
	h.stepNS = 0
}

// reboot is a start after a boot. Nothing is measured of the time between.
func (h *host) reboot(h0 int64) {
	h.boot++
	h.clockNS = h.atNS - h0
	h.start()
}

// setClock sets the clock of a host that goes by the time since boot, from a step on.
func setClock(how string, by int64, from int) trick {
	return func(t *testing.T, h *host, n int) []letter {
		if n == 0 && h.clockNS == 0 {
			h.clockNS = h.atNS - 5*day // booted five days ago
			if how == setAtFirst {
				h.stepNS = by
				h.start()
			}
		}
		switch {
		case n < from || how == setAtFirst:
		case how == driftsAway:
			h.stepNS += 10 * second / 20
			if n%7 == 0 {
				h.start()
			}
		case how == setAgain && (n-from)%5 == 0:
			h.stepNS += by
			by = -by / 2
			if n%2 == 0 {
				h.start()
			}
		case how == setWhileRunning && n == from:
			h.stepNS += by
		case how == setAcrossStart && n == from:
			h.stepNS += by
			h.start()
		case how == setAcrossBoot && n == from:
			h.stepNS += by
			h.reboot(60 * second)
		}
		return []letter{h.letter(h.next(t, 1))}
	}
}

// total is what all segments of a host add up to.
func (s *suppression) total(i int) (sum compute.Bounds) {
	for _, b := range s.done[ledger.HostID(s.hosts[i].id)] {
		sum = sum.Add(b)
	}
	return sum
}

func within(got, want compute.Operations, permille int64) bool {
	off := int64(got - want)
	return max(off, -off)*1000 <= int64(want)*permille
}

// However the wall clock of a host is set, by up to 400 days either way, its totals
// are those of the host beside it within a thousandth, in low, best and high, and a
// finding says that its clock was wrong.
func TestClocksThatAreSetKeepTotals(t *testing.T) {
	for _, how := range append([]string{setAtFirst}, clockSets...) {
		for _, by := range []int64{400 * day, -400 * day, 2 * day, -2 * day, 7 * 60 * second, -7 * 60 * second} {
			if how == setAtFirst && max(by, -by) < 400*day && by < 0 {
				continue // batches of two days ago and a clock two days behind look the same
			}
			synctest.Test(t, func(t *testing.T) {
				s := newSuppression(t, 99, 2)
				s.play(t, 150, setClock(how, by, 30))
				got, want := s.total(0), s.total(1)
				if !within(got.Low, want.Low, 1) || !within(got.Best, want.Best, 1) || !within(got.High, want.High, 1) {
					t.Errorf("set %s by %d s: total %+v, of the host beside it %+v", how, by/second, got, want)
				}
				told := false
				for f := range s.found {
					told = told || len(f) > 6 && f[:6] == "clock:"
				}
				if !told {
					t.Errorf("set %s by %d s: nothing is said of the clock, found %v", how, by/second, s.found)
				}
			})
		}
	}
}

// A clock that is set a little, as a time service does, is no finding and moves
// nothing; a host that stands still for an hour has an hour that nobody observed.
func TestClocksThatAreRight(t *testing.T) {
	for name, c := range map[string]struct {
		trick trick
		says  string
	}{
		"steps of a second": {func(t *testing.T, h *host, n int) []letter {
			if n == 0 {
				h.clockNS = h.atNS - 5*day
			}
			if n%50 == 49 {
				h.stepNS = []int64{second, -second}[n/50%2]
				h.start()
			}
			return []letter{h.letter(h.next(t, 1))}
		}, ""},
		"reboots": {func(t *testing.T, h *host, n int) []letter {
			if n == 0 {
				h.clockNS = h.atNS - 5*day
			}
			if n == 50 {
				h.skip()
				h.reboot(5 * second)
				return nil
			}
			return []letter{h.letter(h.next(t, 1))}
		}, ""},
		"a machine stands still, and its wall clock is set right after": {func(t *testing.T, h *host, n int) []letter {
			if n == 0 {
				h.clockNS = h.atNS - 5*day
			}
			if n >= 50 && n < 90 {
				h.stepNS += 10 * second
				return nil
			}
			return []letter{h.letter(h.next(t, 1))}
		}, "clock: its time since boot stood still for 6m40s"},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSuppression(t, 7, 2)
			s.play(t, 150, c.trick)
			if c.says != "" {
				if !s.found[c.says] {
					t.Errorf("%s: found %v", name, s.found)
				}
				if got, want := s.total(0), s.total(1); got.Low >= want.Low || got.High <= want.High {
					t.Errorf("%s: total %+v, beside it %+v: the time that nobody saw is not charged", name, got, want)
				}
			} else if len(s.found) > 0 {
				t.Errorf("%s: found %v", name, s.found)
			}
			if len(s.alarms) > 0 {
				t.Errorf("%s: about the host beside: %v", name, s.alarms)
			}
		})
	}
}
