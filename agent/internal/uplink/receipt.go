package uplink

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/spool"
)

// receive applies one receipt: the collector has committed all batches of the
// host up to and including the one that it names, and that one has its hash.
func (s *shipper) receive(ctx context.Context, r signedReceipt) error {
	m := spool.Mark{Epoch: r.Epoch, Seq: r.Seq}
	h := s.hosts[r.Host]
	if h == nil {
		return nil // a replay hears receipts of hosts that other agents serve
	}
	if known, err := s.checkHash(h, m, r); err != nil || !known {
		return err
	}
	s.u.count(func(st *Stats) { st.Receipts++; st.LastReceiptUnixS = time.Now().Unix() })
	if m == h.receipted {
		return s.checkBehind(ctx, h)
	}
	if s.u.opt.OnReceipt != nil {
		if err := s.u.opt.OnReceipt(r.envelope); err != nil {
			return fmt.Errorf("keep receipt for %s: %w", h.id, err)
		}
	}
	if m.Before(h.receipted) {
		return s.rewind(ctx, h, m)
	}
	h.receipted, h.hash, h.hashKnown = m, r.Hash, true
	h.behind = time.Time{}
	h.progress, h.backoff = time.Now(), s.u.opt.RetryAfter
	s.u.spool.Receipted(h.id, m)
	n := 0
	for ; n < len(h.queue) && !m.Before(h.queue[n].mark); n++ {
		s.finish(h.queue[n])
	}
	h.queue = h.queue[n:]
	if h.read.Before(m) {
		h.read = m // after a rewind that this receipt overtook
	}
	if len(h.queue) > 0 {
		s.touched[h] = struct{}{} // the next epoch may begin
	}
	return nil
}

// checkHash compares the receipt with the batch that it names. It reports false
// for a receipt that nothing can be said about: no collector is trusted yet, and
// the batch is not known any more.
func (s *shipper) checkHash(h *host, m spool.Mark, r signedReceipt) (known bool, err error) {
	// The head knows the newest batch when it is receipted and gone. Beyond it
	// nothing was ever produced here.
	head, _ := s.u.spool.Head(h.id)
	if head.Last.Before(m) {
		return false, fmt.Errorf("host %s, batch %d.%d, newest here %d.%d: %w", h.id, m.Epoch, m.Seq, head.Last.Epoch, head.Last.Seq, ErrForeignReceipt)
	}
	hash, known := s.hashOf(h, m, head)
	if !known {
		return s.u.trust.pinned(), nil
	}
	if hash != r.Hash {
		return false, fmt.Errorf("host %s, batch %d.%d: %w: another hash", h.id, m.Epoch, m.Seq, ErrForeignReceipt)
	}
	same, err := s.u.trust.pin(r.key)
	if err == nil && !same {
		err = fmt.Errorf("host %s, batch %d.%d: %w: signed by another collector", h.id, m.Epoch, m.Seq, ErrForeignReceipt)
	}
	return err == nil, err
}

// hashOf returns the hash of a batch of the host, if it is still known.
func (s *shipper) hashOf(h *host, m spool.Mark, head spool.Head) (hash [32]byte, known bool) {
	switch {
	case m == head.Last:
		return head.Hash, true
	case m == h.receipted:
		return h.hash, h.hashKnown
	}
	for _, e := range h.queue {
		if e.mark == m {
			return e.hash, true
		}
	}
	return hash, false
}

// rewind goes back to what the spool still has behind m: the collector was
// restored from a backup. Everything is read anew, which is rare and simple.
func (s *shipper) rewind(ctx context.Context, h *host, m spool.Mark) error {
	s.u.count(func(st *Stats) { st.Rewinds++ })
	s.u.opt.Log.WarnContext(ctx, "receipt went back, sending again", slog.String("host", h.id),
		slog.Uint64("epoch", m.Epoch), slog.Uint64("seq", m.Seq))
	h.receipted, h.hashKnown = m, false
	s.u.spool.Rewind(h.id, m)
	s.reset()
	return s.checkBehind(ctx, h)
}

// reset reads everything anew from the oldest batch on.
func (s *shipper) reset() {
	for _, other := range s.hosts {
		other.queue, other.read = nil, other.receipted
	}
	clear(s.touched)
	s.order, s.count, s.bytes, s.caught = nil, 0, 0, false
	s.cursor.Seek(spool.Position{})
}

// checkBehind notices that the batch which the collector waits for is not in the
// spool any more. A receipt that is merely late looks the same, so it has to
// stay so for a while.
func (s *shipper) checkBehind(ctx context.Context, h *host) error {
	if len(h.queue) == 0 {
		return nil
	}
	first, from := h.queue[0].mark, h.queue[0].first
	if first.Epoch != h.receipted.Epoch && from == 1 || first.Epoch == h.receipted.Epoch && from <= h.receipted.Seq+1 {
		h.behind = time.Time{}
		return nil
	}
	now := time.Now()
	if h.behind.IsZero() {
		h.behind = now
	}
	if now.Sub(h.behind) < 3*s.u.opt.RetryAfter {
		return nil
	}
	if s.u.opt.OnLost != nil {
		s.giveUp(ctx, h)
		return nil
	}
	return fmt.Errorf("host %s: collector is at %d.%d, oldest here %d.%d: %w", h.id,
		h.receipted.Epoch, h.receipted.Seq, first.Epoch, from, ErrBehindSpool)
}

// giveUp drops the batches of the oldest epoch of a host, which the collector can
// never accept, and says so.
func (s *shipper) giveUp(ctx context.Context, h *host) {
	h.lostEpoch = h.queue[0].mark.Epoch
	h.behind = time.Time{}
	lost := spool.LostRange{Host: h.id, From: h.receipted}
	n := 0
	for ; n < len(h.queue) && h.queue[n].mark.Epoch == h.lostEpoch; n++ {
		lost.To = h.queue[n].mark
		s.finish(h.queue[n])
	}
	h.queue = h.queue[n:]
	s.unsend(h)
	s.u.count(func(st *Stats) { st.LostBatches += uint64(n) })
	s.u.opt.Log.ErrorContext(ctx, "batches given up: the collector lacks what comes before them", slog.String("lost", lost.String()))
	s.u.opt.OnLost(lost)
}

// finish takes a batch out of the window.
func (s *shipper) finish(e *entry) {
	e.done = true
	s.count--
	s.bytes -= e.size
}

// release lets the spool go of what stands before the oldest batch without a
// receipt.
func (s *shipper) release() error {
	n := 0
	for n < len(s.order) && s.order[n].done {
		n++
	}
	s.order = s.order[n:]
	at := s.cursor.Position()
	if len(s.order) > 0 {
		at = s.order[0].at
	}
	if err := s.u.spool.Release(at); err != nil {
		return fmt.Errorf("release spool: %w", err)
	}
	return nil
}
