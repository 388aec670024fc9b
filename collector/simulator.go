package collector

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/training"
)

// At most maxJobs simulations run at once, and the last keptJobs are remembered.
const maxJobs, keptJobs = 4, 100

var (
	errBusy         = errors.New("too many simulations are running: wait for one or cancel it")
	errNotSimulated = errors.New("texts of this kind are not simulated")
)

// simulator runs simulations, each in a goroutine of its own, until its context
// ends.
type simulator struct {
	store   *store.Store
	library store.Library
	log     *slog.Logger

	mu      sync.Mutex
	ctx     context.Context // of run; nil before
	jobs    map[string]*simulation
	order   []string
	running sync.WaitGroup
}

type simulation struct {
	apitypes.Job
	stop context.CancelFunc
}

func newSimulator(s *store.Store, library store.Library, log *slog.Logger) *simulator {
	return &simulator{store: s, library: library, log: log, jobs: map[string]*simulation{}}
}

// run lets simulations begin, and joins them when ctx ends.
func (m *simulator) run(ctx context.Context) error {
	m.mu.Lock()
	m.ctx = ctx
	m.mu.Unlock()
	<-ctx.Done()
	m.mu.Lock()
	m.ctx = nil
	m.mu.Unlock()
	m.running.Wait()
	return nil
}

