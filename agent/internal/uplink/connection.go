package uplink

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/pkg/settings"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// connect opens a connection that comes back by itself for ever, and subscribes
// to the receipts. It does not wait for the broker. gone is closed when the
// connection has ended for good and its callbacks are over.
func (u *Uplink) connect(ctx context.Context, gone chan struct{}) (*nats.Conn, error) {
	tell := func(e event) {
		select {
		case u.events <- e:
		case <-ctx.Done():
		}
	}
	options := []nats.Option{
		nats.Name("flopwatch-agent" + wire.InstanceMark + rand.Text()),
		nats.RetryOnFailedConnect(true),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(500 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 500*time.Millisecond),
		// The spool is the buffer; a second one would send batches out of order.
		nats.ReconnectBufSize(-1),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(10 * time.Second),
		nats.ClosedHandler(func(*nats.Conn) { close(gone) }),
		nats.ConnectHandler(func(*nats.Conn) { tell(event{kind: connected}) }),
		nats.ReconnectHandler(func(*nats.Conn) {
			u.count(func(s *Stats) { s.Reconnects++ })
			tell(event{kind: connected})
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			// A forbidden publish is told in no other way.
			if errors.Is(err, nats.ErrPermissionViolation) || errors.Is(err, nats.ErrAuthorization) {
				tell(event{kind: refused, err: err})
				return
			}
			u.opt.Log.WarnContext(ctx, "broker connection", slog.Any("err", err))
		}),
	}
	nc, err := nats.Connect(u.opt.URL, append(options, u.opt.NATS...)...)
	if err != nil {
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
	if err != nil {
		nc.Close()
		<-gone
		return nil, fmt.Errorf("subscribe to %s: %w", subject, err)
	}
	if u.opt.OnLeases == nil || u.opt.Host == "" {
		return nc, nil
	}
	leases := wire.LeasesSubject(u.opt.Host)
	_, err = nc.Subscribe(leases, func(m *nats.Msg) {
		if err := u.opt.OnLeases(m.Data); err != nil {
			u.opt.Log.ErrorContext(ctx, "tenancy leases were not taken", slog.Any("error", err))
		}
	})
	if err != nil {
		nc.Close()
		<-gone
		return nil, fmt.Errorf("subscribe to %s: %w", leases, err)
	}
	return nc, nil
}
