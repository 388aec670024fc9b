package collector

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/forecast"
	"github.com/flopwatch/flopwatch/collector/internal/foresight"
	"github.com/flopwatch/flopwatch/collector/internal/reservation"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// lookEvery is how often is looked ahead if something changed, and lookRest how
// many times as long as a look took the next one waits.
const (
	lookEvery = 2 * time.Second
	lookRest  = 20
	// staleLooks is how many times as long as a look took the desk may show what it saw:
	// somewhat longer than whoever looks by himself rests.
	staleLooks = 3 * lookRest / 2
)

// linker knows what accounts have in common: marks, and clusters that ownership
// or people's word made.
type linker interface {
	Behind(ctx context.Context) (map[measure.TenantID][]evasion.Mark, []evasion.Cluster, error)
}

// foreseer looks ahead and across, makes findings of what it sees, and shows it.
type foreseer struct {
	store  *store.Store
	reader *store.Reader
	laws   lawbook
	log    *slog.Logger
	links  linker // nil where nobody knows

	mu       sync.Mutex // held while somebody looks
	view     foresight.View
	revision int64 // that the view is of

	last atomic.Pointer[glance] // what was seen last, nil before the first look
}

// glance is what was seen ahead at one moment.
type glance struct {
	view foresight.View
	acts uint64        // what people had done until then
	at   time.Time     // when the look ended
	took time.Duration // how long it took
	of   map[string]int
}

// fit reports whether a page may be answered with what was seen then, which is while
// the ledger alone grew since and looking again would take longer than people wait.
func (g *glance) fit(acts uint64, now time.Time) bool {
	return g.acts == acts && g.took > 100*time.Millisecond && now.Sub(g.at) < staleLooks*g.took
}

