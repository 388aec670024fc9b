package outbox

import (
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// How coarse windows become when the spool is full, and how much time one batch of
// them may stand for.
const (
	thinWindow = time.Minute
	thinSpan   = 5 * time.Minute
)

// makeRoom thins the oldest windows in the spool, or, where all are thin, drops the
// oldest batches and leaves a tombstone. It returns how many bytes that freed. The
// work of the host is never waited for, and nothing goes without a word.
func (o *Outbox) makeRoom() (freed int64, err error) {
	if freed, err = o.spool.Thin(o.thin); err != nil || freed > 0 {
		return freed, err
	}
	return o.spool.Drop(o.tombstones)
}

// sealed is a frame with what is in it.
type sealed struct {
	spool.Frame
	batch *wire.Batch // nil if it cannot be read
}

func unseal(frames []spool.Frame) []sealed {
	out := make([]sealed, len(frames))
	for i, f := range frames {
		out[i].Frame = f
		if _, body, err := attest.Open(attest.DomainBatch, f.Envelope); err == nil {
			if b, err := wire.Decode(body); err == nil {
				out[i].batch = b
			}
		}
	}
	return out
}

// laneOf returns the open lane of a host, nil if there is none: then nobody here may
// sign for it.
func (o *Outbox) laneOf(host string) *Lane {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.lanes[host]
}

// thin makes batches of coarser windows that stand for several each. What cannot be
// put together stays as it is.
func (o *Outbox) thin(frames []spool.Frame) ([]spool.Frame, error) {
	all := unseal(frames)
	var out []spool.Frame
	for i := 0; i < len(all); {
		n := together(all[i:])
		if l := o.laneOf(all[i].Host); n > 1 && l != nil {
			if f, ok := l.thinned(all[i : i+n]); ok {
				out = append(out, f)
				i += n
				continue
			}
		}
		out = append(out, all[i].Frame)
		i++
	}
	return out, nil
}

// together returns how many frames from the first on can become one.
func together(all []sealed) int {
	first := &all[0]
	if first.batch == nil || first.FirstSeq != 0 || len(first.batch.Windows) == 0 {
		return 1
	}
	entries, events, traffic := 0, 0, 0
	for n := range all {
		f := &all[n]
		if f.batch == nil || f.FirstSeq != 0 || len(f.batch.Windows) == 0 || f.Host != first.Host || f.Epoch != first.Epoch || !alike(f.batch, first.batch) {
			return n
		}
		for i := range f.batch.Windows {
			entries += len(f.batch.Windows[i].Entries)
		}
		events, traffic = events+len(f.batch.Events), traffic+len(f.batch.Traffic)
		if n > 0 && (f.LastNS-first.FirstNS > int64(thinSpan) || f.FirstNS < first.FirstNS || entries > 8*maxBatchEntries || events > wire.MaxEvents || traffic > wire.MaxTraffic) {
			return n
		}
	}
	return len(all)
}

// alike says whether two batches describe host and devices in the same way.
func alike(a, b *wire.Batch) bool {
	return a.BootID == b.BootID && a.ClockNS == b.ClockNS && a.Facts == b.Facts && slices.Equal(a.Devices, b.Devices)
}

// thinned seals one batch of coarser windows for several. It reports false where
// that is larger than a batch may be.
func (l *Lane) thinned(all []sealed) (spool.Frame, bool) {
	last := all[len(all)-1].batch
	b := wire.Batch{Header: last.Header, Facts: last.Facts, Devices: last.Devices}
	var windows []measure.Window
	for i := range all {
		windows = append(windows, all[i].batch.Windows...)
		b.Events = append(b.Events, all[i].batch.Events...)
		b.Traffic = append(b.Traffic, all[i].batch.Traffic...)
		if len(all[i].batch.Addresses) > 0 {
			b.Addresses = all[i].batch.Addresses
		}
	}
	b.Windows = measure.Thin(windows, thinWindow)
	f, err := l.standIn(b, all)
	return f, err == nil && len(f.Envelope) <= l.box.opt.MaxBatchBytes
}

// standIn seals a batch that stands for all others, and has their place in the chain.
func (l *Lane) standIn(b wire.Batch, all []sealed) (spool.Frame, error) {
	first, last := &all[0], &all[len(all)-1]
	b.FirstSeq, b.Seq, b.Receipts = first.First(), last.Seq, wire.ReceiptsTogether
	b.PrevHash, b.ChainHash = first.batch.PrevHash, last.Hash
	f := spool.Frame{Host: last.Host, Epoch: last.Epoch, Seq: last.Seq, FirstSeq: first.First(), Hash: last.Hash}
	for i := range all {
		if all[i].LastNS > 0 { // one without windows has no times
			if f.LastNS == 0 || all[i].FirstNS < f.FirstNS {
				f.FirstNS = all[i].FirstNS
			}
			f.LastNS = max(f.LastNS, all[i].LastNS)
		}
		f.ResumeNS = max(f.ResumeNS, all[i].ResumeNS)
	}
	b.FirstNS, b.LastNS = f.FirstNS, f.LastNS
	body, err := wire.Encode(&b)
	if err != nil {
		return spool.Frame{}, fmt.Errorf("encode batch that stands for %d to %d: %w", b.FirstSeq, b.Seq, err)
	}
	f.Envelope = attest.Seal(*l.key.Load(), attest.DomainBatch, body)
	return f, nil
}

// tombstones makes one batch without windows of all that follow each other in one
// epoch of a host. It says how many batches and which time are gone.
func (o *Outbox) tombstones(frames []spool.Frame) ([]spool.Frame, error) {
	all := unseal(frames)
	var out []spool.Frame
	for i := 0; i < len(all); {
		n := 1
		for i+n < len(all) && all[i+n].Host == all[i].Host && all[i+n].Epoch == all[i].Epoch && all[i+n].batch != nil {
			n++
		}
		run := all[i : i+n]
		i += n
		l := o.laneOf(run[0].Host)
		if l == nil || run[0].batch == nil {
			for j := range run {
				out = append(out, run[j].Frame)
			}
			continue
		}
		f, err := l.tombstone(run)
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func (l *Lane) tombstone(run []sealed) (spool.Frame, error) {
	last := run[len(run)-1].batch
	from, to := int64(0), int64(0)
	for i := range run {
		if run[i].LastNS > 0 && (to == 0 || run[i].FirstNS < from) {
			from = run[i].FirstNS
		}
		to = max(to, run[i].LastNS)
	}
	return l.standIn(wire.Batch{Header: last.Header, Facts: last.Facts, Events: []measure.Event{{
		TimeNS: from, Kind: measure.EventDropped, Code: int64(run[len(run)-1].Seq - run[0].First() + 1),
		Detail: fmt.Sprintf("the spool was full: no windows from %s to %s", stamp(from), stamp(to)),
	}}}, run)
}

func stamp(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }
