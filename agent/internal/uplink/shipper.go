package uplink

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// maxBackoff is how many times RetryAfter the wait of a silent host grows to.
const maxBackoff = 20

// entry is a batch that was read from the spool and is not receipted.
type entry struct {
	host  *host
	at    spool.Position
	mark  spool.Mark
	first uint64 // number of the first batch that it stands for
	hash  [32]byte
	size  int64
	sent  bool // over the connection that is open
	sends int
	done  bool
}

// host is what the shipper knows of one host of the spool.
type host struct {
	id        string
	queue     []*entry   // not receipted, in order
	read      spool.Mark // last batch that was queued
	receipted spool.Mark
	hash      [32]byte // of receipted, when known
	hashKnown bool

	progress time.Time     // of the last receipt that moved on, or of a first sending
	backoff  time.Duration // wait until all is sent again
	// lostEpoch is given up: batches of it that are read later go the same way.
	lostEpoch uint64
	behind    time.Time // since when the collector lacks what the spool lost, zero if it does not
}

// shipper is the state of a running uplink. One goroutine owns it.
type shipper struct {
	u      *Uplink
	line   *line
	cursor *spool.Cursor // reads on
	again  *spool.Cursor // reads what is sent again
	hosts  map[string]*host
	order  []*entry // in the order of the spool
	bytes  int64    // of the envelopes in order
	count  int      // entries of order that are not done
	caught bool     // the cursor is at the end of what is synced
	online bool
	drains []drain
	// instance of the spool that positions in order are of
	instance uint64
	touched  map[*host]struct{} // have batches that may be sent now
	pace     pace
}

func newShipper(u *Uplink, l *line) *shipper {
	s := &shipper{
		u: u, line: l, cursor: u.spool.Cursor(), again: u.spool.Cursor(),
		hosts: map[string]*host{}, touched: map[*host]struct{}{}, instance: u.spool.Instance(),
		pace: pace{perSecond: u.opt.PerSecond, burst: float64(u.opt.Burst), tokens: float64(u.opt.Burst)},
	}
	for id, h := range u.spool.Heads() {
		s.hosts[id] = &host{id: id, receipted: h.Receipted, read: h.Receipted}
	}
	return s
}

func (s *shipper) close() error { return errors.Join(s.cursor.Close(), s.again.Close()) }

// loop ships until the context ends or an error that a person must look at.
func (s *shipper) loop(ctx context.Context) error {
	// The timer runs only while something waits for a receipt or for the broker: a
	// shipper with nothing to do does not wake the processor.
	retry := time.NewTimer(0)
	defer retry.Stop()
	armed := true
	for {
		if err := s.ship(ctx); err != nil {
			return err
		}
		s.publishStats()
		if !armed && (!s.online || s.count > 0) {
			retry.Reset(max(s.u.opt.RetryAfter/4, time.Millisecond))
			armed = true
		}
		var paced <-chan time.Time
		if s.pace.waits {
			paced = time.After(s.pace.next())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-paced:
			s.pace.waits = false
		case <-s.line.gone:
			return fmt.Errorf("connection to broker %s ended: %w", s.u.opt.URL, s.line.LastError())
		case options := <-s.u.renewals:
			if err := s.renew(ctx, options); err != nil {
				return err
			}
		case r := <-s.u.receipts:
			if err := s.takeReceipts(ctx, r); err != nil {
				return err
			}
		case <-s.u.spool.Wake():
			s.caught = false
		case e := <-s.u.events:
			if e.kind == refused {
				return fmt.Errorf("%w: %w", ErrRefused, e.err)
			}
			s.resume()
		case d := <-s.u.drains:
			s.caught = false
			s.drains = append(s.drains, d)
		case <-retry.C:
			armed = false
			if err := s.retry(ctx); err != nil {
				return err
			}
		}
	}
}

// renew replaces the connection. What was sent over the old one and not receipted
// is sent again.
func (s *shipper) renew(ctx context.Context, options []nats.Option) error {
	s.line.end()
	s.online = false
	s.u.opt.NATS = options
	next, err := s.u.connect(ctx)
	if err != nil {
		return err
	}
	s.line = next
	return nil
}

// takeReceipts takes the receipt and those that wait behind it, so that the
// spool is released once for many.
func (s *shipper) takeReceipts(ctx context.Context, r signedReceipt) error {
	for {
		if err := s.receive(ctx, r); err != nil {
			return err
		}
		select {
		case r = <-s.u.receipts:
		default:
			return s.release()
		}
	}
}

// ship reads what is new and sends what may be sent.
func (s *shipper) ship(ctx context.Context) error {
	if now := s.u.spool.Instance(); now != s.instance {
		// The writer of the spool began anew, or put coarser batches in place.
		s.instance = now
		s.reset()
	}
	for !s.caught && s.count < s.u.opt.WindowBatches && s.bytes < s.u.opt.WindowBytes {
		f, at, err := s.cursor.Next()
		if errors.Is(err, io.EOF) {
			s.caught = true
			break
		} else if s.u.spool.Instance() != s.instance {
			return nil // what was read is of another instance
		} else if err != nil {
			return fmt.Errorf("read spool: %w", err)
		}
		if err := s.queue(f, at); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
	}
	for h := range s.touched {
		delete(s.touched, h)
		if err := s.send(h); err != nil {
			return err
		}
		if s.pace.waits {
			break
		}
	}
	if s.caught && s.count == 0 {
		for _, d := range s.drains {
			close(d.done)
		}
		s.drains = nil
	}
	return nil
}

