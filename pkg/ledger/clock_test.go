package ledger_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const (
	longAgo = int64(1_790_000_000) * second
	daySpan = 24 * time.Hour
)

// placed applies one window of 10 s that a host took under its clock, received at
// an instant, and returns what changed.
func placed(t interface{ Fatal(...any) }, book *ledger.Ledger, seq uint64, c ledger.Clock, receivedNS int64) ledger.Changes {
	start := c.ClockNS + c.BoottimeNS - 10*second
	c.FirstNS = start
	b := &ledger.Batch{Host: "h", BootID: c.BootID, Position: ledger.Position{Epoch: 1, Seq: seq}, Devices: []ledger.Device{{Device: measure.Device{ID: "d"}, Peak: 1e6, Ceiling: 2e6}},
		Windows: []measure.Window{{Device: "d", StartNS: start, EndNS: start + 10*second, Entries: []measure.Entry{{State: measure.Idle, Duration: 10 * time.Second,
			Operations: compute.Bounds{Low: 1, Best: 2, High: 3}, EnergyMJ: -1}}}}}
	book.Place(b, c, receivedNS)
	if err := book.Apply(b); err != nil {
		t.Fatal(err)
	}
	return book.Take()
}

// Two batches, and where the second is put.
func TestWhereABatchIsPut(t *testing.T) {
	at := func(d time.Duration) int64 { return longAgo + int64(d) }
	first := ledger.Clock{BootID: "a", BoottimeNS: int64(time.Hour), WallNS: at(0), ClockNS: at(-time.Hour)}
	for name, c := range map[string]struct {
		boot               string
		up, wall, clock    time.Duration // since boot; against longAgo
		received           time.Duration
		wantEnd, wantShift time.Duration
		says               string
	}{
		"ten seconds later":                 {"a", time.Hour + 10*time.Second, 10 * time.Second, -time.Hour, 10 * time.Second, 10 * time.Second, 0, ""},
		"an hour later":                     {"a", 2 * time.Hour, time.Hour, -time.Hour, time.Hour, time.Hour, 0, ""},
		"late":                              {"a", time.Hour + 10*time.Second, 10 * time.Second, -time.Hour, 5 * time.Hour, 10 * time.Second, 0, ""},
		"wall clock set":                    {"a", time.Hour + 10*time.Second, 400*daySpan + 10*time.Second, -time.Hour, 10 * time.Second, 10 * time.Second, 0, "set by 9600h0m0s while"},
		"agent started with a clock ahead":  {"a", time.Hour + 10*time.Second, 400*daySpan + 10*time.Second, 400*daySpan - time.Hour, 10 * time.Second, 10 * time.Second, -400 * daySpan, "between two starts"},
		"agent started with a clock behind": {"a", time.Hour + 10*time.Second, -400*daySpan + 10*time.Second, -400*daySpan - time.Hour, 10 * time.Second, 10 * time.Second, 400 * daySpan, "between two starts"},
		"agent started, clock a bit off":    {"a", time.Hour + 10*time.Second, 11 * time.Second, time.Second - time.Hour, 10 * time.Second, 11 * time.Second, 0, ""},
		"another boot":                      {"b", time.Minute, time.Hour, 59 * time.Minute, time.Hour, time.Hour, 0, ""},
		"another boot, ahead":               {"b", time.Minute, 400 * daySpan, 400*daySpan - time.Minute, time.Hour, time.Hour, time.Hour - 400*daySpan, "ahead when the agent started"},
		"another boot, behind":              {"b", time.Minute, -time.Hour, -61 * time.Minute, time.Hour, time.Hour, 2 * time.Hour, "before its newest window"},
		"another boot, a bit behind":        {"b", time.Minute, -time.Second, -61 * time.Second, time.Hour, 10 * time.Second, 11 * time.Second, ""},
		"time since boot went back":         {"a", time.Minute, time.Hour, 59 * time.Minute, time.Hour, time.Hour, 0, ""},
		"time since boot runs ahead":        {"a", 3 * time.Hour, 2 * time.Hour, -time.Hour, time.Hour, time.Hour, -time.Hour, "ahead"},
		"time since boot stood still":       {"a", time.Hour + 10*time.Second, time.Hour, -time.Hour, time.Hour, time.Hour, time.Hour - 10*time.Second, "stood still"},
	} {
		t.Run(name, func(t *testing.T) {
			book := ledger.New()
			placed(t, book, 1, first, at(0))
			got := placed(t, book, 2, ledger.Clock{BootID: c.boot, BoottimeNS: int64(c.up), WallNS: at(c.wall), ClockNS: at(c.clock)}, at(c.received))
			host := got.Hosts[0]
			if host.LastNS != at(c.wantEnd) {
				t.Errorf("put at %s, want %s", time.Duration(host.LastNS-longAgo), c.wantEnd)
			}
			if host.Clocks.ShiftNS != int64(c.wantShift) {
				t.Errorf("shifted by %s, want %s", time.Duration(host.Clocks.ShiftNS), c.wantShift)
			}
			said := ""
			for _, k := range got.Clocks {
				said += k.Reason
			}
			if c.says == "" && said != "" && c.wantShift == 0 || !strings.Contains(said, c.says) {
				t.Errorf("said %q, want %q", said, c.says)
			}
		})
	}
}

