package uplink

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/natstest"
)

func TestPace(t *testing.T) {
	p := pace{perSecond: 50, burst: 600, tokens: 600}
	now, sent := time.Unix(1_700_000_000, 0), 0
	for range 60_000 { // a minute of tries each millisecond
		if now = now.Add(time.Millisecond); p.take(now) {
			sent++
		}
	}
	if sent < 600+59*50 || sent > 600+60*50+1 {
		t.Errorf("%d batches in a minute", sent)
	}
	if wait := p.next(); wait < 20*time.Millisecond || wait > time.Second {
		t.Errorf("waits %s", wait)
	}
	unlimited := pace{}
	for range 10_000 {
		if !unlimited.take(now) || unlimited.waits {
			t.Fatal("without a limit something waits")
		}
	}
}

// A host that empties its spool sends at its pace: everything arrives once, and not
// at once.
func TestShipsAtItsPace(t *testing.T) {
	url := natstest.Run(t)
	c := newCollector(t, url)
	box := openBox(t, t.TempDir(), spool.Options{})
	l := openLane(t, box, 1)
	var want []measure.Window
	for i := range 60 {
		want = append(want, window(i))
		must(t, l.Put([]measure.Window{window(i)}))
	}
	must(t, l.Close())
	must(t, box.Sync(context.Background()))
	began := time.Now()
	u := start(t, box.Spool(), Options{URL: url, PerSecond: 50, Burst: 10})
	u.drain(t)
	took, sent := time.Since(began), u.Stats().Sent
	if least := time.Duration(sent-10) * time.Second / 50 * 9 / 10; sent < 15 || took < least {
		t.Errorf("%d batches left in %s, of which 10 may at once", sent, took)
	}
	if d := cmp.Diff(want, c.counted(idOf(1))); d != "" {
		t.Errorf("(-put +counted):\n%s", d)
	}
	c.check(t)
	u.stop(t)
}
