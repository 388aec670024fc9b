package ingest

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/evidence"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// maxEnvelope is the largest envelope that is looked at.
const maxEnvelope = 1<<20 + 4<<10

// Reasons for quarantine that are not a verdict on the chain.
const (
	reasonSize        = "size"
	reasonSignature   = "signature"
	reasonIdentity    = "identity"
	reasonNotAdmitted = "not_admitted"
	reasonUndecodable = "undecodable"
	reasonFuture      = "future"
	reasonRefused     = "refused"
	reasonPast        = "past"
	reasonRate        = "rate"
)

// letter is one message as it came.
type letter struct {
	subject  string
	envelope []byte
}

// opened is a letter after the checks that need no ledger.
type opened struct {
	host   string // as the subject names it
	key    ed25519.PublicKey
	hash   [32]byte // of the envelope
	chain  [32]byte // that the batch has in its chain
	batch  *wire.Batch
	reason string // "" if the letter is good so far
	detail string
}

// intake decides on letters and collects what the next checkpoint makes durable.
type intake struct {
	cfg     Config
	book    *ledger.Ledger
	began   time.Time // of a clock that only goes forward
	frames  []byte
	count   int64
	refused []store.Quarantine
	reply   map[ledger.HostID]uint32 // hosts that get a receipt, and the form of it
	orphans map[ledger.HostID]orphan
	missing map[ledger.HostID]wait
	seen    map[[32]byte]bool // refused lately: a sender repeats itself
	counted map[ledger.HostID]*recent
	buckets map[string]*bucket

	// Memory of takeAll, and of decide.
	signed   []attest.Opened
	opened   [readTogether]opened
	decoders [readTogether]wire.Decoder
	openers  []opener // one for each who opens letters side by side
	keys     attest.Keys
	entry    ledger.Batch
}

// orphan is the first batch of an epoch that waits for older batches.
type orphan struct {
	hash  [32]byte
	since time.Time
}

// wait is how long a host's chain has stood while later batches came.
type wait struct {
	at    ledger.Position
	since time.Time
	told  bool
}

// missingFor is how long a batch may stay away before that is a finding.
const missingFor = 10 * time.Minute

const maxSeen = 4096

// keysMost is how many keys of hosts are remembered as they verify fastest: 64 MiB.
const keysMost = 262_144

func newIntake(cfg Config, book *ledger.Ledger) *intake {
	if cfg.Identify == nil {
		cfg.Identify = byKey
	}
	d := &intake{
		cfg: cfg, book: book, began: time.Now(), reply: map[ledger.HostID]uint32{}, orphans: map[ledger.HostID]orphan{}, missing: map[ledger.HostID]wait{}, seen: map[[32]byte]bool{},
		counted: map[ledger.HostID]*recent{}, buckets: map[string]*bucket{}, keys: attest.Keys{Most: keysMost},
		openers: make([]opener, runtime.GOMAXPROCS(0)),
	}
	for i := range d.openers {
		d.openers[i].attest.Keys = &d.keys
	}
	return d
}

// drain returns what was collected and starts anew. With whole, no host's rows stay
// behind.
func (d *intake) drain(whole bool) (store.Checkpoint, []addressee) {
	var after time.Duration
	if !whole {
		after = d.cfg.Carry(d.book.Devices())
	}
	c := store.Checkpoint{Changes: d.book.TakeDue(int64(time.Since(d.began)), int64(after)), Frames: d.frames, FrameCount: d.count, Quarantine: d.refused}
	hosts := make([]addressee, 0, len(d.reply))
	for host, form := range d.reply {
		hosts = append(hosts, addressee{host, form})
	}
	d.frames, d.count, d.refused = d.frames[:0], 0, nil
	clear(d.reply)
	return c, hosts
}

// takeAll opens the letters side by side and decides on them in order.
func (d *intake) takeAll(letters []letter, now time.Time) {
	letters = d.limit(letters, now)
	if len(letters) == 0 {
		return
	}
	signed := slices.Grow(d.signed[:0], len(letters))[:len(letters)]
	d.signed = signed
	d.sideBySide(len(letters), verifyTogether, func(worker, from, to int) {
		copy(signed[from:to], d.openers[worker].open(letters[from:to]))
	})
	for from := 0; from < len(letters); from += readTogether {
		few, signed := letters[from:min(from+readTogether, len(letters))], signed[from:]
		d.sideBySide(len(few), readTogether/8, func(_, from, to int) {
			for i := from; i < to; i++ {
				d.opened[i] = d.open(few[i], signed[i], &d.decoders[i])
			}
		})
		for i := range few {
			d.decide(&d.opened[i], few[i].envelope, now)
		}
	}
	clear(signed)
	d.opened = [readTogether]opened{}
}