// run looks until ctx ends.
func (f *foreseer) run(ctx context.Context) error {
	wait := lookEvery
	for {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
			began := time.Now()
			if err := f.look(ctx, time.Now()); err != nil && ctx.Err() == nil {
				f.log.LogAttrs(ctx, slog.LevelError, "could not look ahead", slog.String("error", err.Error()))
			}
			wait = max(lookEvery, lookRest*time.Since(began))
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// look writes findings of what is seen, if anything changed since the last look.
func (f *foreseer) look(ctx context.Context, now time.Time) error {
	view, fresh, err := f.current(ctx)
	if err != nil || !fresh {
		return err
	}
	_, err = f.store.FindForesight(ctx, view.Findings, now)
	return err
}

// current returns the view of the newest commit, and whether it was worked out
// just now.
func (f *foreseer) current(ctx context.Context) (foresight.View, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	revision, err := f.reader.Revision(ctx)
	if err != nil || revision == f.revision {
		return f.view, false, err
	}
	acts, begun := f.store.Acts(), time.Now()
	state, revision, err := f.reader.Foresight(ctx)
	if err != nil {
		return f.view, false, err
	}
	if state.Packs, err = f.laws.list(ctx); err != nil {
		return f.view, false, err
	}
	if f.links != nil {
		if state.Marks, state.Clusters, err = f.links.Behind(ctx); err != nil {
			return f.view, false, err
		}
	}
	if state.NowNS == 0 { // no host ever reported: what is reserved is still ahead of us
		state.NowNS = time.Now().UnixNano()
	}
	f.view, f.revision = foresight.Look(state, forecast.Default(), evasion.Default()), revision
	g := &glance{view: f.view, acts: acts, at: time.Now(), took: time.Since(begun), of: map[string]int{}}
	for i, o := range f.view.Outlooks {
		if _, known := g.of[o.Subject.ID]; !known {
			g.of[o.Subject.ID] = i
		}
	}
	f.last.Store(g)
	return f.view, true, nil
}

// seen returns the view of the newest commit, or a little older while that grows
// faster than anybody can look. What it shows anew is written too.
func (f *foreseer) seen(ctx context.Context) (foresight.View, error) {
	if g := f.last.Load(); g != nil && g.fit(f.store.Acts(), time.Now()) {
		return g.view, nil
	}
	view, fresh, err := f.current(ctx)
	if err == nil && fresh {
		_, err = f.store.FindForesight(context.WithoutCancel(ctx), view.Findings, time.Now())
	}
	return view, err
}

// Forecast returns when which threshold will be crossed by one subject; ok is false
// where nothing is foreseen of it.
func (f *foreseer) Forecast(ctx context.Context, subject string) (out apitypes.Forecast, ok bool, err error) {
	if _, err := f.seen(ctx); err != nil {
		return out, false, err
	}
	g := f.last.Load()
	if g == nil { // nothing was ever written
		return out, false, nil
	}
	i, ok := g.of[subject]
	if ok {
		out = forecastOf(g.view.Outlooks[i])
	}
	return out, ok, nil
}

// Crossings returns who is likely to cross which line next, the soonest first, each
// with that line alone.
func (f *foreseer) Crossings(ctx context.Context, most int) ([]apitypes.Forecast, error) {
	view, err := f.seen(ctx)
	return apitypes.Each(foresight.Soonest(view.Outlooks, most), forecastOf), err
}

// Forecasts returns when which threshold will be crossed.
func (f *foreseer) Forecasts(ctx context.Context) ([]apitypes.Forecast, error) {
	view, err := f.seen(ctx)
	return apitypes.Each(view.Outlooks, forecastOf), err
}

func forecastOf(o foresight.Outlook) apitypes.Forecast {
	s := o.Subject
	out := apitypes.Forecast{Subject: s.ID, Label: s.Label, Tenant: string(s.Tenant), CustomerID: s.CustomerID, CustomerName: s.CustomerName, Done: apitypes.FromBounds(s.Operations),
		PerDay: apitypes.ForecastRate{P10: o.Rate.P10.Decimal(), Median: o.Rate.Median.Decimal(), P90: o.Rate.P90.Decimal()},
		Days:   o.Days, Young: o.Young, Active: o.Active, Method: o.Method}
	out.Thresholds = apitypes.Each(o.Lines, func(l foresight.Line) apitypes.ForecastLine {
		line := apitypes.ForecastLine{Pack: l.Pack, Rule: l.Rule, Title: l.Title, Threshold: l.Threshold.Decimal(), Crossed: l.Crossed}
		for at, ns := range map[*time.Time]int64{&line.Earliest: l.EarliestNS, &line.Likely: l.LikelyNS, &line.Latest: l.LatestNS, &line.Could: l.CouldNS} {
			if ns != 0 {
				*at = apitypes.Time(ns)
			}
		}
		line.Chances = apitypes.Each(l.Chances, func(c forecast.Chance) apitypes.ForecastChance {
			return apitypes.ForecastChance{By: apitypes.Time(c.ByNS), Probability: c.Probability}
		})
		return line
	})
	return out
}

// Campaigns returns runs that follow each other.
func (f *foreseer) Campaigns(ctx context.Context) ([]apitypes.Campaign, error) {
	view, err := f.seen(ctx)
	return apitypes.Each(view.Campaigns, func(c foresight.Campaign) apitypes.Campaign {
		return apitypes.Campaign{ID: c.ID, Subject: c.Subject.ID, CustomerName: c.Subject.CustomerName, Runs: c.Runs, Start: apitypes.Time(c.StartNS), End: apitypes.Time(c.EndNS),
			Operations: apitypes.FromBounds(c.Operations), Why: c.Why}
	}), err
}

// Capabilities returns what connected devices can do.
func (f *foreseer) Capabilities(ctx context.Context) ([]apitypes.Capability, error) {
	view, err := f.seen(ctx)
	return apitypes.Each(view.Capabilities, func(c foresight.Capability) apitypes.Capability {
		return apitypes.Capability{Subject: c.Subject.ID, CustomerName: c.Subject.CustomerName, NetworkGbitS: c.NetworkGbitS, Low: c.Low, Best: c.Best, High: c.High}
	}), err
}

// Reservations returns what is reserved.
func (f *foreseer) Reservations(ctx context.Context) ([]apitypes.Reservation, error) {
	all, err := f.reader.Reservations(ctx)
	return apitypes.Each(all, func(r reservation.Reservation) apitypes.Reservation {
		return apitypes.Reservation{ID: r.ID, Tenant: string(r.Tenant), Accelerator: r.Accelerator, Devices: r.Devices, From: apitypes.Time(r.FromNS), To: apitypes.Time(r.ToNS),
			NetworkGbitS: r.NetworkGbitS, DeclaredUse: string(r.DeclaredUse), Withdrawn: r.Withdrawn(), Most: r.Most(0).Decimal(), Recorded: apitypes.Time(r.RecordedNS)}
	}), err
}

// ImportReservations reads a file of reservations and records it whole or not at all.
func (f *foreseer) ImportReservations(ctx context.Context, name string, data []byte, dryRun bool) (apitypes.Diff, error) {
	next, err := reservation.ReadCSV(name, data)
	if err != nil {
		return apitypes.Diff{}, err
	}
	diff, err := f.store.PutReservations(ctx, next, time.Now(), dryRun)
	return apitypes.Diff{New: diff.New, Changed: diff.Changed, Unchanged: diff.Unchanged, DryRun: dryRun}, err
}
