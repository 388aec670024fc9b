package ingest

import (
	"crypto/ed25519"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

var now = time.Unix(0, startNS).Add(24 * time.Hour)

func testIntake(cfg Config) *intake {
	cfg.Log = slog.New(slog.DiscardHandler)
	cfg.OrphanGrace = 10 * time.Second
	return newIntake(cfg, ledger.New())
}

// outcome is what an intake made of some letters.
type outcome struct {
	Reasons   []string
	Kept      int // quarantined with their envelope
	Counted   int64
	Windows   int64
	Seq       uint64
	Receipted bool
}

func look(d *intake, h *host) outcome {
	c, hosts := d.drain(true)
	o := outcome{Counted: c.FrameCount, Windows: c.Changes.Windows, Seq: d.book.Position(ledger.HostID(h.id)).Seq}
	for _, q := range c.Quarantine {
		o.Reasons = append(o.Reasons, q.Reason)
		if len(q.Envelope) > 0 {
			o.Kept++
		}
	}
	for _, to := range hosts {
		o.Receipted = o.Receipted || string(to.host) == h.id
	}
	return o
}

func TestIntake(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(t *testing.T, h *host) []letter
		want outcome
	}{
		{"in order", func(t *testing.T, h *host) []letter {
			return []letter{h.letter(h.next(t, 2)), h.letter(h.next(t, 3))}
		}, outcome{Counted: 2, Windows: 10, Seq: 2, Receipted: true}},
		{"duplicates", func(t *testing.T, h *host) []letter {
			a, b := h.letter(h.next(t, 2)), h.letter(h.next(t, 3))
			return []letter{a, a, b, a, b, b}
		}, outcome{Counted: 2, Windows: 10, Seq: 2, Receipted: true}},
		{"hole", func(t *testing.T, h *host) []letter {
			a, _, c := h.letter(h.next(t, 2)), h.next(t, 1), h.letter(h.next(t, 3))
			return []letter{a, c}
		}, outcome{Counted: 1, Windows: 4, Seq: 1, Receipted: true}},
		{"out of order", func(t *testing.T, h *host) []letter {
			a, b := h.letter(h.next(t, 2)), h.letter(h.next(t, 3))
			return []letter{b, a, b}
		}, outcome{Counted: 2, Windows: 10, Seq: 2, Receipted: true}},
		{"two batches of one number", func(t *testing.T, h *host) []letter {
			twin := *h
			return []letter{h.letter(h.next(t, 2)), h.letter(twin.next(t, 5)), h.letter(h.next(t, 1))}
		}, outcome{Reasons: []string{"equivocation"}, Kept: 1, Counted: 2, Windows: 6, Seq: 2, Receipted: true}},
		{"another batch under an old number", func(t *testing.T, h *host) []letter {
			twin := *h
			a, other := h.letter(h.next(t, 2)), h.letter(twin.next(t, 5))
			b := h.letter(h.next(t, 1))
			return []letter{a, b, a, other, other}
		}, outcome{Reasons: []string{"equivocation"}, Kept: 1, Counted: 2, Windows: 6, Seq: 2, Receipted: true}},
		{"chain break", func(t *testing.T, h *host) []letter {
			a := h.letter(h.next(t, 2))
			h.prev[0] ^= 1
			return []letter{a, h.letter(h.next(t, 2))}
		}, outcome{Reasons: []string{"chain_break"}, Counted: 2, Windows: 8, Seq: 2, Receipted: true}},
		{"new epoch", func(t *testing.T, h *host) []letter {
			a := h.letter(h.next(t, 2))
			h.epoch, h.seq = 2, 0
			return []letter{a, h.letter(h.next(t, 2)), a}
		}, outcome{Counted: 2, Windows: 8, Seq: 1, Receipted: true}},
		{"new epoch before the end of the old", func(t *testing.T, h *host) []letter {
			a, b := h.letter(h.next(t, 2)), h.letter(h.next(t, 2))
			h.epoch, h.seq = 2, 0
			c := h.letter(h.next(t, 2))
			return []letter{a, c, b, c}
		}, outcome{Counted: 3, Windows: 12, Seq: 1, Receipted: true}},
		{"bit flipped", func(t *testing.T, h *host) []letter {
			e := h.next(t, 2)
			e[len(e)-1] ^= 1
			return []letter{h.letter(e), h.letter(e)}
		}, outcome{Reasons: []string{"signature"}, Kept: 1}},
		{"too large", func(t *testing.T, h *host) []letter {
			return []letter{h.letter(make([]byte, maxEnvelope+1))}
		}, outcome{Reasons: []string{"size"}}},
		{"empty", func(t *testing.T, h *host) []letter {
			return []letter{h.letter([]byte{})}
		}, outcome{Reasons: []string{"signature"}}},
		{"as another host", func(t *testing.T, h *host) []letter {
			other := newHost("other", 1)
			return []letter{other.letter(h.next(t, 2))}
		}, outcome{Reasons: []string{"identity"}, Kept: 1}},
		{"for another host", func(t *testing.T, h *host) []letter {
			b := h.batch(1)
			b.Host = newHost("other", 1).id
			return []letter{h.letter(h.seal(t, b))}
		}, outcome{Reasons: []string{"identity"}, Kept: 1}},
		{"signed as something else", func(t *testing.T, h *host) []letter {
			body, err := wire.Encode(h.batch(1))
			if err != nil {
				t.Fatal(err)
			}
			return []letter{h.letter(attest.Seal(h.key, attest.DomainReceipt, body))}
		}, outcome{Reasons: []string{"signature"}, Kept: 1}},
		{"not a batch", func(t *testing.T, h *host) []letter {
			return []letter{h.letter(attest.Seal(h.key, attest.DomainBatch, []byte("hello")))}
		}, outcome{Reasons: []string{"undecodable"}, Kept: 1}},
		{"from the future", func(t *testing.T, h *host) []letter {
			h.atNS = now.Add(time.Hour).UnixNano()
			a := h.letter(h.next(t, 2))
			h.atNS = startNS
			return []letter{a, h.letter(h.next(t, 2))}
		}, outcome{Reasons: []string{"future"}, Kept: 1, Counted: 2, Windows: 4, Seq: 2, Receipted: true}},
		{"faster than any device", func(t *testing.T, h *host) []letter {
			b := h.batch(1)
			b.Windows[0].Entries[0].Operations.High = 1 << 60
			return []letter{h.letter(h.seal(t, b)), h.letter(h.next(t, 2))}
		}, outcome{Reasons: []string{"refused"}, Kept: 1, Counted: 2, Windows: 5, Seq: 2, Receipted: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, d := newHost(t.Name(), 2), testIntake(Config{MaxAhead: 5 * time.Minute})
			for _, l := range c.send(t, h) {
				d.takeAll([]letter{l}, now)
			}
			if diff := cmp.Diff(c.want, look(d, h)); diff != "" {
				t.Errorf("outcome (-want +got):\n%s", diff)
			}
		})
	}
}

