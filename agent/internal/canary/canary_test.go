package canary

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/witness"
	"github.com/flopwatch/flopwatch/bpf"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// A watcher that goes blind is told after two minutes, once an hour, until it sees
// again.
func TestBlindWatcherIsTold(t *testing.T) {
	blind, started := false, 0
	ended := make(chan struct{})
	close(ended)
	c := &Canary{Seen: func(int) bool { return !blind }, start: func() (int, <-chan struct{}, error) {
		started++
		return started, ended, nil
	}}
	now := time.Unix(1_700_000_000, 0)
	run := func(d time.Duration) (events []measure.Event) {
		for end := now.Add(d); now.Before(end); now = now.Add(time.Second) {
			got, err := c.Step(now)
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, got...)
		}
		return events
	}
	if got := run(time.Hour); len(got) != 0 || started < 55 || started > 61 {
		t.Fatalf("a watcher that sees: %d canaries, told %v", started, got)
	}
	blind = true
	got := run(4 * time.Minute)
	if len(got) != 1 || got[0].Kind != measure.EventCanary || got[0].Code < 120 || got[0].Code > 190 {
		t.Fatalf("blind for four minutes: told %v", got)
	}
	if got := run(50 * time.Minute); len(got) != 0 {
		t.Errorf("told again within the hour: %v", got)
	}
	if got := run(20 * time.Minute); len(got) != 1 {
		t.Errorf("told %d times after an hour", len(got))
	}
	blind = false
	run(2 * time.Minute)
	blind = true
	if got := run(4 * time.Minute); len(got) != 1 {
		t.Errorf("blind a second time: told %v", got)
	}
}

// The kernel's own events show a real process of ours.
func TestCanaryIsSeenByTheKernel(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("watching processes needs root")
	}
	w := witness.Open(t.Context(), witness.Config{Method: bpf.Programs, Log: slog.New(slog.DiscardHandler)})
	if w.By() != witness.ByBPF {
		t.Skipf("processes are watched by %s here", w.By())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	defer func() {
		cancel()
		wait.Wait()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := New(func(pid int) bool { _, ok := w.Ended(pid); return ok }, "/bin/true")
	first := time.Now()
	for deadline := first.Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if _, err := c.Step(time.Now()); err != nil {
			t.Fatal(err)
		}
		if c.pid == 0 && !c.sent.IsZero() && c.seen.After(first) {
			return
		}
	}
	t.Error("a process that ran and ended was not seen")
}
