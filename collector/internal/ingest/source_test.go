package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Brokers that are silent while they elect a leader are asked again, and what they
// refuse is not.
func TestSilentBrokersAreAskedAgain(t *testing.T) {
	in := &Ingest{cfg: Config{Log: slog.New(slog.DiscardHandler)}}
	asked := 0
	err := in.patiently(t.Context(), func() error {
		asked++
		return []error{context.DeadlineExceeded, fmt.Errorf("x: %w", nats.ErrTimeout), &jetstream.APIError{Code: http.StatusServiceUnavailable}, nil}[asked-1]
	})
	if err != nil || asked != 4 {
		t.Errorf("asked %d times, %v", asked, err)
	}
	asked = 0
	refused := &jetstream.APIError{Code: http.StatusNotFound}
	if err := in.patiently(t.Context(), func() error { asked++; return refused }); !errors.Is(err, refused) || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	asked = 0
	if err := in.patiently(ctx, func() error { asked++; cancel(); return context.DeadlineExceeded }); err == nil || asked != 1 {
		t.Errorf("after the end asked %d times, %v", asked, err)
	}
}