// The first batch of an epoch waits for older ones, but not for ever.
func TestOrphanIsCountedAfterGrace(t *testing.T) {
	h, d := newHost("a", 1), testIntake(Config{})
	first := h.letter(h.next(t, 1))
	h.next(t, 1) // lost with the spool
	h.epoch, h.seq = 2, 0
	orphan := h.letter(h.next(t, 1))
	d.takeAll([]letter{first, orphan}, now)
	d.takeAll([]letter{orphan}, now.Add(9*time.Second))
	if o := look(d, h); o.Counted != 1 || !o.Receipted {
		t.Fatalf("within the grace: %+v", o)
	}
	d.takeAll([]letter{orphan}, now.Add(10*time.Second))
	if o := look(d, h); o.Counted != 1 || len(o.Reasons) != 1 || o.Reasons[0] != "chain_break" {
		t.Errorf("after the grace: %+v", o)
	}
}

// Who signed decides, and what subject and batch say must agree with it: of all
// pairs of three hosts' subjects, keys and ids only a host's own three pass. Host
// ids that the collector chose follow from no key.
func TestEveryWrongPairIsRefused(t *testing.T) {
	hosts := []*host{newHost("a", 1), newHost("b", 1), newHost("c", 1)}
	chosen := map[string]ledger.HostID{}
	for i, h := range hosts {
		id := strings.Repeat(string(rune('a'+i)), 26)
		chosen[string(h.key.Public().(ed25519.PublicKey))] = ledger.HostID(id)
		h.id = id
	}
	stranger := newHost("d", 1)
	identify := func(key ed25519.PublicKey) (ledger.HostID, string) {
		if id, ok := chosen[string(key)]; ok {
			return id, ""
		}
		return "", "the key belongs to no host"
	}
	passed := 0
	for s, subject := range hosts {
		for k, signer := range append(hosts, stranger) {
			for i, claimed := range hosts {
				d := testIntake(Config{Identify: identify})
				fresh := *signer // each pair is the host's first batch
				batch := fresh.batch(1)
				batch.Host = claimed.id
				envelope := fresh.seal(t, batch)
				d.takeAll([]letter{{subject: wire.BatchSubject(subject.id), envelope: envelope}}, now)
				c, _ := d.drain(true)
				right := s == k && k == i
				switch {
				case right && len(c.Quarantine) == 0 && c.FrameCount == 1:
					passed++
				case right:
					t.Errorf("host %d: refused its own: %+v", s, c.Quarantine)
				case len(c.Quarantine) != 1 || c.FrameCount != 0 || !c.Changes.Empty():
					t.Errorf("subject %d, key %d, id %d: passed", s, k, i)
				case signer == stranger && c.Quarantine[0].Reason != reasonNotAdmitted, signer != stranger && c.Quarantine[0].Reason != reasonIdentity:
					t.Errorf("subject %d, key %d, id %d: %s", s, k, i, c.Quarantine[0].Reason)
				}
			}
		}
	}
	if passed != len(hosts) {
		t.Errorf("%d of %d right ones passed", passed, len(hosts))
	}
}

