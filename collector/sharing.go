package collector

import (
	"context"
	"log/slog"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// How often a collector says that it lives, and after how long without a word the
// others count it as gone.
const (
	beatEvery = 500 * time.Millisecond
	goneAfter = 3 * time.Second
)

// sharing decides for which partitions this collector stands by. Who of those that
// stand by counts a partition is the broker's to say, and whose checkpoint is taken
// the database's: what is decided here makes the shares even and costs nothing else
// when it is wrong.
//
// Each may count an even share, rounded up. Below that a collector stands by for
// every partition; with its share, for those alone that nobody has counted for a
// while; above it lets go of one at a time, which goes to one that has less.
type sharing struct {
	me   string
	beat map[string]life // of the others
	held []life          // renewals of the leases
}

// life is the newest sign of something that may have ended. It is judged by this
// collector's own clock: that of another machine says nothing here.
type life struct {
	sign int64
	at   time.Time
}

func (l *life) see(sign int64, now time.Time) (alive bool) {
	if l.at.IsZero() || l.sign != sign {
		*l = life{sign, now}
	}
	return now.Sub(l.at) < goneAfter
}

func newSharing(me string) *sharing { return &sharing{me: me, beat: map[string]life{}} }

// decide returns for which partitions this collector is to stand by.
func (s *sharing) decide(all []store.Sharer, held []store.Held, now time.Time) []bool {
	alive, told := map[string]bool{s.me: true}, map[string]bool{}
	for _, c := range all {
		told[c.ID] = true
		l := s.beat[c.ID]
		if c.ID != s.me && l.see(c.Beat, now) {
			alive[c.ID] = true
		}
		s.beat[c.ID] = l
	}
	for id := range s.beat {
		if !told[id] { // before that it would be taken for one that has just come
			delete(s.beat, id)
		}
	}
	if len(s.held) != len(held) {
		s.held = make([]life, len(held))
	}
	want, mine := make([]bool, len(held)), 0
	for i, h := range held {
		counted := s.held[i].see(h.Fence<<40^h.RenewedNS, now) && (h.Owner == "" || alive[h.Owner])
		switch {
		case h.Owner == s.me:
			want[i] = true
			mine++
		case !counted:
			want[i] = true
		}
	}
	share := (len(held) + len(alive) - 1) / len(alive)
	switch {
	case mine < share:
		for i := range want {
			want[i] = true
		}
	case mine > share:
		for i := len(held) - 1; i >= 0; i-- {
			if held[i].Owner == s.me {
				want[i] = false
				break
			}
		}
	}
	return want
}

// share beats and stands by for partitions until ctx ends.
func (c *counting) share(ctx context.Context) error {
	s, tick := newSharing(c.setup.Owner), time.NewTicker(beatEvery)
	defer tick.Stop()
	defer func() { _ = c.setup.Store.Leave(context.WithoutCancel(ctx), c.setup.Owner) }() // or it is found to be gone
	for {
		all, held, err := c.setup.Store.Beat(ctx, c.setup.Owner, c.name)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			c.log.LogAttrs(ctx, slog.LevelWarn, "who shares the work is not known", slog.Any("error", err))
		case len(held) != c.of:
			return store.ErrDivided
		default:
			for no, want := range s.decide(all, held, time.Now()) {
				c.want(no, want)
			}
			if c.beaten != nil {
				c.beaten()
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
