package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type none struct{}

type answer[T any] struct {
	Body T
}

type spanQuery struct {
	From time.Time `query:"from" doc:"Start, RFC 3339; the beginning of the ledger when absent"`
	To   time.Time `query:"to" doc:"End (excluded), RFC 3339; the newest committed window when absent"`
}

func (s *server) registerLedger(api huma.API) {
	get(api, "/v1/status", "status", "The collector's own state", func(ctx context.Context, _ *none) (*answer[apitypes.Status], error) {
		status, err := s.Reader.Status(ctx)
		if err != nil {
			return nil, s.failed(ctx, "status", err)
		}
		out := apitypes.FromStatus(status)
		out.Demonstration = out.Demonstration || s.Demonstration
		if s.Version != "" {
			out.Version = s.Version
		}
		return &answer[apitypes.Status]{out}, nil
	})
	get(api, "/v1/ledger/totals", "ledger-totals", "The ledger of a span of time", s.totals)
	get(api, "/v1/ledger/check", "ledger-check", "Does the ledger balance?", func(ctx context.Context, _ *none) (*answer[apitypes.Check], error) {
		check, err := s.Reader.Check(ctx)
		if err != nil {
			return nil, s.failed(ctx, "ledger", err)
		}
		return &answer[apitypes.Check]{apitypes.FromCheck(check)}, nil
	})
}

// Beyond these a time does not fit Unix nanoseconds.
var earliest, latest = time.Unix(0, 0), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

func (s *server) totals(ctx context.Context, q *spanQuery) (*answer[apitypes.Totals], error) {
	var faults []string
	for _, p := range []struct {
		name string
		at   time.Time
	}{{"from", q.From}, {"to", q.To}} {
		if !p.at.IsZero() && (p.at.Before(earliest) || p.at.After(latest)) {
			faults = append(faults, p.name+": must be between 1970 and 2200")
		}
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		faults = append(faults, "to: must be after from")
	}
	if len(faults) > 0 {
		return nil, apitypes.NewProblem(http.StatusUnprocessableEntity, "validation failed", faults...)
	}
	var from, to int64
	if !q.From.IsZero() {
		from = q.From.UnixNano()
	}
	if !q.To.IsZero() {
		to = q.To.UnixNano()
	} else {
		status, err := s.Reader.Status(ctx)
		if err != nil {
			return nil, s.failed(ctx, "status", err)
		}
		to = max(status.Watermark, from)
	}
	totals, err := s.Reader.Totals(ctx, from, to)
	if err != nil {
		return nil, s.failed(ctx, "ledger", err)
	}
	return &answer[apitypes.Totals]{apitypes.FromTotals(totals)}, nil
}
