package swarm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// verifyEvery is how many receipts of a host come for one whose signature is
// verified, after the first of each host, which always is. A real host verifies all
// of its own, but here one process would do so for the whole fleet and take from
// the collector the time that is to be measured.
const verifyEvery = 16

// ErrForeign means that a receipt confirms a batch that was not sent.
var ErrForeign = errors.New("receipt for a batch that was not sent")

func (s *Swarm) connect() error {
	options := append([]nats.Option{nats.Name("flopwatch-agent swarm"), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.FlusherTimeout(30 * time.Second)}, s.cfg.NATS...)
	conn, err := nats.Connect(s.cfg.URL, options...)
	if err != nil {
		return fmt.Errorf("swarm: connect to broker %s: %w", s.cfg.URL, err)
	}
	sub, err := conn.Subscribe(wire.ReceiptSubject("*"), s.receipt)
	if err == nil {
		// Receipts are small and one loop takes them: the bound is there so that it is never met.
		err = sub.SetPendingLimits(4_000_000, 1<<30)
	}
	if err != nil {
		conn.Close()
		return fmt.Errorf("swarm: hear receipts: %w", err)
	}
	s.conn = conn
	return nil
}

// publish hands a batch over. A connection that is away is no error: what has no
// receipt is sent again.
func (s *Swarm) publish(h *host, envelope []byte) error {
	err := s.conn.Publish(wire.BatchSubject(h.id), envelope)
	if err != nil && (errors.Is(err, nats.ErrMaxPayload) || s.conn.IsClosed()) {
		return fmt.Errorf("swarm: send batch of %s: %w", h.id, err)
	}
	return nil
}

// receipt lets go of what the collector has committed.
func (s *Swarm) receipt(m *nats.Msg) {
	id := strings.TrimPrefix(m.Subject, wire.ReceiptSubject(""))
	s.mu.Lock()
	i, known := s.byID[id]
	verify := false
	if known {
		verify = s.hosts[i].checked%verifyEvery == 0
		s.hosts[i].checked++
	}
	s.mu.Unlock()
	if !known {
		return // of another swarm
	}
	r, err := s.open(m.Data, id, verify)
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.fault = errors.Join(s.fault, fmt.Errorf("swarm: receipt for %s: %w", id, err))
		return
	}
	s.counts.Receipts++
	if verify {
		s.counts.Verified++
	}
	h := &s.hosts[i]
	if r.Epoch != h.epoch {
		return // of what an earlier swarm with this seed sent
	}
	s.heardNS = now.UnixNano()
	done := 0
	for done < len(h.pending) && h.pending[done].seq <= r.Seq {
		p := &h.pending[done]
		if p.seq == r.Seq && p.hash != r.Hash {
			s.fault = errors.Join(s.fault, fmt.Errorf("swarm: batch %d/%d of %s: %w", r.Epoch, r.Seq, id, ErrForeign))
			return
		}
		s.waiting -= int64(len(p.envelope))
		s.reachedNS = max(s.reachedNS, p.atNS)
		s.unsent--
		if s.cfg.Real {
			s.lag.add(now.Sub(time.Unix(0, p.dueNS)))
		}
		done++
	}
	if done == 0 {
		return
	}
	clear(h.pending[:done])
	if h.pending = h.pending[done:]; len(h.pending) == 0 {
		h.pending = nil
	}
	select {
	case s.room <- struct{}{}:
	default:
	}
}

func (s *Swarm) open(envelope []byte, id string, verify bool) (wire.Receipt, error) {
	body, err := attest.Unverified(envelope)
	if err != nil {
		return wire.Receipt{}, err
	}
	if verify {
		key, signed, err := attest.OpenEither(attest.DomainReceipt, envelope)
		if err != nil {
			return wire.Receipt{}, err
		}
		if !bytes.Equal(key, s.cfg.CollectorKey) {
			return wire.Receipt{}, errors.New("signed by another collector")
		}
		body = signed
	}
	r, err := wire.DecodeReceipt(body)
	if err == nil && r.Host != id {
		err = fmt.Errorf("it is for %s", r.Host)
	}
	return r, err
}

// tend sends again what has no receipt for long, and tells how far the swarm is.
func (s *Swarm) tend(ctx context.Context, stop <-chan struct{}) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-stop:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.resend(); err != nil {
			s.mu.Lock()
			s.fault = errors.Join(s.fault, err)
			s.mu.Unlock()
			return
		}
		if n%5 == 0 && s.cfg.Progress != nil {
			s.mu.Lock()
			fmt.Fprintf(s.cfg.Progress, "swarm: %d of %d batches sent, %d without receipt, lag p50 %s p99 %s\n",
				s.counts.Batches, int64(s.cfg.Batches)*int64(s.cfg.Hosts), s.unsent, s.lag.quantile(0.5).Round(time.Millisecond), s.lag.quantile(0.99).Round(time.Millisecond))
			s.mu.Unlock()
		}
	}
}

// resend goes back to the oldest batch of each host that seems to be lost: what was
// sent well after it is receipted, or nothing is receipted any more. A collector that
// is merely behind is not given more to do.
func (s *Swarm) resend() error {
	now := time.Now().UnixNano()
	type again struct {
		h         *host
		envelopes [][]byte
	}
	var all []again
	s.mu.Lock()
	late := s.reachedNS - int64(s.cfg.RetryAfter)
	if now-s.heardNS > int64(s.cfg.RetryAfter) {
		late = now - int64(s.cfg.RetryAfter)
	}
	for i := range s.hosts {
		h := &s.hosts[i]
		if len(h.pending) == 0 || h.pending[0].atNS > late {
			continue
		}
		a := again{h: h}
		for k := range h.pending {
			h.pending[k].atNS = now
			a.envelopes = append(a.envelopes, h.pending[k].envelope)
		}
		s.counts.Resent += int64(len(a.envelopes))
		if all = append(all, a); len(all) > 10_000 {
			break // the rest a second later
		}
	}
	s.mu.Unlock()
	if len(all) > 0 {
		s.cfg.Log.Warn("no receipt for long: sent again", slog.Int("hosts", len(all)))
	}
	for _, a := range all {
		for _, envelope := range a.envelopes {
			if err := s.publish(a.h, envelope); err != nil {
				return err
			}
		}
	}
	return nil
}
