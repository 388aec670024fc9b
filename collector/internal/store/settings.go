package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/collector/internal/rollout"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/settings"
)

// FleetSettings are the settings of a fleet: the text in force, the one before
// it, and how the newer one rolls out.
type FleetSettings struct {
	Policy  draft.Policy
	Text    *settings.Fleet // nil where nothing is in force
	Next    time.Time       // when another text comes into force, zero if none does
	Before  *settings.Fleet // nil for the default
	Rollout rollout.Rollout // without State where it has not begun
	Hosts   []rollout.Host
	LastNS  map[string]int64 // end of the newest window of each host
}

// Wants returns the version and the values that a host should run.
func (f *FleetSettings) Wants(h rollout.Host, first string) (int, settings.Values) {
	version := 0
	if f.Text != nil {
		version = f.Rollout.Wants(f.Text, h.ID, first)
	}
	switch {
	case f.Text != nil && version == f.Text.Version:
		return version, f.Text.Of(h.Host)
	case f.Before != nil && version == f.Before.Version:
		return version, f.Before.Of(h.Host)
	}
	return version, settings.Default
}

// FleetSettings returns how settings stand. With coverage it also reads what each
// host observed, which takes longer.
func (s *Store) FleetSettings(ctx context.Context, now time.Time, coverage bool) (f FleetSettings, err error) {
	err = NewReader(s, "", false).view(ctx, "settings", func(tx *sql.Tx) error {
		f, err = s.fleetSettings(ctx, tx, now, coverage)
		return err
	})
	return f, err
}

func (s *Store) fleetSettings(ctx context.Context, tx *sql.Tx, now time.Time, coverage bool) (FleetSettings, error) {
	f := FleetSettings{LastNS: map[string]int64{}}
	all, err := policies(ctx, tx)
	if err != nil {
		return f, err
	}
	f.Next = draft.Next(slices.DeleteFunc(slices.Clone(all), func(p draft.Policy) bool { return p.Kind != draft.Settings }), now)
	for _, p := range draft.Current(all, draft.Settings, now) {
		f.Policy = p
		if f.Text, err = settings.Read(p.Name, []byte(p.Text)); err != nil {
			return f, fmt.Errorf("policy %s: %w", p.ID, err)
		}
	}
	if f.Text != nil {
		if err := f.readRollout(ctx, tx); err != nil {
			return f, err
		}
		before := f.Rollout.Before
		if f.Rollout.State == "" {
			if before, err = lastGood(ctx, tx, f.Policy.ID); err != nil {
				return f, err
			}
			f.Rollout.Before = before
		}
		for _, p := range all {
			if p.Kind == draft.Settings && p.State == draft.Approved && p.Number == before && p.ID != f.Policy.ID {
				if f.Before, err = settings.Read(p.Name, []byte(p.Text)); err != nil {
					return f, fmt.Errorf("policy %s: %w", p.ID, err)
				}
			}
		}
	}
	return f, f.readHosts(ctx, tx, coverage)
}

func (f *FleetSettings) readRollout(ctx context.Context, tx *sql.Tx) error {
	var body []byte
	err := tx.QueryRowContext(ctx, "SELECT body FROM rollout_change WHERE policy = ? ORDER BY no DESC LIMIT 1", f.Policy.ID).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		f.Rollout = rollout.Rollout{Policy: f.Policy.ID, Version: f.Text.Version}
		return nil
	}
	if err == nil {
		err = json.Unmarshal(body, &f.Rollout)
	}
	if err != nil {
		return fmt.Errorf("read roll-out of %s: %w", f.Policy.ID, err)
	}
	return nil
}

// lastGood returns the version that the fleet as a whole had before a policy, 0
// for none: of a roll-out that was stopped, or replaced on its way, the one before.
func lastGood(ctx context.Context, tx *sql.Tx, policy string) (int, error) {
	version := 0
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var body []byte
		var r rollout.Rollout
		if err := rows.Scan(&body); err != nil {
			return err
		}
		if err := json.Unmarshal(body, &r); err != nil {
			return err
		}
		if version = r.Before; r.State == rollout.Done {
			version = r.Version
		}
		return nil
	}, "SELECT body FROM rollout_change WHERE policy <> ? ORDER BY no DESC LIMIT 1", policy)
	if err != nil {
		return 0, fmt.Errorf("read roll-outs: %w", err)
	}
	return version, nil
}