func TestFirstBatchEver(t *testing.T) {
	for off, want := range map[time.Duration]time.Duration{
		0: 0, -72 * time.Hour: -72 * time.Hour, 400 * daySpan: 0, -400 * daySpan: 0, 6 * time.Minute: 0,
	} {
		got := placed(t, ledger.New(), 1, ledger.Clock{BootID: "a", BoottimeNS: int64(time.Hour), WallNS: longAgo + int64(off), ClockNS: longAgo + int64(off-time.Hour)}, longAgo)
		if end := time.Duration(got.Hosts[0].LastNS - longAgo); end != want {
			t.Errorf("a clock that is off by %s: put at %s, want %s", off, end, want)
		}
		if told := len(got.Clocks) > 0 && got.Clocks[0].Reason != ""; told != (off != want) {
			t.Errorf("a clock that is off by %s: told %v", off, got.Clocks)
		}
	}
}

// Whatever is done to the wall clock of a host that measures without a pause, its
// account has no hole and counts nothing twice. Times of windows by the wall clock
// and no correction is what the same host looked like before.
func TestWallClockMovesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		book := ledger.New()
		steps := rapid.SampledFrom([]time.Duration{0, 3 * time.Second, time.Hour, 40 * daySpan, 400 * daySpan, -3 * time.Second, -time.Hour, -40 * daySpan, -400 * daySpan})
		far := rapid.SampledFrom([]time.Duration{0, time.Hour, 400 * daySpan, -time.Hour, -400 * daySpan})
		now, off := longAgo, time.Duration(0) // true time; what the wall clock is off
		boot, bootNS, id := 0, now-int64(time.Hour), ""
		clock := bootNS
		var account ledger.Account
		unobserved := int64(0)
		for seq := range uint64(rapid.IntRange(2, 60).Draw(t, "batches")) {
			if seq > 0 {
				switch rapid.IntRange(0, 9).Draw(t, "what happens") {
				case 0:
					off += steps.Draw(t, "step")
				case 1: // the agent starts anew
					clock = bootNS + int64(off)
				case 2: // the machine does, so fast that nothing is missed
					boot++
					off = far.Draw(t, "off")
					bootNS, clock = now, now+int64(off)
				}
			}
			id = strings.Repeat("b", boot+1)
			now += 10 * second
			c := placed(t, book, seq+1, ledger.Clock{BootID: id, BoottimeNS: now - bootNS, WallNS: now + int64(off), ClockNS: clock}, now)
			account = c.Accounts[0]
			for _, s := range c.Opened {
				if s.Key.State == measure.Unobserved {
					unobserved += s.DurationNS
				}
			}
		}
		if account.OverlapNS != 0 || unobserved != 0 || account.LastNS != now {
			t.Fatalf("overlap %s, unobserved %s, ends %s off", time.Duration(account.OverlapNS), time.Duration(unobserved), time.Duration(account.LastNS-now))
		}
	})
}
