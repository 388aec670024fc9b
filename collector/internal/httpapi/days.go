package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

type runPath struct {
	ID string `path:"id" pattern:"^run_[a-z0-9]{1,40}$"`
}

type customerQuery struct {
	PageQuery
	PartyPath
}

// registerDays registers one run, and what was done by day.
func (s *server) registerDays(api huma.API) {
	get(api, "/v1/runs/{id}", "show-run", "One training run", func(ctx context.Context, q *runPath) (*answer[apitypes.Run], error) {
		run, err := s.runOf(ctx, q.ID)
		if err != nil {
			return nil, err
		}
		return &answer[apitypes.Run]{apitypes.FromRun(run)}, nil
	})
	get(api, "/v1/runs/{id}/days", "list-run-days", "What a run did on each of its last days, oldest first", func(ctx context.Context, q *runQuery) (*list[apitypes.RunDay], error) {
		if _, err := s.runOf(ctx, q.ID); err != nil {
			return nil, err
		}
		all, err := s.Reader.RunDays(ctx, q.ID)
		if err != nil {
			return nil, s.failed(ctx, "days of a run", err)
		}
		return page(all, q.PageQuery, func(d desk.RunDay) apitypes.RunDay {
			return apitypes.RunDay{Until: apitypes.Time(d.ToNS), Best: d.Best.Decimal()}
		}, func(d apitypes.RunDay) string { return d.Until.Format(time.RFC3339Nano) })
	})
	get(api, "/v1/customers/{id}/days", "list-customer-days", "What a customer's own tenants did by day, oldest first; days without anything are missing", func(ctx context.Context, q *customerQuery) (*list[apitypes.CustomerDay], error) {
		if _, ok, err := s.Reader.Standing(ctx, q.ID, desk.PartyQuery{}); err != nil {
			return nil, s.failed(ctx, "customer", err)
		} else if !ok {
			return nil, apitypes.NewProblem(http.StatusNotFound, "there is no such customer")
		}
		all, err := s.Reader.CustomerDays(ctx, q.ID)
		if err != nil {
			return nil, s.failed(ctx, "days of a customer", err)
		}
		return page(all, q.PageQuery, func(d desk.CustomerDay) apitypes.CustomerDay {
			return apitypes.CustomerDay{Until: apitypes.Time(d.ToNS), Operations: apitypes.FromBounds(d.Operations)}
		}, func(d apitypes.CustomerDay) string { return d.Until.Format(time.RFC3339Nano) })
	})
}

func (s *server) runOf(ctx context.Context, id string) (desk.Run, error) {
	runs, err := s.Reader.Runs(ctx, desk.RunQuery{IDs: []string{id}})
	if err != nil {
		return desk.Run{}, s.failed(ctx, "run", err)
	}
	if len(runs) == 0 {
		return desk.Run{}, apitypes.NewProblem(http.StatusNotFound, "there is no such run")
	}
	return runs[0], nil
}
