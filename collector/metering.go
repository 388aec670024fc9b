package collector

import (
	"context"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/power"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// metering takes readings of meters that hosts do not control, for the API.
type metering struct {
	store *store.Store
	now   func() time.Time
}

// ImportPower reads a file of readings and records it whole or not at all.
func (m metering) ImportPower(ctx context.Context, name, format string, data []byte, dryRun bool) (apitypes.PowerDiff, error) {
	read := power.ReadCSV
	if format == "ndjson" {
		read = power.ReadNDJSON
	}
	readings, err := read(name, data)
	if err != nil {
		return apitypes.PowerDiff{}, err
	}
	diff, err := m.store.PutPower(ctx, name, readings, dryRun)
	if err == nil && !dryRun {
		_, err = m.store.JudgePower(ctx, m.now()) // what is old enough need not wait
	}
	return apitypes.PowerDiff{New: diff.New, Unchanged: diff.Unchanged}, err
}
