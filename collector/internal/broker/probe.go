package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

// ErrStuck means that the broker takes messages and does not store them. A store
// that met the end of its disk stays so, also when there is room again, until it
// is started anew.
var ErrStuck = errors.New("the broker stores nothing")

// How often and how long it is tried whether the broker stores.
const (
	ProbeEvery = 10 * time.Second
	probeWait  = 3 * time.Second
	probeLook  = 50 * time.Millisecond
	// Probes that nobody took say that nobody consumes, and nothing of the store.
	maxProbes = 10
)

// Probe asks the server how it is, then publishes a message as hosts do and waits
// until it is stored. Its error wraps ErrStuck.
func (b *Broker) Probe(ctx context.Context) error {
	b.mu.Lock()
	srv, conn := b.server, b.conn
	b.mu.Unlock()
	if health := srv.Healthz(&server.HealthzOptions{}); health.Status != "ok" {
		return fmt.Errorf("%w: it says that it is %s: %s", ErrStuck, health.Status, health.Error)
	}
	return probe(ctx, conn)
}

func probe(ctx context.Context, conn *nats.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("%w: open JetStream: %w", ErrStuck, err)
	}
	stream, err := js.Stream(ctx, wire.StreamName)
	if err != nil {
		return fmt.Errorf("%w: stream %s: %w", ErrStuck, wire.StreamName, err)
	}
	subject := wire.BatchSubject(wire.ProbeHost)
	stored := subject
	if mapping := stream.CachedInfo().Config.SubjectTransform; mapping != nil {
		stored = wire.BatchSubject(wire.ProbeHost) + ".*" // the partition stands behind it
	}
	before, err := stream.Info(ctx, jetstream.WithSubjectFilter(stored))
	if err != nil {
		return fmt.Errorf("%w: stream %s: %w", ErrStuck, wire.StreamName, err)
	}
	waiting := uint64(0)
	for _, n := range before.State.Subjects {
		waiting += n
	}
	if limit := before.Config.MaxBytes; waiting >= maxProbes || limit > 0 && before.State.Bytes > uint64(limit-limit/20) {
		return nil // nobody consumes, or the stream is full: it stores as it should
	}
	if err := conn.Publish(subject, nil); err != nil {
		return fmt.Errorf("%w: publish: %w", ErrStuck, err)
	}
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: a message was not stored within %s", ErrStuck, probeWait)
		case <-time.After(probeLook):
		}
		if now, err := stream.Info(ctx); err == nil && now.State.LastSeq > before.State.LastSeq {
			return nil
		}
	}
}
