// Package notify tells people outside the desk what waits for them, by e-mail and by
// signed webhooks: in order, each notice at least once, and again until it is taken.
package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/flopwatch/flopwatch/collector/internal/notice"
)

// Limits of telling.
const (
	perMessage   = 50 // notices
	firstBackoff = 10 * time.Second
	mostBackoff  = 15 * time.Minute
	// old is how long a notice waits for a channel that takes nothing. What is older
	// is told by its number only.
	old = 7 * 24 * time.Hour
)

// Outbox keeps what happened and how far channels were told.
type Outbox interface {
	// Notices returns what happened after a number, the first first.
	Notices(ctx context.Context, after int64, limit int) ([]notice.Notice, error)
	// Channel returns how far a channel was told; a new one begins now.
	Channel(ctx context.Context, name string) (notice.Progress, error)
	SetChannel(ctx context.Context, name string, p notice.Progress) error
}

type channel struct {
	name  string
	kinds []string
	send  func(context.Context, []notice.Notice) error
}

// Teller tells every channel what happened, in order, each at least once. A channel
// that takes nothing holds up no other one.
type Teller struct {
	outbox   Outbox
	desk     string
	channels []channel
	log      *slog.Logger
	now      func() time.Time
}

// New returns a teller for the channels of a configuration. It reads their secrets.
func New(c Config, outbox Outbox, now func() time.Time, log *slog.Logger) (*Teller, error) {
	t := &Teller{outbox: outbox, desk: c.Desk, log: log, now: now}
	for _, m := range c.Mail {
		to, err := newMailer(m, now)
		if err != nil {
			return nil, err
		}
		t.channels = append(t.channels, channel{m.Name, m.Kinds, to.send})
	}
	for _, w := range c.Webhooks {
		to, err := newWebhook(w, now)
		if err != nil {
			return nil, err
		}
		t.channels = append(t.channels, channel{w.Name, w.Kinds, to.send})
	}
	return t, nil
}

// Run tells until ctx ends, looking each so often. It starts a goroutine for each channel and joins them.
func (t *Teller) Run(ctx context.Context, every time.Duration) error {
	ended := make(chan struct{})
	for _, c := range t.channels {
		go func() {
			defer func() { ended <- struct{}{} }()
			t.follow(ctx, c, every)
		}()
	}
	for range t.channels {
		<-ended
	}
	<-ctx.Done()
	return nil
}

func (t *Teller) follow(ctx context.Context, c channel, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := t.Tell(ctx, c.name); err != nil && ctx.Err() == nil {
			t.log.LogAttrs(ctx, slog.LevelError, "people were not told", slog.String("channel", c.name), slog.String("error", err.Error()))
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Tell tells one channel what is due to it now. An error says that nothing could be
// kept, or that the channel did not take it and when it is tried again.
func (t *Teller) Tell(ctx context.Context, name string) error {
	at := slices.IndexFunc(t.channels, func(c channel) bool { return c.name == name })
	if at < 0 {
		return fmt.Errorf("there is no channel %q", name)
	}
	c := t.channels[at]
	for {
		p, err := t.outbox.Channel(ctx, c.name)
		if err != nil {
			return err
		}
		now := t.now()
		if now.Before(p.Next) {
			return nil
		}
		all, err := t.outbox.Notices(ctx, p.Told, perMessage)
		if err != nil || len(all) == 0 {
			return err
		}
		last := all[len(all)-1].No
		wanted := slices.DeleteFunc(slices.Clone(all), func(n notice.Notice) bool {
			return len(c.kinds) > 0 && !slices.Contains(c.kinds, n.Kind) || now.Sub(n.At) > old
		})
		if len(wanted) > 0 {
			if err := c.send(ctx, notice.Linked(wanted, t.desk)); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				p.Attempts++
				p.Problem = said(err)
				p.Next = now.Add(backoff(p.Attempts, err))
				if kept := t.outbox.SetChannel(ctx, c.name, p); kept != nil {
					return kept
				}
				return fmt.Errorf("attempt %d failed, the next one is at %s: %w", p.Attempts, p.Next.UTC().Format(time.RFC3339), err)
			}
			p.Took = now
		}
		if err := t.outbox.SetChannel(ctx, c.name, notice.Progress{Told: last, Took: p.Took}); err != nil {
			return err
		}
	}
}

// backoff is how long to wait after so many attempts that failed, or longer where
// the other side asks for it.
func backoff(attempts int, err error) time.Duration {
	wait := firstBackoff
	for range min(attempts-1, 20) {
		wait = min(wait*2, mostBackoff)
	}
	var a *answered
	if errors.As(err, &a) {
		wait = max(wait, a.after)
	}
	return wait
}

// said is a problem as it is kept: one line of bounded length.
func said(err error) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, err.Error())
	return text[:min(len(text), 300)]
}