// start begins a simulation of a policy for whom ctx names.
func (m *simulator) start(ctx context.Context, id string, in apitypes.SimulationRequest) (apitypes.Job, error) {
	all, err := m.store.Policies(ctx)
	if err != nil {
		return apitypes.Job{}, err
	}
	var of *draft.Policy
	for i := range all {
		if all[i].ID == id {
			of = &all[i]
		}
	}
	if of == nil {
		return apitypes.Job{}, store.ErrNoPolicy
	}
	if of.Kind == draft.Settings {
		return apitypes.Job{}, errNotSimulated
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	busy := 0
	for _, j := range m.jobs {
		if j.State == "running" {
			busy++
		}
	}
	if m.ctx == nil || busy >= maxJobs {
		return apitypes.Job{}, errBusy
	}
	// The simulation outlives the request, and is done by who asked.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	unhook := context.AfterFunc(m.ctx, stop)
	j := &simulation{Job: apitypes.Job{ID: store.NewID("job_"), Policy: id, State: "running", Phase: "reading", Of: 1}, stop: stop}
	m.jobs[j.ID], m.order = j, append(m.order, j.ID)
	if len(m.order) > keptJobs && m.jobs[m.order[0]].State != "running" {
		delete(m.jobs, m.order[0])
		m.order = m.order[1:]
	}
	m.running.Go(func() {
		defer stop()
		defer unhook()
		made, err := m.simulate(work, j, *of, in)
		m.mu.Lock()
		defer m.mu.Unlock()
		switch {
		case err == nil:
			j.State, j.Simulation, j.Digest = "done", made.ID, made.Digest
		case work.Err() != nil:
			j.State = "cancelled"
		default:
			j.State, j.Error = "failed", "the collector's log says why"
			m.log.LogAttrs(work, slog.LevelError, "a simulation failed", slog.String("policy", id), slog.String("error", err.Error()))
		}
	})
	return j.Job, nil
}

func (m *simulator) job(id string) (apitypes.Job, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j, ok := m.jobs[id]
	if !ok {
		return apitypes.Job{}, false
	}
	return j.Job, true
}

func (m *simulator) cancel(id string) (apitypes.Job, bool) {
	m.mu.Lock()
	j, ok := m.jobs[id]
	m.mu.Unlock()
	if !ok {
		return apitypes.Job{}, false
	}
	j.stop()
	return m.job(id)
}

// progress returns what tells how far a phase of the job is.
func (m *simulator) progress(j *simulation, phase string) func(done, of int) {
	return func(done, of int) {
		m.mu.Lock()
		j.Phase, j.Done, j.Of = phase, done, of
		m.mu.Unlock()
	}
}

// simulate makes and keeps the report.
func (m *simulator) simulate(ctx context.Context, j *simulation, of draft.Policy, in apitypes.SimulationRequest) (store.SavedSimulation, error) {
	now := time.Now()
	from := in.From
	if from.IsZero() {
		from = now.UTC().Truncate(time.Second)
	}
	packs, err := m.concerned(ctx, of)
	if err != nil {
		return store.SavedSimulation{}, err
	}
	h, err := m.store.History(ctx, store.HistoryOptions{Days: in.Days, Packs: packs, Progress: m.progress(j, "reading")})
	if err != nil {
		return store.SavedSimulation{}, err
	}
	snapshot, err := lab.Pin(h)
	if err != nil {
		return store.SavedSimulation{}, err
	}
	var report *lab.Impact
	if of.Kind != draft.Pack {
		report, err = m.anew(ctx, j, of, in, packs, from, snapshot)
	} else {
		report, err = m.packed(ctx, j, of, in, from, snapshot)
	}
	if err != nil {
		return store.SavedSimulation{}, err
	}
	digest, err := report.Digest()
	if err != nil {
		return store.SavedSimulation{}, err
	}
	body, err := json.Marshal(report)
	if err != nil {
		return store.SavedSimulation{}, fmt.Errorf("encode report: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return store.SavedSimulation{}, err
	}
	return m.store.SaveSimulation(ctx, store.SavedSimulation{Policy: of.ID, Text: of.Digest, Digest: digest, Report: body}, now)
}

// packed holds a pack against the one that it would replace.
func (m *simulator) packed(ctx context.Context, j *simulation, of draft.Policy, in apitypes.SimulationRequest, from time.Time, snapshot *lab.Snapshot) (*lab.Impact, error) {
	after, err := policy.Read(of.Name, []byte(of.Text))
	if err != nil {
		return nil, err
	}
	deciding, err := m.deciding(ctx)
	if err != nil {
		return nil, err
	}
	inputs := lab.Inputs{Before: deciding[after.ID], After: after, Snapshot: snapshot, From: from, Zone: time.LoadLocation}
	report, before, err := m.compare(ctx, j, inputs)
	if err != nil || in.Points == 0 {
		return report, err
	}
	report.Curve, err = lab.Sensitivity(ctx, before, after, snapshot, lab.CurvePercents(in.Points), m.progress(j, "curve"))
	return report, err
}

func (m *simulator) compare(ctx context.Context, j *simulation, in lab.Inputs) (*lab.Impact, *lab.Result, error) {
	before := lab.None(in.Snapshot)
	if in.Before != nil {
		var err error
		if before, err = lab.Simulate(ctx, in.Before, in.Snapshot, m.progress(j, "before")); err != nil {
			return nil, nil, err
		}
	}
	after, err := lab.Simulate(ctx, in.After, in.Snapshot, m.progress(j, "after"))
	if err != nil {
		return nil, nil, err
	}
	below, err := lab.Simulate(ctx, in.After.Scaled(lab.BelowPercent), in.Snapshot, m.progress(j, "below"))
	if err != nil {
		return nil, nil, err
	}
	report, err := lab.Reported(in, before, after, below)
	return report, before, err
}

// concerned are the packs that a simulation holds against history: those in force,
// and the one that is simulated.
func (m *simulator) concerned(ctx context.Context, of draft.Policy) ([]*policy.Pack, error) {
	deciding, err := m.deciding(ctx)
	if err != nil {
		return nil, err
	}
	packs := slices.Collect(maps.Values(deciding))
	if of.Kind == draft.Pack {
		p, err := policy.Read(of.Name, []byte(of.Text))
		if err != nil {
			return nil, err
		}
		packs = append(packs, p)
	}
	return packs, nil
}

// anew holds the packs that decide against history as it is joined and judged, and
// as it would be by other weights or another scorecard.
func (m *simulator) anew(ctx context.Context, j *simulation, of draft.Policy, in apitypes.SimulationRequest, packs []*policy.Pack, from time.Time, snapshot *lab.Snapshot) (*lab.Impact, error) {
	options := store.HistoryOptions{Days: in.Days, Packs: packs}
	var before lab.PackRef
	if of.Kind == draft.Weights {
		old, err := m.store.WeightsInForce(ctx, time.Now())
		if err != nil {
			return nil, err
		}
		if options.Weights, err = training.ReadWeights(of.Name, []byte(of.Text)); err != nil {
			return nil, err
		}
		before = lab.PackRef{ID: old.ID, Version: old.Version, Digest: hex.EncodeToString(old.Digest[:])}
		options.Progress = m.progress(j, "joining")
	} else {
		old, err := m.store.ScorecardInForce(ctx, time.Now())
		if err != nil {
			return nil, err
		}
		if options.Scorecard, err = classify.Read([]byte(of.Text)); err != nil {
			return nil, err
		}
		before = lab.PackRef{ID: "scorecard", Version: old.Version, Digest: hex.EncodeToString(old.Digest[:])}
		options.Progress = m.progress(j, "judging")
	}
	h, err := m.store.History(ctx, options)
	if err != nil {
		return nil, err
	}
	joined, err := lab.Pin(h)
	if err != nil {
		return nil, err
	}
	deciding, err := m.deciding(ctx)
	if err != nil {
		return nil, err
	}
	var parts []*lab.Impact
	for _, p := range deciding {
		before, err := lab.Simulate(ctx, p, snapshot, m.progress(j, "before"))
		if err != nil {
			return nil, err
		}
		after, err := lab.Simulate(ctx, p, joined, m.progress(j, "after"))
		if err != nil {
			return nil, err
		}
		part, err := lab.Reported(lab.Inputs{Before: p, After: p, Snapshot: joined, From: from, Zone: time.LoadLocation}, before, after, after)
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return lab.Merge(before, lab.PackRef{ID: of.Name, Version: of.Number, Digest: of.Digest}, joined, from, parts), nil
}

// deciding returns the packs that are in force, by id.
func (m *simulator) deciding(ctx context.Context) (map[string]*policy.Pack, error) {
	return lawbook{m.store, m.library.Shipped, time.Now}.inForce(ctx)
}
