package ingest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/gap"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// suppression is a small fleet in simulated time: hosts that seal a batch every
// 10 s, the network, and what counts and watches. Everything from the signature
// to the finding is the real code; disk and broker are not there.
type suppression struct {
	intake   *intake
	watch    *gap.Watch
	hosts    []*host
	expected []gap.Expected
	found    map[string]bool // findings about host 0, by rule
	alarms   map[string]bool // findings and above about any other
	observed map[ledger.HostID]time.Duration
	segments map[int64]int64
	done     map[ledger.HostID]map[int64]compute.Bounds // by segment
}

func newSuppression(t *testing.T, seed uint64, hosts int) *suppression {
	t.Helper()
	time.Sleep(time.Until(time.Unix(0, startNS).AddDate(2, 0, 0))) // simulated; made-up hosts boot at startNS
	s := &suppression{
		intake: newIntake(Config{MaxAhead: 5 * time.Minute, OrphanGrace: 10 * time.Second, Log: testIntake(Config{}).cfg.Log}, ledger.New()),
		watch:  gap.New(time.Now().UnixNano()), found: map[string]bool{}, alarms: map[string]bool{}, observed: map[ledger.HostID]time.Duration{}, segments: map[int64]int64{},
		done: map[ledger.HostID]map[int64]compute.Bounds{},
	}
	for i := range hosts {
		h := newHost(fmt.Sprint("suppressed", seed, i), 2)
		h.atNS = time.Now().UnixNano()
		s.hosts = append(s.hosts, h)
		e := gap.Expected{Host: ledger.HostID(h.id), Site: "x", FromNS: time.Now().UnixNano()}
		for _, r := range h.rows {
			e.Devices = append(e.Devices, r.ID)
		}
		s.expected = append(s.expected, e)
	}
	return s
}

func (s *suppression) note(all []gap.Finding) {
	for _, f := range all {
		switch {
		case f.Host == ledger.HostID(s.hosts[0].id):
			s.found[string(f.Rule)] = true
		case f.Level != "warning":
			s.alarms[string(f.Rule)+" "+string(f.Host)] = true
		}
	}
}

// deliver gives letters to the collector and makes a checkpoint.
func (s *suppression) deliver(letters []letter) {
	now := time.Now()
	s.intake.takeAll(letters, now)
	c, _ := s.intake.drain(true)
	for _, q := range c.Quarantine {
		if q.Host == s.hosts[0].id {
			s.found["quarantine "+q.Reason] = true
		} else {
			s.alarms["quarantine "+q.Reason+" "+q.Host] = true
		}
	}
	devices := map[ledger.HostID][]gap.Seen{}
	for _, a := range c.Changes.Accounts {
		devices[a.Host] = append(devices[a.Host], gap.Seen{Device: a.ID, LastNS: a.LastNS})
	}
	for _, g := range slices.Concat(c.Changes.Opened, c.Changes.Extended) {
		if g.Key.State != measure.Unobserved {
			s.observed[g.Key.Host] += time.Duration(g.DurationNS - s.segments[g.ID])
			s.segments[g.ID] = g.DurationNS
		}
	}
	for _, g := range slices.Concat(c.Changes.Opened, c.Changes.Extended) {
		if s.done[g.Key.Host] == nil {
			s.done[g.Key.Host] = map[int64]compute.Bounds{}
		}
		s.done[g.Key.Host][g.ID] = g.Operations
	}
	for _, k := range c.Changes.Clocks {
		switch {
		case k.Reason == "":
		case k.Host == ledger.HostID(s.hosts[0].id):
			s.found["clock: "+k.Reason] = true
		default:
			s.alarms["clock: "+k.Reason+" "+string(k.Host)] = true
		}
	}
	for _, h := range c.Changes.Hosts {
		s.note(s.watch.Report(gap.Report{Host: h.ID, ReceivedNS: now.UnixNano(), LastNS: h.LastNS, BootID: h.BootID, Epoch: h.Position.Epoch, Devices: devices[h.ID]}))
	}
}

// trick changes what host 0 does or what comes of it. It returns the letters that
// arrive of the batch that is sealed at step n; the batch is not sealed yet.
type trick func(t *testing.T, h *host, n int) []letter

// play runs the fleet for a time of steps of 10 s.
func (s *suppression) play(t *testing.T, steps int, trick trick) {
	t.Helper()
	started := time.Now()
	for n := range steps {
		time.Sleep(10 * time.Second) // simulated
		var letters []letter
		for i, h := range s.hosts {
			if i == 0 && trick != nil {
				letters = append(letters, trick(t, h, n)...)
				continue
			}
			letters = append(letters, h.letter(h.next(t, 1)))
		}
		s.deliver(letters)
		if n%3 == 2 {
			s.note(s.watch.Tick(time.Now().UnixNano(), s.expected))
		}
	}
	// The end of the day is the end of the play.
	for _, e := range s.expected {
		if f := gap.Coverage(e.Host, started.UnixNano(), time.Since(started)*time.Duration(len(e.Devices)), s.observed[e.Host]); f != nil {
			s.note([]gap.Finding{*f})
		}
	}
}

