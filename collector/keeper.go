package collector

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/backup"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/version"
)

// How the evidence is read again: all of it within a week, but no slower than
// scrubSlowest, so that a small store is done soon, and in steps that leave the
// disk to others.
const (
	scrubEvery   = 7 * 24 * time.Hour
	scrubSlowest = 4 << 20 // bytes a second
	keeperEvery  = 30 * time.Second
)

// keeper makes backups when they are due, reads the evidence again, and makes room for
// the months to come. What it finds becomes findings; what fails is told and tried again.
type keeper struct {
	store  *store.Store
	data   string
	folder string // of backups, "" for none
	every  time.Duration
	retain backup.Retention
	log    *slog.Logger

	mu     sync.Mutex
	state  apitypes.Storage
	tried  time.Time // when a backup was last tried
	failed int       // backups in a row that failed
	paged  time.Time // when months were last made and dropped
}

// run keeps until ctx ends.
func (k *keeper) run(ctx context.Context) error {
	k.learn(ctx)
	var wait sync.WaitGroup
	defer wait.Wait()
	if k.folder != "" {
		wait.Go(func() { k.repeat(ctx, k.backUp) })
	}
	wait.Go(func() { k.repeat(ctx, k.scrub) })
	wait.Go(func() { k.repeat(ctx, k.months) })
	<-ctx.Done()
	return nil
}