func (f *FleetSettings) readHosts(ctx context.Context, tx *sql.Tx, coverage bool) error {
	known, err := readInventory(ctx, tx)
	if err != nil {
		return err
	}
	observed := map[string]desk.Coverage{}
	if coverage {
		all, err := readCoverage(ctx, tx)
		if err != nil {
			return err
		}
		for _, c := range all {
			observed[c.Host] = c
		}
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var h rollout.Host
		var skus string
		var last int64
		if err := rows.Scan(&h.ID, &h.Name, &h.Reports, &last, &h.Devices, &skus); err != nil {
			return err
		}
		h.Accelerators = union(skus, "")
		if x, ok := known.Host(ledger.HostID(h.ID)); ok {
			if x.State != inventory.Enrolled {
				return nil // it is told nothing any more
			}
			h.Site = x.Site
		}
		c := observed[h.ID]
		h.Elapsed, h.Observed = int64(c.Elapsed), int64(c.Elapsed-c.Unobserved)
		f.LastNS[h.ID] = last
		f.Hosts = append(f.Hosts, h)
		return nil
	}, `SELECT h.id, h.name, h.settings, h.last_ns, count(d.no), coalesce(group_concat(DISTINCT d.sku), '') FROM host h LEFT JOIN device d ON d.host = h.no
		GROUP BY h.no ORDER BY h.id`)
	if err != nil {
		return fmt.Errorf("read hosts: %w", err)
	}
	return nil
}

// SaveRollout keeps how a roll-out stands.
func (s *Store) SaveRollout(ctx context.Context, r rollout.Rollout) error {
	act := audit.Act{Actor: audit.Actor{Kind: audit.Rule, ID: "rollout"}, Action: "settings." + string(r.State), Reason: r.Reason}
	err := s.update(audit.With(ctx, act), func(tx *sql.Tx) error {
		body, err := json.Marshal(r)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO rollout_change (policy, at_ns, state, step, reason, body) VALUES (?, ?, ?, ?, ?, ?)",
			r.Policy, s.opts.Now().UnixNano(), string(r.State), r.Step, r.Reason, string(body))
		return errors.Join(err, bump(ctx, tx))
	})
	if err != nil {
		return fmt.Errorf("keep roll-out of %s: %w", r.Policy, err)
	}
	return nil
}

// Settings returns how the settings of the fleet stand.
func (r *Reader) Settings(ctx context.Context) (desk.Settings, error) {
	f, err := r.store.FleetSettings(ctx, r.store.opts.Now(), false)
	if err != nil {
		return desk.Settings{}, err
	}
	v := desk.Settings{Before: f.Rollout.Before}
	if f.Text != nil {
		v.Policy, v.Version, v.Title, v.State, v.Since, v.Reason = f.Policy.ID, f.Text.Version, f.Text.Title, string(f.Rollout.State), f.Rollout.Since, f.Rollout.Reason
		v.Steps = f.Text.Rollout.Percents()
		switch f.Rollout.State {
		case rollout.Done:
			v.Percent = 100
		case rollout.Rolling:
			v.Percent = v.Steps[f.Rollout.Step]
		}
	}
	first := rollout.First(f.Hosts, f.Rollout.Version)
	for _, h := range f.Hosts {
		version, values := f.Wants(h, first)
		v.Hosts = append(v.Hosts, desk.SettingsHost{ID: h.ID, Name: h.Name, Site: h.Site, Wants: version, Reports: h.Reports, LastNS: f.LastNS[h.ID], Values: values})
	}
	slices.SortFunc(v.Hosts, func(a, b desk.SettingsHost) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return v, nil
}
