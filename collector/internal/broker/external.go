package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

// ExternalOptions say where a broker is that somebody else runs. URL and SeedFile
// must be set; deploy/nats shows how it has to be configured.
type ExternalOptions struct {
	URL        string      // of one or more servers, with commas between
	SeedFile   string      // nkey seed of the collector's user
	TLS        *tls.Config // nil: what the URL says
	MaxBytes   int64       // of the stream, 2 GiB if 0
	MaxPerHost int64       // messages of one host in the stream, 1,000 if 0
	Replicas   int         // of the stream, 1 if 0
	Partitions int         // as in Options
	Log        *slog.Logger
}

// ExternalUser returns the public nkey of the collector's user on a broker outside,
// whose seed is in the file, which is made on the first call.
func ExternalUser(path string) (string, error) { return loadOrCreateSeed(path) }

// External is a connection to a broker outside the collector.
type External struct {
	url  string
	conn *nats.Conn
	make func(context.Context) error // the stream
}

// connectWait bounds how long a start waits for a broker outside.
const connectWait = 30 * time.Second

// How long one try to make the stream may take, and how long the next one waits.
const (
	makeWait  = 5 * time.Second
	makeAgain = 500 * time.Millisecond
)

// Connect connects to a broker outside and makes the stream, or brings it up to
// date. What the broker lets a host do is in its own configuration.
func Connect(ctx context.Context, o ExternalOptions) (*External, error) {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 2 << 30
	}
	if o.MaxPerHost <= 0 {
		o.MaxPerHost = 1_000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	key, err := nats.NkeyOptionFromSeed(o.SeedFile)
	if err != nil {
		return nil, fmt.Errorf("connect to broker %s: read key %s: %w", o.URL, o.SeedFile, err)
	}
	options := []nats.Option{key, nats.Name("collector"), nats.MaxReconnects(-1), nats.RetryOnFailedConnect(true), nats.CustomInboxPrefix(wire.CollectorInbox),
		nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			o.Log.WarnContext(ctx, "broker", slog.Any("error", err))
		})}
	if o.TLS != nil {
		options = append(options, nats.Secure(o.TLS))
	}
	conn, err := nats.Connect(o.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("connect to broker %s: %w", o.URL, err)
	}
	e := &External{url: o.URL, conn: conn, make: func(ctx context.Context) error {
		making, cancel := context.WithTimeout(ctx, connectWait)
		defer cancel()
		for {
			// A question that nobody was there to answer is asked again.
			asking, end := context.WithTimeout(making, makeWait)
			err := makeStream(asking, conn, o.MaxBytes, streamConfig(o.MaxBytes, o.MaxPerHost, max(o.Replicas, 1), o.Partitions))
			end()
			if err == nil {
				return nil
			}
			// The servers of a cluster that has just begun know no leader yet.
			select {
			case <-time.After(makeAgain):
			case <-making.Done():
				return fmt.Errorf("broker %s: %w", o.URL, err)
			}
		}
	}}
	if err := e.make(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return e, nil
}

// Conn returns the connection. It is closed by Close.
func (e *External) Conn() *nats.Conn { return e.conn }

// Recheck does nothing: a broker outside cuts connections when its configuration
// is loaded anew. Ingest refuses what a host sends that may not report.
func (e *External) Recheck() error { return nil }

// Probe publishes a message as hosts do and waits until it is stored. Its error
// wraps ErrStuck.
func (e *External) Probe(ctx context.Context) error { return probe(ctx, e.conn) }

// Lost reports whether the error of a probe says that the broker is there and has
// lost the stream. A broker outside that is merely stuck needs a person.
func Lost(err error) bool { return errors.Is(err, jetstream.ErrStreamNotFound) }

// Restart makes the stream again, which the broker lost with its store. The hosts
// send again what has no receipt.
func (e *External) Restart(ctx context.Context) error { return e.make(ctx) }

// Close closes the connection.
func (e *External) Close() error {
	e.conn.Close()
	return nil
}
