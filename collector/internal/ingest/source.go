package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

// ConsumerName is the durable consumer of the stream of batches. Of a shared
// partition it has the partition's number behind it.
const ConsumerName = "ledger"

// Collectors that stand by for a partition are one group. The broker pins one of
// them, and another when that one has not asked for so long.
const (
	groupName = "collectors"
	pinnedFor = 3 * time.Second
	askEvery  = time.Second
)

// source hands over messages one by one; the bound on what waits is the
// consumer's, since the handler blocks.
type source struct {
	messages chan jetstream.Msg
	stop     chan struct{}
	consume  jetstream.ConsumeContext
	unpin    func(context.Context) error // nil where nobody else stands by
}

func (in *Ingest) subscribe(ctx context.Context) (*source, error) {
	js, err := jetstream.New(in.cfg.Conn)
	if err != nil {
		return nil, fmt.Errorf("open JetStream: %w", err)
	}
	config := jetstream.ConsumerConfig{
		Durable:       ConsumerName,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       30 * time.Second,
		MaxAckPending: 2 * in.cfg.MaxBatches,
	}
	options := []jetstream.PullConsumeOpt{
		jetstream.PullMaxMessagesWithBytesLimit(in.cfg.MaxBatches, in.cfg.MaxBytes),
		jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
			in.cfg.Log.WarnContext(ctx, "consume", slog.Int("partition", in.cfg.Partition.No), slog.Any("error", err))
		}),
	}
	if in.cfg.shared() {
		no := in.cfg.Partition.No
		config.Durable += "-" + strconv.Itoa(no)
		config.FilterSubject = wire.PartitionSubject(no)
		config.PriorityPolicy, config.PriorityGroups, config.PinnedTTL = jetstream.PriorityPolicyPinned, []string{groupName}, pinnedFor
		options = append(options, jetstream.PullPriorityGroup(groupName), jetstream.PullExpiry(askEvery), jetstream.PullHeartbeat(askEvery/2))
	}
	var consumer jetstream.Consumer
	err = in.patiently(ctx, func() (err error) {
		consumer, err = js.CreateOrUpdateConsumer(ctx, wire.StreamName, config)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("make consumer %s of %s: %w", config.Durable, wire.StreamName, err)
	}
	s := &source{messages: make(chan jetstream.Msg, groupMost), stop: make(chan struct{})}
	if in.cfg.shared() {
		s.unpin = func(ctx context.Context) error {
			stream, err := js.Stream(ctx, wire.StreamName)
			if err == nil {
				err = stream.UnpinConsumer(ctx, config.Durable, groupName)
			}
			return err
		}
	}
	s.consume, err = consumer.Consume(func(m jetstream.Msg) {
		select {
		case s.messages <- m:
		case <-s.stop:
		}
	}, options...)
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", wire.StreamName, err)
	}
	return s, nil
}

// patiently asks the broker again each second while it does not answer, until ctx ends:
// brokers that elect a leader are silent for longer than one question waits.
func (in *Ingest) patiently(ctx context.Context, ask func() error) error {
	for {
		err := ask()
		if err == nil || ctx.Err() != nil || !silent(err) {
			return err
		}
		in.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "the broker does not answer, and is asked again", slog.Int("partition", in.cfg.Partition.No), slog.Any("error", err))
		timer := time.NewTimer(askEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// silent says whether an error is that nobody answered for the broker in time, or that
// it said that it cannot yet.
func silent(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || errors.As(err, &api) && api.Code == http.StatusServiceUnavailable
}

func (s *source) close() {
	close(s.stop)
	s.consume.Stop()
	<-s.consume.Closed()
}
