package webui

import (
	"context"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Foreseer looks ahead.
type Foreseer interface {
	Forecasts(ctx context.Context) ([]apitypes.Forecast, error)
}

// forecastOf returns what is foreseen of a subject, nil where nothing is.
func (s *site) forecastOf(ctx context.Context, subject string) (*apitypes.Forecast, error) {
	if s.Foreseer == nil {
		return nil, nil
	}
	all, err := s.Foreseer.Forecasts(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(f apitypes.Forecast) bool { return f.Subject == subject })
	if i < 0 {
		return nil, nil
	}
	return &all[i], nil
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