// verifyTogether is how many signatures one core verifies before another helps: the
// more are in one equation, the less each takes, and it takes little beside the rest.
const verifyTogether = 512

// readTogether is how many letters are read before they are counted. All signatures of
// a group are verified first, but what was read of many batches would be out of the
// processor's cache again before it is counted.
const readTogether = 64

// sideBySide has workers do n things, each a share of no fewer than least of them, and
// returns when all are done. There are as many at most as there are openers.
func (d *intake) sideBySide(n, least int, do func(worker, from, to int)) {
	workers := max(1, min(len(d.openers), n/least))
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() { do(w, w*n/workers, (w+1)*n/workers) })
	}
	wait.Wait()
}

// opener is the memory of one of those who open letters side by side.
type opener struct {
	attest    attest.Opener
	envelopes [][]byte
}

// open verifies the signatures of letters together. What it returns is valid until the
// next call.
func (o *opener) open(letters []letter) []attest.Opened {
	o.envelopes = o.envelopes[:0]
	for i := range letters {
		o.envelopes = append(o.envelopes, letters[i].envelope)
	}
	signed := o.attest.Open(attest.DomainBatch, o.envelopes)
	clear(o.envelopes)
	return signed
}

// open checks a letter: size, signature, who signed, and only then its content, which
// stays in the decoder's memory. What signed says is of the letter's envelope.
func (d *intake) open(l letter, signed attest.Opened, decoder *wire.Decoder) opened {
	o := opened{host: subjectHost(l.subject), hash: attest.Hash(l.envelope)}
	if len(l.envelope) > maxEnvelope {
		return o.refuse(reasonSize, fmt.Sprintf("%d bytes", len(l.envelope)))
	}
	if signed.Err != nil {
		return o.refuse(reasonSignature, signed.Err.Error())
	}
	key, body := signed.Key, signed.Body
	o.key = key
	id, refused := d.cfg.Identify(key)
	switch {
	case id != "" && string(id) != o.host:
		return o.refuse(reasonIdentity, fmt.Sprintf("signed by %s, sent as %s", id, o.host))
	case refused != "":
		return o.refuse(reasonNotAdmitted, refused)
	}
	batch, err := decoder.Decode(body)
	if err != nil {
		return o.refuse(reasonUndecodable, err.Error())
	}
	o.batch, o.chain = batch, batch.Chain(o.hash)
	if batch.Host != o.host {
		return o.refuse(reasonIdentity, fmt.Sprintf("signed by %s, speaks for %s", o.host, batch.Host))
	}
	if batch.Epoch > 1<<62 || batch.Seq > 1<<62 {
		return o.refuse(reasonUndecodable, fmt.Sprintf("number %d/%d", batch.Epoch, batch.Seq))
	}
	return o
}

// untimely says which window ends too far in the future or in the past, "" if none
// does. Such a batch keeps its place in the chain, and its windows count as
// unobserved.
func (d *intake) untimely(windows []measure.Window, now time.Time) (reason, detail string) {
	latest, earliest := int64(math.MaxInt64), int64(math.MinInt64)
	if d.cfg.MaxAhead > 0 {
		latest = now.Add(d.cfg.MaxAhead).UnixNano()
	}
	if d.cfg.MaxAge > 0 {
		earliest = now.Add(-d.cfg.MaxAge).UnixNano()
	}
	for i := range windows {
		switch end := windows[i].EndNS; {
		case end > latest:
			reason = reasonFuture
		case end < earliest:
			reason = reasonPast
		default:
			continue
		}
		return reason, fmt.Sprintf("a window ends at %s", time.Unix(0, windows[i].EndNS).UTC().Format(time.RFC3339))
	}
	return "", ""
}

// name is what a batch is called in what people read.
func (o *opened) name() string { return fmt.Sprintf("batch %d/%d", o.batch.Epoch, o.batch.Seq) }

func (o opened) refuse(reason, detail string) opened {
	o.reason, o.detail, o.batch = reason, detail, nil
	return o
}

