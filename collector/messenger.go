package collector

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/calendar"
	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/notify"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// noticeEvery is how long a day before a deadline, and a notice, may go unnoticed.
const noticeEvery = 5 * time.Second

// messenger notes the days before deadlines, tells people through channels, and
// lets calendars be read.
type messenger struct {
	store  *store.Store
	reader *store.Reader
	config notify.Config
	teller *notify.Teller
	every  time.Duration
	now    func() time.Time
	log    *slog.Logger
}

// openMessenger reads the file of channels; without one nobody is told outside the desk.
func openMessenger(path string, every time.Duration, db *store.Store, reader *store.Reader, now func() time.Time, log *slog.Logger) (*messenger, error) {
	m := &messenger{store: db, reader: reader, every: cmp.Or(every, noticeEvery), now: now, log: log}
	if path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read channels: %w", err)
		}
		if m.config, err = notify.ReadConfig(filepath.Base(path), data); err != nil {
			return nil, err
		}
	}
	var err error
	m.teller, err = notify.New(m.config, db, now, log)
	return m, err
}

// run escalates and tells until ctx ends.
func (m *messenger) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return m.teller.Run(ctx, m.every) })
	group.Go(func() error {
		tick := time.NewTicker(m.every)
		defer tick.Stop()
		for {
			if _, err := m.store.Escalate(ctx, m.now()); err != nil && ctx.Err() == nil {
				m.log.LogAttrs(ctx, slog.LevelError, "deadlines were not escalated", slog.String("error", err.Error()))
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	})
	return group.Wait()
}

// mostWaiting bounds how many notices are counted for a channel.
const mostWaiting = 1000

// Channels returns how each channel fares.
func (m *messenger) Channels(ctx context.Context) ([]apitypes.Channel, error) {
	var out []apitypes.Channel
	for _, name := range m.config.Names() {
		p, err := m.store.Channel(ctx, name)
		if err != nil {
			return nil, err
		}
		waiting, err := m.store.Notices(ctx, p.Told, mostWaiting)
		if err != nil {
			return nil, err
		}
		out = append(out, apitypes.Channel{Name: name, Waiting: len(waiting), Attempts: p.Attempts, Next: p.Next, Took: p.Took, Problem: p.Problem})
	}
	return out, nil
}

// MakeCalendarLink makes the link of who asks. Only people have one.
func (m *messenger) MakeCalendarLink(ctx context.Context) (apitypes.CalendarLink, error) {
	who := permission.Of(ctx)
	if _, ok, err := m.store.User(ctx, who.ID); err != nil || !ok {
		if err == nil {
			err = &httpapi.Refusal{Status: http.StatusForbidden, Why: "links to the calendar are of people with accounts"}
		}
		return apitypes.CalendarLink{}, err
	}
	var random [32]byte
	rand.Read(random[:]) // never fails: the runtime stops the program instead
	secret := base64.RawURLEncoding.EncodeToString(random[:])
	if err := m.store.PutCalendarLink(ctx, who.ID, secret, m.now()); err != nil {
		return apitypes.CalendarLink{}, err
	}
	return apitypes.CalendarLink{Path: apitypes.CalendarPath + secret + ".ics"}, nil
}

// EndCalendarLink ends the link of who asks.
func (m *messenger) EndCalendarLink(ctx context.Context) error {
	return m.store.EndCalendarLink(ctx, permission.Of(ctx).ID)
}

// ServeHTTP answers calendars at /calendar/{secret}.ics. A link that is none, that
// ended, or whose owner may not read cases any more is answered as if there were
// no such page.
func (m *messenger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secret, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, apitypes.CalendarPath), ".ics")
	var text []byte
	var err error
	if ok {
		text, ok, err = m.calendar(r.Context(), secret)
	}
	switch {
	case err != nil:
		m.log.LogAttrs(r.Context(), slog.LevelError, "calendar failed", slog.String("error", err.Error()))
		http.Error(w, "the calendar could not be made; the collector's log says why", http.StatusInternalServerError)
	case !ok:
		http.Error(w, "there is no such calendar", http.StatusNotFound)
	default:
		w.Header().Set("Content-Type", "text/calendar; charset=utf-8")
		w.Header().Set("Content-Disposition", `attachment; filename="flopwatch.ics"`)
		w.Header().Set("Cache-Control", "private, no-store")
		_, _ = w.Write(text) // a client that left cannot be told more
	}
}

func (m *messenger) calendar(ctx context.Context, secret string) ([]byte, bool, error) {
	id, ok, err := m.store.CalendarUser(ctx, secret)
	if err != nil || !ok {
		return nil, false, err
	}
	user, ok, err := m.store.User(ctx, id)
	if err != nil || !ok || user.Disabled || !(permission.Principal{ID: id, Roles: user.Roles}).May(permission.ReadCases) {
		return nil, false, err
	}
	cases, err := m.reader.Cases(ctx)
	if err != nil {
		return nil, false, err
	}
	entries, err := deadlines(cases, m.now())
	return calendar.Write(entries, m.now()), true, err
}

// deadlines are the clocks that run, of every case of which something is owed.
func deadlines(cases []desk.Case, now time.Time) ([]calendar.Entry, error) {
	var out []calendar.Entry
	for _, c := range cases {
		if c.State == string(casefile.CaseClosed) || c.State == string(casefile.CaseNotReportable) {
			continue
		}
		for _, k := range c.Clocks {
			if !k.Met.IsZero() || k.Due == "" {
				continue
			}
			due, err := time.Parse(time.DateOnly, k.Due)
			if err != nil {
				return nil, fmt.Errorf("case %s: clock %s: %w", c.ID, k.Name, err)
			}
			zone, err := time.LoadLocation(k.Zone)
			if err != nil {
				return nil, fmt.Errorf("case %s: clock %s: %w", c.ID, k.Name, err)
			}
			out = append(out, calendar.Entry{Case: c.ID, Clock: k.Name, Due: clock.DateOf(due, time.UTC), Today: clock.DateOf(now, zone), Zone: k.Zone,
				Overdue: k.State == string(clock.Overdue), Changed: time.Unix(0, c.ChangedNS)})
		}
	}
	return out, nil
}
