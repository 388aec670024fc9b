package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Job is how a simulation stands, wherever it runs.
type Job struct {
	ID, Policy         string
	State              string // running, done, cancelled or failed
	Phase              string
	Done, Of           int
	Simulation, Digest string // of the report, "" before there is one
	Error              string
	Beat               time.Time // when the collector that runs it last said so
}

const jobRunning = "running"

// jobGone is how long a job may be without a beat before its collector is taken for gone.
const jobGone = 30 * time.Second

// BeginJob keeps a new job, and of those before it the newest, at most kept with this
// one. What runs stays.
func (s *Store) BeginJob(ctx context.Context, j Job, kept int) error {
	now := s.opts.Now()
	err := s.transact(growing(ctx), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM job WHERE (state <> 'running' OR beat_ns < ?) AND id IN (SELECT id FROM job ORDER BY begun_ns DESC, id LIMIT ? OFFSET ?)`,
			now.Add(-jobGone).UnixNano(), rowLimit(0), kept-1)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO job (id, policy, state, phase, done, whole, simulation, digest, error, cancel, begun_ns, beat_ns) VALUES (?, ?, ?, ?, ?, ?, '', '', '', 0, ?, ?)`,
			j.ID, j.Policy, j.State, j.Phase, j.Done, j.Of, now.UnixNano(), now.UnixNano())
		return err
	})
	if err != nil {
		return fmt.Errorf("keep job %s: %w", j.ID, err)
	}
	return nil
}

// BeatJob says how a job stands that runs here, and returns whether somebody asked for
// its end.
func (s *Store) BeatJob(ctx context.Context, j Job) (cancel bool, err error) {
	err = s.transactWith(growing(ctx), together, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE job SET state = ?, phase = ?, done = ?, whole = ?, simulation = ?, digest = ?, error = ?, beat_ns = ? WHERE id = ?",
			j.State, j.Phase, j.Done, j.Of, j.Simulation, j.Digest, j.Error, s.opts.Now().UnixNano(), j.ID)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "SELECT cancel = 1 FROM job WHERE id = ?", j.ID).Scan(&cancel)
	})
	if err != nil {
		return false, fmt.Errorf("say how job %s stands: %w", j.ID, err)
	}
	return cancel, nil
}

// Job returns how a job stands, also one that another collector runs; ok is false if
// there is none. One whose collector is gone has failed.
func (s *Store) Job(ctx context.Context, id string) (j Job, ok bool, err error) {
	var beat int64
	err = s.read.QueryRowContext(ctx, "SELECT id, policy, state, phase, done, whole, simulation, digest, error, beat_ns FROM job WHERE id = ?", id).
		Scan(&j.ID, &j.Policy, &j.State, &j.Phase, &j.Done, &j.Of, &j.Simulation, &j.Digest, &j.Error, &beat)
	if errors.Is(err, sql.ErrNoRows) {
		return Job{}, false, nil
	}
	if err != nil {
		return Job{}, false, fmt.Errorf("look up job %s: %w", id, err)
	}
	j.Beat = instantOf(beat)
	if j.State == jobRunning && s.opts.Now().Sub(j.Beat) > jobGone {
		j.State, j.Error = "failed", "the collector that ran it is gone"
	}
	return j, true, nil
}

// CancelJob asks for the end of a job that runs anywhere: its collector hears of it
// with its next beat.
func (s *Store) CancelJob(ctx context.Context, id string) error {
	err := s.transactWith(growing(ctx), together, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE job SET cancel = 1 WHERE id = ? AND state = 'running'", id)
		return err
	})
	if err != nil {
		return fmt.Errorf("ask for the end of job %s: %w", id, err)
	}
	return nil
}
