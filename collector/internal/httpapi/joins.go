package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// Joiner shows why workloads are one run and takes what people say of it. What
// it cannot find or do is a Refusal. Runs follow a decision within a second.
type Joiner interface {
	Joins(ctx context.Context, run string) ([]apitypes.Join, error)
	History(ctx context.Context, run string) ([]apitypes.RunChange, error)
	Decisions(ctx context.Context) ([]apitypes.JoinDecision, error)
	Decide(ctx context.Context, join string, v apitypes.JoinVerdict) (apitypes.JoinDecision, error)
	JoinRuns(ctx context.Context, run string, with apitypes.RunJoin) (apitypes.JoinDecision, error)
}

type runQuery struct {
	PageQuery
	ID string `path:"id" pattern:"^run_[a-z0-9]{1,40}$"`
}

type joinVerdictInput struct {
	ID   string `path:"id" pattern:"^jon_[a-z0-9]{1,40}$"`
	Body apitypes.JoinVerdict
}

type runJoinInput struct {
	ID   string `path:"id" pattern:"^run_[a-z0-9]{1,40}$"`
	Body apitypes.RunJoin
}

func noJoins() error {
	return apitypes.NewProblem(http.StatusNotImplemented, "this collector keeps no joins")
}

// refusedOrFailed answers a refusal as such and anything else as a view that
// could not be read.
func (s *server) refusedOrFailed(ctx context.Context, what string, err error) error {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return apitypes.NewProblem(refusal.Status, refusal.Why)
	}
	return s.failed(ctx, what, err)
}

func (s *server) registerJoins(api huma.API) {
	get(api, "/v1/runs/{id}/joins", "list-run-joins", "Why workloads are one run, by time", func(ctx context.Context, q *runQuery) (*list[apitypes.Join], error) {
		if s.Joiner == nil {
			return nil, noJoins()
		}
		all, err := s.Joiner.Joins(ctx, q.ID)
		if err != nil {
			return nil, s.refusedOrFailed(ctx, "joins", err)
		}
		return page(all, q.PageQuery, func(j apitypes.Join) apitypes.Join { return j }, func(j apitypes.Join) string { return j.ID })
	})
	get(api, "/v1/runs/{id}/history", "list-run-history", "What became of a run, newest first", func(ctx context.Context, q *runQuery) (*list[apitypes.RunChange], error) {
		if s.Joiner == nil {
			return nil, noJoins()
		}
		all, err := s.Joiner.History(ctx, q.ID)
		if err != nil {
			return nil, s.refusedOrFailed(ctx, "history", err)
		}
		return page(all, q.PageQuery, func(c apitypes.RunChange) apitypes.RunChange { return c }, func(c apitypes.RunChange) string { return c.At.String() + c.Run + c.Act + c.Other })
	})
	get(api, "/v1/joins/decisions", "list-join-decisions", "What people said of joins, last said first", func(ctx context.Context, q *PageQuery) (*list[apitypes.JoinDecision], error) {
		if s.Joiner == nil {
			return nil, noJoins()
		}
		all, err := s.Joiner.Decisions(ctx)
		if err != nil {
			return nil, s.refusedOrFailed(ctx, "decisions", err)
		}
		return page(all, *q, func(d apitypes.JoinDecision) apitypes.JoinDecision { return d }, func(d apitypes.JoinDecision) string { return d.ID + d.Decided.String() })
	})
	act(api, http.MethodPost, "/v1/joins/{id}/decisions", "decide-join", "Undo or confirm a join, or take back what was said of it", func(ctx context.Context, in *joinVerdictInput) (*answer[apitypes.JoinDecision], error) {
		if s.Joiner == nil {
			return nil, noJoins()
		}
		d, err := s.Joiner.Decide(ctx, in.ID, in.Body)
		if err != nil {
			return nil, s.acted(ctx, "decide on join", err)
		}
		return &answer[apitypes.JoinDecision]{d}, nil
	})
	act(api, http.MethodPost, "/v1/runs/{id}/joins", "join-runs", "Say that two runs of one tenant are one", func(ctx context.Context, in *runJoinInput) (*answer[apitypes.JoinDecision], error) {
		if s.Joiner == nil {
			return nil, noJoins()
		}
		d, err := s.Joiner.JoinRuns(ctx, in.ID, in.Body)
		if err != nil {
			return nil, s.acted(ctx, "join runs", err)
		}
		return &answer[apitypes.JoinDecision]{d}, nil
	})
}
