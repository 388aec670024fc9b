package ctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// What is watched is printed again when it says something else, and not otherwise.
func TestWatch(t *testing.T) {
	var revision, asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/events" || r.Header.Get("Authorization") != "Bearer t" {
			t.Errorf("%s %v", r.URL.Path, r.Header)
		}
		asked.Add(1)
		w.Header().Set("Content-Type", "text/event-stream")
		for last := int64(-1); r.Context().Err() == nil; time.Sleep(time.Millisecond) {
			if now := revision.Load(); now != last {
				last = now
				if _, err := fmt.Fprintf(w, "event: revision\nid: %d\ndata: %d\n\n", now, now); err != nil || http.NewResponseController(w).Flush() != nil {
					return
				}
			}
		}
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	open := func() (*client, error) {
		return &client{ctx: ctx, base: server.URL, token: "t", http: server.Client()}, nil
	}
	runs := 0
	var out, faults bytes.Buffer
	err := watch(ctx, &out, &faults, func(w io.Writer) error {
		runs++
		switch runs {
		case 1:
			_, err := io.WriteString(w, "one\n")
			return err
		case 2: // the same, as of the state before anything changed
			revision.Add(1)
			_, err := io.WriteString(w, "one\n")
			return err
		case 3:
			revision.Add(1)
			return errors.New("the collector starts again")
		}
		cancel()
		_, err := io.WriteString(w, "two\n")
		return err
	}, open)
	if err != nil || out.String() != "one\n" || faults.String() != "flopwatchctl: the collector starts again\n" || runs != 4 || asked.Load() < 3 {
		t.Errorf("%v; printed %q and %q in %d runs, asked for changes %d times", err, out.String(), faults.String(), runs, asked.Load())
	}
}

func TestWatchEnds(t *testing.T) {
	never := func() (*client, error) { return nil, errors.New("not asked") }
	down := errors.New("nobody answers")
	if err := watch(t.Context(), io.Discard, io.Discard, func(io.Writer) error { return down }, never); !errors.Is(err, down) {
		t.Error(err)
	}
	// What changes something is refused before it is sent.
	c := &client{ctx: t.Context(), base: "http://127.0.0.1:1", reads: true, once: func() string { return "" }, http: http.DefaultClient}
	if err := watch(t.Context(), io.Discard, io.Discard, func(io.Writer) error { return c.post("/v1/cases", nil, http.Header{}, nil) }, never); !errors.Is(err, errWatchReads) {
		t.Error(err)
	}
	// A check that does not hold is an answer, and is watched on.
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	err := watch(ctx, &out, io.Discard, func(w io.Writer) error {
		_, _ = io.WriteString(w, "it does not balance\n")
		return errUnbalanced
	}, func() (*client, error) {
		cancel()
		return never()
	})
	if err != nil || out.String() != "it does not balance\n" {
		t.Errorf("%v %q", err, out.String())
	}
}
