package uplink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/pkg/settings"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// line is one connection to the broker.
type line struct {
	*nats.Conn
	gone   chan struct{} // closed when it has ended for good and its callbacks are over
	cancel context.CancelFunc
}

// end closes the connection and waits until its callbacks are over.
func (l *line) end() {
	l.cancel() // lets callbacks go that wait for the loop
	l.Close()
	<-l.gone
}

// How long the uplink waits before it connects again: half a second, and more
// after each time that the broker does not know the host. A host that is locked
// or revoked asks once a minute whether a person let it in again.
const (
	reconnectWait   = 500 * time.Millisecond
	reconnectJitter = 250 * time.Millisecond
	refusedWait     = time.Minute
)

func delay(refusals int64) time.Duration {
	wait := reconnectWait << min(refusals, 10)
	var b [1]byte
	rand.Read(b[:]) // never fails: the runtime stops the program instead
	return min(wait, refusedWait) + reconnectJitter*time.Duration(b[0])/256
}

// connect opens a connection that comes back by itself for ever, and subscribes
// to the receipts. It does not wait for the broker.
func (u *Uplink) connect(ctx context.Context) (*line, error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &line{gone: make(chan struct{}), cancel: cancel}
	tell := func(e event) {
		select {
		case u.events <- e:
		case <-ctx.Done():
		}
	}
	var refusals atomic.Int64 // since the last connection
	options := []nats.Option{
		nats.Name("flopwatch-agent" + wire.InstanceMark + rand.Text()),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.CustomReconnectDelay(func(int) time.Duration { return delay(refusals.Load()) }),
		nats.IgnoreAuthErrorAbort(),
		// The spool is the buffer; a second one would send batches out of order.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(10 * time.Second),
		nats.ClosedHandler(func(*nats.Conn) { close(l.gone) }),
		nats.ConnectHandler(func(*nats.Conn) {
			refusals.Store(0)
			tell(event{kind: connected})
		}),
		nats.ReconnectHandler(func(*nats.Conn) {
			refusals.Store(0)
			u.count(func(s *Stats) { s.Reconnects++ })
			tell(event{kind: connected})
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			// A forbidden publish is told in no other way.
			if errors.Is(err, nats.ErrPermissionViolation) {
				tell(event{kind: refused, err: err})
				return
			}
			if errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthRevoked) || errors.Is(err, nats.ErrAuthExpired) {
				if refusals.Add(1) == 1 {
					u.opt.Log.ErrorContext(ctx, "the broker does not let this host in (was it revoked, or is there a copy of it?); what it does stays in the spool")
				}
				return
			}
			u.opt.Log.WarnContext(ctx, "broker connection", slog.Any("err", err))
		}),
	}
	if u.opt.Show != nil {
		options = append(options, nats.TokenHandler(u.opt.Show))
	}
	nc, err := nats.Connect(u.opt.URL, append(options, u.opt.NATS...)...)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("connect to broker %s: %w", u.opt.URL, err)
	}
	subject := wire.ReceiptSubject("*")
	if u.opt.Host != "" {
		subject = wire.ReceiptSubject(u.opt.Host)
	}
	_, err = nc.Subscribe(subject, func(m *nats.Msg) {
		r, ok := u.verify(ctx, m)
		if !ok {
			u.count(func(s *Stats) { s.RefusedReceipts++ })
			return
		}
		select {
		case u.receipts <- r:
		case <-ctx.Done():
		}
	})
	if err == nil && u.opt.OnSettings != nil && u.opt.Host != "" {
		subject = settings.Subject(u.opt.Host)
		_, err = nc.Subscribe(subject, func(m *nats.Msg) { u.opt.OnSettings(m.Data) })
	}
	if err == nil && u.opt.OnCounter != nil {
		subject = wire.CounterSubject(u.opt.Host)
		_, err = nc.Subscribe(subject, func(m *nats.Msg) { u.opt.OnCounter(m.Data) })
	}
	l.Conn = nc
	if err != nil {
		l.end()
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	if u.opt.OnLeases == nil || u.opt.Host == "" {
		return l, nil
	}
	leases := wire.LeasesSubject(u.opt.Host)
	_, err = nc.Subscribe(leases, func(m *nats.Msg) {
		if err := u.opt.OnLeases(m.Data); err != nil {
			u.opt.Log.ErrorContext(ctx, "tenancy leases were not taken", slog.Any("error", err))
		}
	})
	if err != nil {
		l.end()
		return nil, fmt.Errorf("subscribe to %s: %w", leases, err)
	}
	return l, nil
}
