package webui

import (
	"context"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Foreseer looks ahead.
type Foreseer interface {
	// Forecast returns what is foreseen of a subject; ok is false where nothing is.
	Forecast(ctx context.Context, subject string) (f apitypes.Forecast, ok bool, err error)
	// Crossings returns who is likely to cross a line next, the soonest first, each
	// with that line alone.
	Crossings(ctx context.Context, most int) ([]apitypes.Forecast, error)
}

// crossingRow is who is likely to cross which line next.
type crossingRow struct {
	apitypes.Forecast
	Line   apitypes.ForecastLine
	Gauge  gauge
	Chance *apitypes.ForecastChance // by the first date by which it is more likely than not, else by the last; nil where none is told
}

// crossings returns who crosses next, nobody to whom may not see findings.
func (s *site) crossings(ctx context.Context, most int) ([]crossingRow, error) {
	if s.Foreseer == nil || !permission.Of(ctx).May(permission.ReadCases) {
		return nil, nil
	}
	all, err := s.Foreseer.Crossings(ctx, most)
	if err != nil {
		return nil, err
	}
	var out []crossingRow
	for _, f := range all {
		row := crossingRow{Forecast: f, Line: f.Thresholds[0]}
		if lines := linesOf(&f); len(lines) > 0 {
			row.Gauge = lines[0]
			if row.Gauge.Figure, err = f.Done.Bounds(); err != nil {
				return nil, err
			}
		}
		for i, c := range row.Line.Chances {
			if row.Chance = &row.Line.Chances[i]; c.Probability > 0.5 {
				break
			}
		}
		out = append(out, row)
	}
	return out, nil
}

// forecastOf returns what is foreseen of a subject, nil where nothing is, and to whom
// may not see findings: when a line will be crossed is as much as that it was.
func (s *site) forecastOf(ctx context.Context, subject string) (*apitypes.Forecast, error) {
	if s.Foreseer == nil || !permission.Of(ctx).May(permission.ReadCases) {
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
