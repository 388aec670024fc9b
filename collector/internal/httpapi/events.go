package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// maxStreams bounds the open event streams, each of which asks for the status
// once per poll. maxStreamsEach bounds those of one person, with all their
// sessions and tokens: else one would leave the others none.
const (
	maxStreams     = 64
	maxStreamsEach = 8
)

// seats counts the open streams of one kind by whose they are.
type seats struct {
	most, each int
	what       string // for people: "event streams"

	mu   sync.Mutex
	open int
	of   map[string]int
}

func newSeats(what string, most, each int) *seats {
	return &seats{most: most, each: each, what: what, of: map[string]int{}}
}

// take takes a seat for who asks, which they give back by leave, or returns the
// problem that all or theirs are taken.
func (s *seats) take(ctx context.Context) (leave func(), err error) {
	who := permission.Of(ctx).ID // of a token too it is the person who made it
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open >= s.most || s.of[who] >= s.each {
		return nil, apitypes.NewProblem(http.StatusServiceUnavailable, "too many "+s.what+" are open")
	}
	s.open++
	s.of[who]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
		if s.of[who]--; s.of[who] == 0 {
			delete(s.of, who)
		}
	}, nil
}

const (
	keepAlive    = 15 * time.Second
	writeTimeout = 10 * time.Second
)

func (s *server) registerEvents(api huma.API) {
	op := huma.Operation{
		OperationID: "events", Method: http.MethodGet, Path: "/v1/events",
		Summary:     "Server-sent events: one named revision per commit",
		Description: "Each event is named revision and its data is the revision as a decimal integer. The first comes at once.",
		Errors:      []int{http.StatusUnauthorized, http.StatusServiceUnavailable},
		Responses: map[string]*huma.Response{"200": {
			Description: "A stream that does not end by itself",
			Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}},
		}},
	}
	huma.Register(api, op, func(ctx context.Context, _ *none) (*huma.StreamResponse, error) {
		leave, err := s.streams.take(ctx)
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			defer leave()
			_, w := humago.Unwrap(hc)
			s.stream(ctx, w)
		}}, nil
	})
}

// stream writes until the client leaves, the server stops or the status cannot
// be read; the client then connects again by itself.
func (s *server) stream(ctx context.Context, w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	send := func(text string) bool {
		// The server's write timeout is for answers that end; a stream has one per write.
		// A writer without deadlines (a test's) has none to move.
		_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.Write([]byte(text)); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	tick := time.NewTicker(s.Poll)
	defer tick.Stop()
	last, quiet := int64(-1), time.Duration(0)
	for {
		status, err := s.Reader.Status(ctx)
		switch {
		case err != nil:
			_ = s.failed(ctx, "status", err)
			return
		case status.Revision != last:
			last, quiet = status.Revision, 0
			if !send(fmt.Sprintf("event: revision\nid: %d\ndata: %d\n\n", last, last)) {
				return
			}
		case quiet >= keepAlive:
			quiet = 0
			if !send(": still here\n\n") {
				return
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.Stopping:
			return
		case <-tick.C:
			quiet += s.Poll
		}
	}
}