// skip lets the host's time pass without a batch.
func (h *host) skip() { h.atNS += 10 * second }

var tricks = []struct {
	name string
	make func(r *rand.Rand, from int) trick
}{
	{"agent killed", func(r *rand.Rand, from int) trick {
		length := 10 + r.IntN(60)
		return func(t *testing.T, h *host, n int) []letter {
			if n < from || n > from+length {
				return []letter{h.letter(h.next(t, 1))}
			}
			h.skip()
			return nil
		}
	}},
	{"a device left out", func(r *rand.Rand, from int) trick {
		return func(t *testing.T, h *host, n int) []letter {
			b := h.batch(1)
			if n >= from {
				b.Windows = slices.DeleteFunc(b.Windows, func(w measure.Window) bool { return w.Device == h.rows[1].ID })
			}
			return []letter{h.letter(h.seal(t, b))}
		}
	}},
	{"each k-th batch lost on the way", func(r *rand.Rand, from int) trick {
		k := 2 + r.IntN(40)
		return func(t *testing.T, h *host, n int) []letter {
			l := h.letter(h.next(t, 1))
			if n >= from && n%k == 0 {
				return nil
			}
			return []letter{l}
		}
	}},
	{"each k-th batch never sealed", func(r *rand.Rand, from int) trick {
		k := 2 + r.IntN(20)
		return func(t *testing.T, h *host, n int) []letter {
			if n >= from && n%k == 0 {
				h.skip()
				return nil
			}
			return []letter{h.letter(h.next(t, 1))}
		}
	}},
	{"times moved ahead", func(r *rand.Rand, from int) trick {
		by := 6*60*second + r.Int64N(400*24*3600)*second
		return func(t *testing.T, h *host, n int) []letter {
			if n == from {
				h.atNS += by
			}
			return []letter{h.letter(h.next(t, 1))}
		}
	}},
	{"times moved back", func(r *rand.Rand, from int) trick {
		by := 6*60*second + r.Int64N(400*24*3600)*second
		return func(t *testing.T, h *host, n int) []letter {
			if n == from {
				h.atNS -= by
			}
			return []letter{h.letter(h.next(t, 1))}
		}
	}},
	{"clock set", func(r *rand.Rand, from int) trick {
		return setClock(clockSets[r.IntN(len(clockSets))], farStep(r), from)
	}},
	{"history rewritten", func(r *rand.Rand, from int) trick {
		return func(t *testing.T, h *host, n int) []letter {
			if n == from { // the batch of before again, with other figures
				h.seq--
				h.atNS -= 10 * second
				b := h.batch(1)
				b.Windows[0].Entries[0].Operations.Best--
				keep := h.prev
				l := h.letter(h.seal(t, b))
				h.prev = keep
				return []letter{l}
			}
			return []letter{h.letter(h.next(t, 1))}
		}
	}},
	{"spool thrown away", func(r *rand.Rand, from int) trick {
		return func(t *testing.T, h *host, n int) []letter {
			switch {
			case n == from: // sealed, never sent
				h.next(t, 1)
				return nil
			case n == from+1:
				h.epoch, h.seq, h.prev = h.epoch+1, 0, [32]byte{}
			}
			return []letter{h.letter(h.next(t, 1))}
		}
	}},
}

// Seeded tricks against one host of two. Each must be found about that host, and
// nothing about the other.
func TestSuppressionEndToEnd(t *testing.T) {
	scenarios := 64
	if os.Getenv("FLOPWATCH_LONG") != "" {
		scenarios = 1000
	}
	missed, alarms := 0, 0
	by := map[string]int{}
	for seed := range scenarios {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(uint64(seed), 7))
			c := tricks[seed%len(tricks)]
			s := newSuppression(t, uint64(seed), 2)
			s.play(t, 150, c.make(r, 20+r.IntN(30)))
			by[c.name]++
			if len(s.found) == 0 {
				missed++
				t.Errorf("seed %d, %s: not found", seed, c.name)
			}
			for a := range s.alarms {
				alarms++
				t.Errorf("seed %d, %s: the other host: %s", seed, c.name, a)
			}
		})
	}
	t.Logf("%d scenarios, %d missed, %d findings about hosts that did nothing: %v", scenarios, missed, alarms, by)
}

// The same fleet without a trick: nothing is found.
func TestNothingSuppressedNothingFound(t *testing.T) {
	for seed := range 4 {
		synctest.Test(t, func(t *testing.T) {
			s := newSuppression(t, uint64(seed), 2)
			s.play(t, 360, nil)
			for rule := range s.found {
				t.Errorf("seed %d: %s about the first host", seed, rule)
			}
			for a := range s.alarms {
				t.Errorf("seed %d: %s", seed, a)
			}
		})
	}
}