// A key that may not report any more is named with its host.
func TestWithdrawnKey(t *testing.T) {
	h := newHost("a", 1)
	d := testIntake(Config{Identify: func(ed25519.PublicKey) (ledger.HostID, string) { return ledger.HostID(h.id), "the host was revoked" }})
	d.takeAll([]letter{h.letter(h.next(t, 1))}, now)
	if o := look(d, h); o.Counted != 0 || o.Receipted || len(o.Reasons) != 1 || o.Reasons[0] != reasonNotAdmitted {
		t.Errorf("outcome %+v", o)
	}
}

// Letters that are opened side by side are decided on in their order.
func TestOrderIsKept(t *testing.T) {
	h, d := newHost("a", 2), testIntake(Config{})
	var letters []letter
	const n = 2*verifyTogether + readTogether/2 // signatures by two, and what is read in turns by more
	for range n {
		letters = append(letters, h.letter(h.next(t, 1)))
	}
	d.takeAll(letters, now)
	if o := look(d, h); o.Counted != n || o.Seq != n {
		t.Errorf("outcome %+v", o)
	}
}

// A host of which nothing is counted hears so, and can start from the beginning.
func TestUnknownHostIsToldToGoBack(t *testing.T) {
	h, d := newHost("a", 1), testIntake(Config{})
	h.next(t, 1)
	d.takeAll([]letter{h.letter(h.next(t, 1))}, now)
	if o := look(d, h); o.Counted != 0 || !o.Receipted {
		t.Fatalf("outcome %+v", o)
	}
	sealed, err := sealReceipts(&Config{Key: key("collector"), Collector: "c"}, []addressee{{host: ledger.HostID(h.id)}}, d.book.Position)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wire.Receipt{Host: h.id, Collector: "c"}, openReceipt(t, sealed[0])); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
}
