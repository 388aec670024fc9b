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

// At most maxJobs simulations run at once at a collector, and the last keptJobs of all
// are remembered.
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
	ctx     context.Context        // of run; nil before
	jobs    map[string]*simulation // that run here
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
	// The simulation outlives the request, and is done by who asked.
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	j := &simulation{Job: apitypes.Job{ID: store.NewID("job_"), Policy: id, State: "running", Phase: "reading", Of: 1}, stop: stop}
	begun := j.Job
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx == nil || len(m.jobs) >= maxJobs {
		stop()
		return apitypes.Job{}, errBusy
	}
	if err := m.store.BeginJob(ctx, keptJob(begun), keptJobs); err != nil {
		stop()
		return apitypes.Job{}, err
	}
	unhook := context.AfterFunc(m.ctx, stop)
	m.jobs[j.ID] = j
	m.running.Go(func() {
		defer unhook()
		m.follow(work, stop, j, func() (store.SavedSimulation, error) { return m.simulate(work, j, *of, in) })
	})
	return begun, nil
}

// jobBeat is how often a collector says how its simulations stand.
const jobBeat = time.Second

// follow says each second how a simulation stands, until it ends or somebody at any
// collector asks for its end.
func (m *simulator) follow(work context.Context, stop context.CancelFunc, j *simulation, simulate func() (store.SavedSimulation, error)) {
	ended := make(chan struct{})
	var beat sync.WaitGroup
	beat.Go(func() {
		tick := time.NewTicker(jobBeat)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
			}
			m.mu.Lock()
			now := j.Job
			m.mu.Unlock()
			if cancel, err := m.store.BeatJob(work, keptJob(now)); err == nil && cancel {
				stop()
			}
		}
	})
	made, err := simulate()
	close(ended)
	beat.Wait() // so that nothing is said after the last word
	m.mu.Lock()
	switch {
	case err == nil:
		j.State, j.Simulation, j.Digest = "done", made.ID, made.Digest
	case work.Err() != nil:
		j.State = "cancelled"
	default:
		j.State, j.Error = "failed", "the collector's log says why"
		m.log.LogAttrs(work, slog.LevelError, "a simulation failed", slog.String("policy", j.Policy), slog.String("error", err.Error()))
	}
	last := j.Job
	m.mu.Unlock()
	stop()
	if _, err := m.store.BeatJob(context.WithoutCancel(work), keptJob(last)); err != nil {
		m.log.LogAttrs(work, slog.LevelError, "how a simulation ended was not kept", slog.String("policy", j.Policy), slog.String("error", err.Error()))
	}
	m.mu.Lock()
	delete(m.jobs, last.ID) // from here on the store tells of it
	m.mu.Unlock()
}

// keptJob is a job as the store keeps it, and jobOf what the store tells of one.
func keptJob(j apitypes.Job) store.Job {
	return store.Job{ID: j.ID, Policy: j.Policy, State: j.State, Phase: j.Phase, Done: j.Done, Of: j.Of, Simulation: j.Simulation, Digest: j.Digest, Error: j.Error}
}

func jobOf(j store.Job) apitypes.Job {
	return apitypes.Job{ID: j.ID, Policy: j.Policy, State: j.State, Phase: j.Phase, Done: j.Done, Of: j.Of, Simulation: j.Simulation, Digest: j.Digest, Error: j.Error}
}

// job returns how a simulation stands, here or at another collector.
func (m *simulator) job(ctx context.Context, id string) (apitypes.Job, bool) {
	m.mu.Lock()
	j, here := m.jobs[id]
	var now apitypes.Job
	if here {
		now = j.Job
	}
	m.mu.Unlock()
	if here {
		return now, true
	}
	stored, ok, err := m.store.Job(ctx, id)
	if err != nil {
		m.log.LogAttrs(ctx, slog.LevelError, "how a simulation stands could not be read", slog.String("error", err.Error()))
	}
	return jobOf(stored), ok
}

// cancel ends a simulation, here or at another collector, which hears of it within a
// second or two.
func (m *simulator) cancel(ctx context.Context, id string) (apitypes.Job, bool) {
	m.mu.Lock()
	j, here := m.jobs[id]
	m.mu.Unlock()
	if here {
		j.stop()
	} else if err := m.store.CancelJob(ctx, id); err != nil {
		m.log.LogAttrs(ctx, slog.LevelError, "the end of a simulation could not be asked for", slog.String("error", err.Error()))
	}
	return m.job(ctx, id)
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