// queue adds a batch that was read, and sends it if nothing stands before it.
func (s *shipper) queue(f spool.Frame, at spool.Position) error {
	h := s.hosts[f.Host]
	if h == nil {
		h = &host{id: f.Host}
		s.hosts[f.Host] = h
	}
	if !h.read.Before(f.Mark()) {
		return nil // receipted before a restart, or queued before a rewind
	}
	if f.Epoch == h.lostEpoch {
		h.read = f.Mark()
		s.u.count(func(st *Stats) { st.LostBatches++ })
		s.u.opt.OnLost(spool.LostRange{Host: h.id, From: h.receipted, To: f.Mark()})
		return nil
	}
	e := &entry{host: h, at: at, mark: f.Mark(), first: f.First(), hash: f.Hash, size: int64(len(f.Envelope))}
	ready := len(h.queue) == 0 || h.queue[len(h.queue)-1].sent && h.queue[0].mark.Epoch == e.mark.Epoch
	h.read = e.mark
	h.queue = append(h.queue, e)
	s.order = append(s.order, e)
	s.count++
	s.bytes += e.size
	if !ready {
		return nil
	}
	if !s.online || !s.pace.take(time.Now()) {
		s.touched[h] = struct{}{}
		return nil
	}
	return s.publish(e, f.Envelope)
}

// send publishes the batches of a host that were not sent, up to the end of its
// oldest epoch.
func (s *shipper) send(h *host) error {
	for _, e := range h.queue {
		if !s.online || e.mark.Epoch != h.queue[0].mark.Epoch {
			break
		}
		if e.sent {
			continue
		}
		if !s.pace.take(time.Now()) {
			s.touched[h] = struct{}{}
			break
		}
		s.again.Seek(e.at)
		f, _, err := s.again.Next()
		if errors.Is(err, io.EOF) || errors.Is(err, fs.ErrNotExist) || s.u.spool.Instance() != s.instance {
			// It is not there any more, or not where it was: read everything anew.
			s.reset()
			return nil
		}
		if err == nil && (f.Host != h.id || f.Mark() != e.mark) {
			err = fmt.Errorf("found batch %d.%d of %s: %w", f.Epoch, f.Seq, f.Host, spool.ErrCorrupt)
		}
		if err != nil {
			return fmt.Errorf("read batch %d.%d of %s from spool: %w", e.mark.Epoch, e.mark.Seq, h.id, err)
		}
		if err := s.publish(e, f.Envelope); err != nil {
			return err
		}
	}
	return nil
}

// publish hands a batch to the broker connection. A connection that is down is
// no error: everything is sent again when it is back.
func (s *shipper) publish(e *entry, envelope []byte) error {
	if !s.online {
		return nil
	}
	err := s.line.Publish(wire.BatchSubject(e.host.id), envelope)
	if errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("send batch %d.%d of %s: %w", e.mark.Epoch, e.mark.Seq, e.host.id, err)
	} else if err != nil {
		s.online = false
		return nil
	}
	now := time.Now()
	if e == e.host.queue[0] {
		e.host.progress = now
	}
	if e.host.backoff == 0 {
		e.host.backoff = s.u.opt.RetryAfter
	}
	e.sent = true
	e.sends++
	s.u.count(func(st *Stats) {
		st.Sent++
		st.SentBytes += uint64(e.size)
		if e.sends > 1 {
			st.Resent++
		}
	})
	return nil
}

// resume sends everything that is not receipted again over a new connection.
func (s *shipper) resume() {
	s.online = true
	for _, h := range s.hosts {
		s.unsend(h)
	}
}

// unsend makes the batches of a host wait for sending.
func (s *shipper) unsend(h *host) {
	for _, e := range h.queue {
		e.sent = false
	}
	if len(h.queue) > 0 {
		s.touched[h] = struct{}{}
	}
}

// retry sends the batches of the hosts again whose receipts are overdue.
func (s *shipper) retry(ctx context.Context) error {
	if !s.online && s.line.IsConnected() {
		s.resume()
	}
	now := time.Now()
	for _, h := range s.hosts {
		if len(h.queue) == 0 || !h.queue[0].sent || now.Sub(h.progress) < h.backoff {
			continue
		}
		h.backoff = min(2*h.backoff, maxBackoff*s.u.opt.RetryAfter)
		if h.backoff == maxBackoff*s.u.opt.RetryAfter {
			s.u.opt.Log.WarnContext(ctx, "no receipt for a long time",
				slog.String("host", h.id), slog.Int("batches", len(h.queue)))
		}
		s.unsend(h)
	}
	return nil
}

func (s *shipper) publishStats() {
	s.u.count(func(st *Stats) {
		st.Waiting, st.WaitingBytes = s.count, s.bytes
		st.ConnectedToURL = s.line.ConnectedUrlRedacted()
		st.CollectorPinned = s.u.trust.pinned()
	})
}
