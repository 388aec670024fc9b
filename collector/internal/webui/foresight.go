package webui

import (
	"context"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Foreseer looks ahead.
type Foreseer interface {
	// Forecast returns what is foreseen of a subject; ok is false where nothing is.
	Forecast(ctx context.Context, subject string) (f apitypes.Forecast, ok bool, err error)
}

// forecastOf returns what is foreseen of a subject, nil where nothing is.
func (s *site) forecastOf(ctx context.Context, subject string) (*apitypes.Forecast, error) {
	if s.Foreseer == nil {
		return nil, nil
	}
	f, ok, err := s.Foreseer.Forecast(ctx, subject)
	if err != nil || !ok {
		return nil, err
	}
	return &f, nil
}

// ahead is the threshold of a forecast that matters next: the one that is crossed first
// of those still ahead, else one that was crossed. It is nil where none of them is
// foreseen to be crossed.
func ahead(f *apitypes.Forecast) (next *apitypes.ForecastLine) {
	for i, line := range f.Thresholds {
		if line.Crossed && next == nil {
			next = &f.Thresholds[i]
		}
		if !line.Crossed && !line.Likely.IsZero() && (next == nil || next.Crossed || line.Likely.Before(next.Likely)) {
			next = &f.Thresholds[i]
		}
	}
	return next
}

// linesOf are the thresholds that a forecast looks at.
func linesOf(f *apitypes.Forecast) (out []gauge) {
	if f == nil {
		return nil
	}
	for _, line := range f.Thresholds {
		if n, err := compute.ParseOperations(line.Threshold); err == nil {
			out = append(out, gauge{Threshold: n, Source: line.Title + ", " + line.Pack})
		}
	}
	return out
}