// decide counts, drops or quarantines an opened letter.
func (d *intake) decide(o *opened, envelope []byte, now time.Time) {
	if o.batch == nil {
		d.quarantine(o.host, o.reason, o.detail, o.hash, envelope, now)
		return
	}
	b := o.batch
	host := ledger.HostID(o.host)
	verdict := d.book.Position(host).JudgeRange(b.Epoch, b.First(), b.Seq, b.PrevHash, o.chain)
	if verdict == ledger.Duplicate && d.counted[host].differs(ledger.Position{Epoch: b.Epoch, Seq: b.Seq, Hash: o.chain}) {
		verdict = ledger.Equivocation
	}
	d.answer(host, verdict, b.Receipts)
	switch verdict {
	case ledger.Duplicate:
		return
	case ledger.Missing:
		d.await(host, o.name(), o.hash, now)
		return
	case ledger.Equivocation:
		d.quarantine(o.host, verdict.String(), o.name()+" differs from the one that was counted", o.hash, envelope, now)
		return
	case ledger.Orphan:
		if first, ok := d.orphans[host]; !ok || first.hash != o.hash {
			d.orphans[host] = orphan{o.hash, now}
			return
		} else if now.Sub(first.since) < d.cfg.OrphanGrace {
			return
		}
		verdict = ledger.ChainBreak
	}
	if verdict == ledger.ChainBreak {
		d.quarantine(o.host, verdict.String(), o.name()+" follows a batch that was not counted", o.hash, nil, now)
	}
	delete(d.orphans, host)
	delete(d.missing, host)
	if d.counted[host] == nil {
		d.counted[host] = &recent{}
	}
	d.counted[host].add(ledger.Position{Epoch: b.Epoch, Seq: b.Seq, Hash: o.chain})
	d.count++
	d.frames = evidence.AppendFrame(d.frames, envelope)
	entry := &d.entry
	evidence.Fill(entry, host, o.key, o.chain, b)
	d.book.Place(entry, evidence.Clock(b), now.UnixNano())
	if o.reason, o.detail = d.untimely(entry.Windows, now); o.reason == "" {
		// A window that no device can have is left out, and its time is unobserved;
		// the rest of the batch counts.
		if bad := entry.Sift(); bad != nil {
			d.quarantine(o.host, reasonRefused, o.name()+": "+bad.Error(), o.hash, envelope, now)
		}
		err := d.book.Apply(entry)
		if err == nil {
			return
		}
		o.reason, o.detail = reasonRefused, err.Error()
	}
	// A batch that cannot be counted keeps its place in the chain, or the host
	// would be stuck behind it for ever. Its time is charged as unobserved. It is noted
	// also if it was refused for something else before: it has its place now.
	delete(d.seen, o.hash)
	d.quarantine(o.host, o.reason, o.name()+": "+o.detail, o.hash, envelope, now)
	entry.Windows, entry.Devices, entry.Traffic = nil, nil, nil
	if err := d.book.Apply(entry); err != nil {
		d.cfg.Log.Error("keep place of refused batch", slog.String("host", o.host), slog.Any("error", err))
	}
}

// await notes that a batch came whose predecessors are missing. When they stay
// away, that is told once.
func (d *intake) await(host ledger.HostID, came string, hash [32]byte, now time.Time) {
	p := d.book.Position(host)
	w := d.missing[host]
	if w.since.IsZero() || w.at != p {
		w = wait{at: p, since: now}
	}
	if !w.told && now.Sub(w.since) >= missingFor {
		w.told = true
		d.quarantine(string(host), "missing", fmt.Sprintf("%s came, and nothing that follows batch %d/%d for %s", came, p.Epoch, p.Seq, missingFor), hash, nil, now)
	}
	d.missing[host] = w
}

// quarantine keeps a refused batch, once: senders repeat what got no receipt.
func (d *intake) quarantine(host, reason, detail string, hash [32]byte, envelope []byte, now time.Time) {
	if envelope != nil { // not a note on a batch that was counted
		if d.seen[hash] {
			return
		}
		if len(d.seen) >= maxSeen {
			clear(d.seen)
		}
		d.seen[hash] = true
	}
	if len(envelope) > maxEnvelope {
		envelope = nil
	}
	d.refused = append(d.refused, store.Quarantine{Host: host, Reason: reason, Detail: detail, Received: now, Envelope: envelope})
	d.cfg.Log.Warn("quarantine", slog.String("host", host), slog.String("reason", reason), slog.String("detail", detail))
}

// subjectHost returns the host part of telemetry.<host>.batch.
func subjectHost(subject string) string {
	_, rest, _ := strings.Cut(subject, ".")
	host, _, _ := strings.Cut(rest, ".")
	return host
}
