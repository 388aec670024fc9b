package agent

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/tuning"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// settingsName is the file with what the collector told, as it was signed.
const settingsName = "settings"

func (c sampling) settingsFile() string { return filepath.Join(c.Data, settingsName) }

// takeSettings returns what writes settings that were told into a file, for the
// sampler. It looks at nothing of them: the sampler does, with the key.
func takeSettings(path string, log *slog.Logger) func([]byte) {
	return func(envelope []byte) {
		if err := tuning.Tell(path, envelope); err != nil {
			// The collector tells again what is not reported.
			log.Error("settings could not be kept", slog.String("error", err.Error()))
		}
	}
}

// period is the time between samples that the collector set.
func (l *live) period() time.Duration {
	return time.Duration(l.tune.Current().PeriodMS) * time.Millisecond
}

// retune works by the settings that hold, and reports whether that changed
// something. At the start the last good ones hold; what nobody was told stays as
// the command line has it.
func (l *live) retune(ctx context.Context, starting bool) (bool, error) {
	changed, err := l.tune.Poll()
	if errors.Is(err, tuning.ErrRefused) {
		l.log.ErrorContext(ctx, "settings are refused: the last good ones go on to hold", slog.String("why", err.Error()))
		err = nil
	}
	if err != nil {
		return false, err
	}
	told := l.tune.Current()
	if told.Serial == 0 || !changed && !starting {
		return false, nil
	}
	closed := l.host.Configure(measure.FoldConfig{Window: time.Duration(told.WindowMS) * time.Millisecond, Period: l.period(), Band: measure.Band{Low: told.BandLow, Best: told.BandBest, High: told.BandHigh}})
	if err := l.lane.Put(closed); err != nil {
		return false, err
	}
	l.lane.Configure(uint32(told.Version), time.Duration(told.BatchMS)*time.Millisecond)
	l.offer(ctx)
	l.owners.communicating(told.NCCL)
	l.log.InfoContext(ctx, "settings", slog.Int("version", told.Version), slog.Int64("period_ms", told.PeriodMS), slog.Int64("window_ms", told.WindowMS), slog.Int64("batch_ms", told.BatchMS), slog.Bool("nccl", told.NCCL))
	return true, nil
}
