package collector

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/training"
)

// joins shows joins and takes what people say of them, for the API.
type joins struct {
	reader  *store.Reader
	store   *store.Store
	deriver *store.Deriver
	now     func() time.Time
}

// Joins returns the joins of a run.
func (j joins) Joins(ctx context.Context, run string) ([]apitypes.Join, error) {
	all, err := j.reader.RunJoins(ctx, run)
	return apitypes.Each(all, joinOf), refusedJoin(err)
}

// History returns what became of a run.
func (j joins) History(ctx context.Context, run string) ([]apitypes.RunChange, error) {
	all, err := j.reader.RunHistory(ctx, run)
	return apitypes.Each(all, func(c desk.RunChange) apitypes.RunChange {
		return apitypes.RunChange{At: apitypes.Time(c.AtNS), Run: c.Run, Act: string(c.Act), Other: c.Other, Operations: apitypes.FromBounds(c.Operations)}
	}), refusedJoin(err)
}

// Decisions returns what people said of joins.
func (j joins) Decisions(ctx context.Context) ([]apitypes.JoinDecision, error) {
	all, err := j.reader.JoinDecisions(ctx, 0)
	return apitypes.Each(all, decisionOf), err
}

// Decide records what somebody says of a join.
func (j joins) Decide(ctx context.Context, join string, v apitypes.JoinVerdict) (apitypes.JoinDecision, error) {
	return j.decided(j.store.DecideJoin(ctx, join, training.Verdict(v.Verdict), permission.Of(ctx).ID, v.Reason, j.now()))
}

// JoinRuns records that two runs are one.
func (j joins) JoinRuns(ctx context.Context, run string, with apitypes.RunJoin) (apitypes.JoinDecision, error) {
	return j.decided(j.store.JoinRuns(ctx, run, with.With, permission.Of(ctx).ID, with.Reason, j.now()))
}

func (j joins) decided(d store.JoinDecision, err error) (apitypes.JoinDecision, error) {
	if err != nil {
		return apitypes.JoinDecision{}, refusedJoin(err)
	}
	j.deriver.JoinsChanged(d.Tenant)
	return decisionOf(d), nil
}

// refusedJoin says what was understood and not done.
func refusedJoin(err error) error {
	for why, status := range map[error]int{store.ErrNoJoin: http.StatusNotFound, store.ErrNoRun: http.StatusNotFound,
		store.ErrSameRun: http.StatusConflict, store.ErrTwoTenants: http.StatusConflict, store.ErrStandsApart: http.StatusConflict} {
		if errors.Is(err, why) {
			return refuse(status, why)
		}
	}
	return err
}

func decisionOf(d store.JoinDecision) apitypes.JoinDecision {
	return apitypes.JoinDecision{ID: d.ID, Tenant: string(d.Tenant), Verdict: string(d.Verdict), Reason: d.Reason, By: d.By, Decided: apitypes.Time(d.DecidedNS)}
}

func joinOf(j desk.Join) apitypes.Join {
	out := apitypes.Join{ID: j.ID, Run: j.Run, Kind: string(j.Kind), From: j.FromLabel, To: j.ToLabel, FromPart: string(j.FromPart), ToPart: string(j.ToPart),
		At: apitypes.Time(j.AtNS), GapS: j.Gap.Seconds(), Bits: j.Bits, Weights: j.Weights, Verdict: string(j.Verdict), Reason: j.Reason, By: j.By}
	out.Evidence = apitypes.Each(j.Evidence, func(e training.Evidence) apitypes.JoinEvidence {
		return apitypes.JoinEvidence{Name: e.Name, Bits: e.Bits, Detail: e.Detail}
	})
	return out
}
