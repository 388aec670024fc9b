package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/notice"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Notices returns what happened after the notification of a number, the first
// first, at most limit.
func (s *Store) Notices(ctx context.Context, after int64, limit int) ([]notice.Notice, error) {
	var out []notice.Notice
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var n notice.Notice
		var atNS int64
		var about string
		if err := rows.Scan(&n.No, &atNS, &n.Kind, &n.Object, &about); err != nil {
			return err
		}
		n.At = time.Unix(0, atNS).UTC()
		if about != "" {
			if err := json.Unmarshal([]byte(about), &n.Deadline); err != nil {
				return fmt.Errorf("notification %d: %w", n.No, err)
			}
		}
		out = append(out, n)
		return nil
	}, "SELECT no, at_ns, kind, object, about FROM notification WHERE no > ? ORDER BY no LIMIT ?", after, limit)
	if err != nil {
		return nil, fmt.Errorf("read notifications: %w", err)
	}
	return out, nil
}

// Channel returns how far a channel was told. One that is new begins with what
// happens from now on.
func (s *Store) Channel(ctx context.Context, name string) (notice.Progress, error) {
	var p notice.Progress
	err := s.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO notification_channel (name, told, attempts, next_ns, took_ns, problem)
			VALUES (?, (SELECT coalesce(max(no), 0) FROM notification), 0, 0, 0, '') ON CONFLICT (name) DO NOTHING`, name); err != nil {
			return err
		}
		var next, took int64
		if err := tx.QueryRowContext(ctx, "SELECT told, attempts, next_ns, took_ns, problem FROM notification_channel WHERE name = ?", name).Scan(&p.Told, &p.Attempts, &next, &took, &p.Problem); err != nil {
			return err
		}
		if next > 0 {
			p.Next = time.Unix(0, next).UTC()
		}
		if took > 0 {
			p.Took = time.Unix(0, took).UTC()
		}
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("channel %s: %w", name, err)
	}
	return p, nil
}

// SetChannel keeps how far a channel was told.
func (s *Store) SetChannel(ctx context.Context, name string, p notice.Progress) error {
	ns := func(t time.Time) int64 {
		if t.IsZero() {
			return 0
		}
		return t.UnixNano()
	}
	err := s.transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE notification_channel SET told = ?, attempts = ?, next_ns = ?, took_ns = ?, problem = ? WHERE name = ?", p.Told, p.Attempts, ns(p.Next), ns(p.Took), p.Problem, name)
		return err
	})
	if err != nil {
		return fmt.Errorf("channel %s: %w", name, err)
	}
	return nil
}

// Escalate notes, once for each, the days before deadlines that have come, and what
// is over. After a stop everything that was missed is noted, and people are told
// of the nearest step of each clock. It returns how many they are told of.
func (s *Store) Escalate(ctx context.Context, now time.Time) (told int, err error) {
	err = s.transact(ctx, func(tx *sql.Tx) error {
		var all []casefile.Case
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var c casefile.Case
			var body []byte
			if err := rows.Scan(&c.ID, &c.Version, &c.Subject, &c.Obligation, &c.State, &body); err != nil {
				return err
			}
			if c.State == casefile.CaseClosed || c.State == casefile.CaseNotReportable {
				return nil // nothing is owed
			}
			if err := decodeCase(&c, body); err != nil {
				return err
			}
			all = append(all, c)
			return nil
		}, "SELECT "+caseColumns+" FROM case_change c WHERE version = (SELECT max(version) FROM case_change WHERE id = c.id)")
		if err != nil {
			return err
		}
		for _, c := range all {
			for _, k := range c.Clocks {
				n, err := escalate(ctx, tx, c.ID, k, now)
				if err != nil {
					return err
				}
				told += n
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("escalate deadlines: %w", err)
	}
	return told, nil
}

func escalate(ctx context.Context, tx *sql.Tx, id string, k clock.Clock, now time.Time) (int, error) {
	due, ok := k.Due(now)
	if !ok {
		return 0, nil
	}
	told := map[int]bool{}
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var days int
		err := rows.Scan(&days)
		told[days] = true
		return err
	}, "SELECT days_left FROM escalation WHERE case_id = ? AND clock = ? AND due = ?", id, k.Name, due.Date.String())
	if err != nil {
		return 0, err
	}
	steps := k.Escalations(time.Time{}, now, func(days int) bool { return told[days] })
	if len(steps) == 0 {
		return 0, nil
	}
	for _, step := range steps {
		if _, err := tx.ExecContext(ctx, "INSERT INTO escalation (case_id, clock, due, days_left, at_ns) VALUES (?, ?, ?, ?, ?)", id, k.Name, due.Date.String(), step.DaysLeft, now.UnixNano()); err != nil {
			return 0, err
		}
	}
	left := due.Date.Sub(clock.DateOf(now, k.Zone))
	about, err := json.Marshal(notice.Deadline{Clock: k.Name, Due: due.Date.String(), Zone: k.Zone.String(), DaysLeft: left})
	if err != nil {
		return 0, err
	}
	kind := notice.ClockDue
	if left < 0 {
		kind = notice.ClockOverdue
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO notification (at_ns, kind, object, about) VALUES (?, ?, ?, ?)", now.UnixNano(), kind, id, string(about))
	return 1, err
}

// PutCalendarLink makes the secret of a hash open the calendar for a person, in
// place of the one before.
func (s *Store) PutCalendarLink(ctx context.Context, user, secret string, now time.Time) error {
	hash := sha256.Sum256([]byte(secret))
	err := s.update(audit.Because(ctx, "calendar_link.make", ""), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO calendar_link (\"user\", hash, made_ns) VALUES (?, ?, ?) ON CONFLICT (\"user\") DO UPDATE SET hash = excluded.hash, made_ns = excluded.made_ns", user, hash[:], now.UnixNano())
		return err
	})
	if err != nil {
		return fmt.Errorf("link to the calendar: %w", err)
	}
	return nil
}

// EndCalendarLink ends the link of a person, if there is one.
func (s *Store) EndCalendarLink(ctx context.Context, user string) error {
	err := s.update(audit.Because(ctx, "calendar_link.end", ""), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM calendar_link WHERE \"user\" = ?", user)
		return err
	})
	if err != nil {
		return fmt.Errorf("end the link to the calendar: %w", err)
	}
	return nil
}

// CalendarUser returns whose link the secret is of; ok is false for nobody's.
func (s *Store) CalendarUser(ctx context.Context, secret string) (user string, ok bool, err error) {
	hash := sha256.Sum256([]byte(secret))
	err = s.read.QueryRowContext(ctx, "SELECT \"user\" FROM calendar_link WHERE hash = ?", hash[:]).Scan(&user)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("look up a link to the calendar: %w", err)
	}
	return user, true, nil
}