func (k *keeper) repeat(ctx context.Context, step func(context.Context, time.Time)) {
	tick := time.NewTicker(keeperEvery)
	defer tick.Stop()
	for {
		step(ctx, time.Now())
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// learn looks at what is there from before.
func (k *keeper) learn(ctx context.Context) {
	last, err := k.store.LastScrub(ctx)
	if err != nil {
		k.log.LogAttrs(ctx, slog.LevelError, "when the evidence was checked is not known", slog.String("error", err.Error()))
	}
	k.change(func(s *apitypes.Storage) {
		s.BackupFolder, s.BackupEverySeconds = k.folder, int64(k.every/time.Second)
		s.Scrub.LastPass = optional(last)
	})
	if k.folder == "" {
		return
	}
	all, err := backup.List(k.folder)
	if err != nil {
		k.log.LogAttrs(ctx, slog.LevelError, "backups could not be listed", slog.String("error", err.Error()))
	}
	k.list(all)
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (k *keeper) change(f func(*apitypes.Storage)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f(&k.state)
}

// Storage returns what is known of backups and evidence.
func (k *keeper) Storage(context.Context) (apitypes.Storage, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state, nil
}

func (k *keeper) list(all []backup.Backup) {
	rows := make([]apitypes.Backup, len(all))
	for i, b := range all {
		rows[len(all)-1-i] = apitypes.Backup{Name: b.Name(), At: b.At, Bytes: b.Bytes(), Hosts: b.Hosts, Batches: b.Batches}
	}
	k.change(func(s *apitypes.Storage) { s.Backups = rows })
}

// backUp makes a backup when the newest is old enough, and removes those that
// are not kept.
func (k *keeper) backUp(ctx context.Context, now time.Time) {
	all, err := backup.List(k.folder)
	if err == nil {
		if n := len(all); n > 0 && now.Sub(all[n-1].At) < k.every || !k.tried.IsZero() && now.Sub(k.tried) < min(k.every, time.Minute<<min(k.failed, 6)) {
			return
		}
		k.tried = now
		_, err = backup.Take(ctx, k.data, k.folder, version.Version, now)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		k.failed++
		k.log.LogAttrs(ctx, slog.LevelError, "backup failed", slog.String("error", err.Error()), slog.Int("in_a_row", k.failed))
		k.change(func(s *apitypes.Storage) { s.BackupError = err.Error() })
		var unsound *backup.Unsound
		if errors.As(err, &unsound) {
			k.find(ctx, unsound.Verdict.Problems, now)
		}
		return
	}
	k.failed = 0
	k.change(func(s *apitypes.Storage) { s.BackupError = "" })
	removed, err := backup.Prune(k.folder, k.retain)
	if err != nil {
		k.log.LogAttrs(ctx, slog.LevelError, "old backups were not removed", slog.String("error", err.Error()))
	}
	if all, err = backup.List(k.folder); err == nil && len(all) > 0 {
		newest := all[len(all)-1]
		k.log.LogAttrs(ctx, slog.LevelInfo, "backup made and proved", slog.String("path", newest.Path), slog.Int64("bytes", newest.Bytes()), slog.Int("removed", len(removed)))
		k.list(all)
	}
}

// scrub reads all evidence and lets SQLite check its file, when a week has passed.
func (k *keeper) scrub(ctx context.Context, now time.Time) {
	last, err := k.store.LastScrub(ctx)
	if err != nil || now.Sub(last) < scrubEvery {
		return
	}
	extent, err := k.store.Extent(ctx)
	if err != nil {
		k.log.LogAttrs(ctx, slog.LevelError, "evidence could not be checked", slog.String("error", err.Error()))
		return
	}
	total := extent.Bytes()
	// Half of the week is for the reading, so that it ends within it.
	rate := max(scrubSlowest, 2*total/int64(scrubEvery/time.Second))
	started := now.UTC()
	k.change(func(s *apitypes.Storage) { s.Scrub.Started, s.Scrub.Bytes, s.Scrub.TotalBytes = &started, 0, total })
	done := int64(0)
	report, err := backup.Evidence(ctx, k.store.EvidenceDir(), extent, func(ctx context.Context, n int64) error {
		done += n
		k.change(func(s *apitypes.Storage) { s.Scrub.Bytes = done })
		return waitUntil(ctx, started.Add(time.Duration(float64(done)/float64(rate)*float64(time.Second))))
	})
	var problems []string
	if err == nil {
		problems, err = k.store.Integrity(ctx)
	}
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		k.log.LogAttrs(ctx, slog.LevelError, "evidence could not be checked", slog.String("error", err.Error()))
		return
	}
	for _, d := range report.Damages {
		problems = append(problems, d.String())
	}
	end := time.Now()
	k.find(ctx, problems, end)
	if err := k.store.Scrubbed(ctx, end); err != nil {
		k.log.LogAttrs(ctx, slog.LevelError, "end of the check of the evidence was not noted", slog.String("error", err.Error()))
	}
	k.log.LogAttrs(ctx, slog.LevelInfo, "evidence checked", slog.Int64("batches", report.Batches), slog.Int64("bytes", report.Bytes), slog.Int("problems", len(problems)))
	k.change(func(s *apitypes.Storage) {
		s.Scrub = apitypes.Scrub{LastPass: optional(end), Batches: report.Batches, Bytes: report.Bytes, TotalBytes: total, Problems: problems}
	})
}

// months makes the places of the months to come once a day, and forgets the energy of
// hosts that no meter will ask for. Both give up while somebody reads for long.
func (k *keeper) months(ctx context.Context, now time.Time) {
	if now.Sub(k.paged) < 24*time.Hour {
		return
	}
	err := errors.Join(k.store.MakeMonthsAhead(ctx, now), k.store.PruneEnergy(ctx, now))
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		k.log.LogAttrs(ctx, slog.LevelWarn, "months of tables were not made or dropped, and are tried again", slog.String("error", err.Error()))
		return
	}
	k.paged = now
}

// waitUntil waits for an instant of the wall clock that lies no more than a
// minute ahead.
func waitUntil(ctx context.Context, at time.Time) error {
	d := min(time.Until(at), time.Minute)
	if d < 10*time.Millisecond {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *keeper) find(ctx context.Context, problems []string, now time.Time) {
	if len(problems) == 0 {
		return
	}
	k.log.LogAttrs(ctx, slog.LevelError, "what was stored is damaged", slog.Int("problems", len(problems)), slog.String("first", problems[0]))
	if err := k.store.FindDamage(ctx, problems, now); err != nil {
		k.log.LogAttrs(ctx, slog.LevelError, "findings about damage were not written", slog.String("error", err.Error()))
	}
}
