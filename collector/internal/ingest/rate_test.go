package ingest

import (
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// One host floods: it is put off, told of, and cut off when it does not stop. What
// it has to say comes again and counts once; the host beside notices nothing.
func TestFloodIsPutOff(t *testing.T) {
	var cut []string
	d := newIntake(Config{Limit: true, Log: testIntake(Config{}).cfg.Log, Flooded: func(host string) { cut = append(cut, host) }}, ledger.New())
	flooder, beside := newHost("flooder", 1), newHost("beside", 1)
	now := time.Unix(0, startNS).Add(time.Hour)
	var sealed [][]byte
	for range 20 {
		sealed = append(sealed, flooder.next(t, 1))
	}
	junk := letter{subject: flooder.letter(nil).subject, envelope: []byte("junk")}
	deliver := func(l ...letter) { d.takeAll(l, now) }
	for i := range batchBurst + floodDrops {
		deliver(junk)
		if i%5_000 == 0 { // the host beside reports all the while
			deliver(beside.letter(beside.next(t, 1)))
		}
	}
	if len(cut) != 1 || cut[0] != flooder.id {
		t.Errorf("cut off: %v", cut)
	}
	if p := d.book.Position(ledger.HostID(beside.id)); p.Seq != uint64((batchBurst+floodDrops+4_999)/5_000) {
		t.Errorf("of the host beside %d batches count", p.Seq)
	}
	deliver(flooder.letter(sealed[0]))
	if d.book.Position(ledger.HostID(flooder.id)).Seq != 0 {
		t.Error("a batch beyond the limit was counted")
	}
	c, hosts := d.drain(true)
	notes := 0
	for _, q := range c.Quarantine {
		if q.Reason == reasonRate {
			notes++
		}
	}
	if notes != 1 {
		t.Errorf("told %d times", notes)
	}
	for _, h := range hosts {
		if string(h.host) == flooder.id {
			t.Error("what was put off has a receipt")
		}
	}
	now = now.Add(time.Second)
	for _, e := range sealed {
		deliver(flooder.letter(e))
	}
	if p := d.book.Position(ledger.HostID(flooder.id)); p.Seq != 20 {
		t.Errorf("afterwards %d of 20 batches count", p.Seq)
	}
}

// An agent that sends as fast as it may is never put off.
func TestPaceOfAnAgentIsNoFlood(t *testing.T) {
	var b bucket
	now := time.Unix(0, startNS)
	for i := range 4_096 + 50*600 { // all that may be on the way, and ten minutes at 50 a second
		if i > 4_096 {
			now = now.Add(time.Second / 50)
		}
		if !b.admit(now) {
			t.Fatalf("batch %d is put off", i)
		}
	}
}

// A window that no device can have is left out, is quarantined, and the others of
// its batch count; batches of a month ago are kept back as a whole.
func TestWindowsThatCannotBeAreLeftOut(t *testing.T) {
	d := testIntake(Config{MaxAge: ledger.OldestBatch})
	h := newHost("h", 2)
	b := h.batch(2)
	b.Windows[1].Entries[0].EnergyMJ = 31_000_000_000 // 3.1 MW
	now := time.Unix(0, h.atNS)
	d.takeAll([]letter{h.letter(h.seal(t, b))}, now)
	d.takeAll([]letter{h.letter(h.next(t, 1))}, now.Add(10*time.Second))
	c, _ := d.drain(true)
	by := map[measure.State]int64{}
	for _, s := range c.Changes.Opened {
		by[s.Key.State] += s.DurationNS
	}
	if by[measure.Attributed] != 50*second || by[measure.Unobserved] != 10*second || len(c.Quarantine) != 1 || c.Quarantine[0].Reason != reasonRefused {
		t.Errorf("%v, refused %+v", by, c.Quarantine)
	}
	d.takeAll([]letter{h.letter(h.next(t, 1))}, now.Add(ledger.OldestBatch+time.Hour))
	c, _ = d.drain(true)
	if len(c.Quarantine) != 1 || c.Quarantine[0].Reason != reasonPast || len(c.Changes.Opened)+len(c.Changes.Extended) != 0 {
		t.Errorf("of a month ago: %+v", c.Quarantine)
	}
}
