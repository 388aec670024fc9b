package collector

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// casework does people's acts on findings and cases for API and desk.
type casework struct {
	store  *store.Store
	reader *store.Reader
	laws   lawbook
}

// needs says which right an act on a case takes beyond that to work on cases.
var needs = map[string]permission.Action{
	"propose decision": permission.ProposeDecision, "know": permission.ProposeDecision,
	"approve decision": permission.Approve, "approve knowledge": permission.Approve, "return": permission.Approve,
}

// OpenCase opens a case on a finding.
func (w casework) OpenCase(ctx context.Context, finding, reason string) (apitypes.Case, error) {
	c, err := w.store.OpenCase(ctx, finding, reason)
	if err != nil {
		return apitypes.Case{}, refusalOf(err)
	}
	return w.show(ctx, c.ID)
}

// ActOnCase does one act.
func (w casework) ActOnCase(ctx context.Context, id string, version int64, act apitypes.CaseAct) (apitypes.Case, error) {
	who := permission.Of(ctx)
	if need, ok := needs[act.Act]; ok && !who.May(need) {
		return apitypes.Case{}, &httpapi.Refusal{Status: http.StatusForbidden, Why: "your roles do not allow this: it needs the right to " + string(need)}
	}
	var shown approval.Digest
	if act.Digest != "" {
		if n, err := hex.Decode(shown[:], []byte(act.Digest)); err != nil || n != len(shown) {
			return apitypes.Case{}, &httpapi.Refusal{Status: http.StatusUnprocessableEntity, Why: "digest: must be 64 hexadecimal digits"}
		}
	}
	packs, err := w.laws.latest(ctx)
	if err != nil {
		return apitypes.Case{}, err
	}
	_, err = w.store.ActOnCase(ctx, id, version, act.Act, act.Reason, func(c casefile.Case, now time.Time) (casefile.Case, error) {
		approver := approverOf(who)
		switch act.Act {
		case "assign":
			u, ok, err := w.store.User(ctx, act.To)
			if err == nil && act.To != who.ID && (!ok || u.Disabled) {
				err = errNobody
			}
			if err != nil {
				return c, err
			}
			return c.Assign(act.To)
		case "attach":
			if err := w.store.HasFinding(ctx, act.Finding); err != nil {
				return c, err
			}
			return c.Attach(act.Finding)
		case "propose decision":
			return c.Propose(who.ID, casefile.Outcome(act.Outcome), act.Code, act.Reason, now)
		case "approve decision":
			return c.Approve(approver, shown, now)
		case "return":
			return c.Return(who.ID, act.Reason)
		case "close":
			return c.Close(now)
		case "reopen":
			return c.Reopen(who.ID, act.Reason)
		case "know":
			return c.Know(act.Clock, act.At, who.ID, act.Reason, now)
		case "approve knowledge":
			return c.ApproveMove(approver, shown, now)
		case "start clock":
			return startClock(packs, c, act, now)
		case "hold":
			return c.Hold(who.ID, act.Reason)
		}
		return c, fmt.Errorf("act %q is not known", act.Act)
	})
	if err != nil {
		return apitypes.Case{}, refusalOf(err)
	}
	return w.show(ctx, id)
}

func startClock(packs map[string]*policy.Pack, c casefile.Case, act apitypes.CaseAct, now time.Time) (casefile.Case, error) {
	o, ok, err := obligation(packs, c.Obligation, act.Clock)
	if err != nil {
		return c, err
	}
	if !ok {
		return c, errNoClock
	}
	return c.StartClock(o, act.At, now)
}

// NoteOnCase adds a note.
func (w casework) NoteOnCase(ctx context.Context, id, text string) (apitypes.Case, error) {
	if _, err := w.store.AddNote(ctx, id, text); err != nil {
		return apitypes.Case{}, refusalOf(err)
	}
	return w.show(ctx, id)
}

// FileOnCase adds a file.
func (w casework) FileOnCase(ctx context.Context, id, name, media string, content []byte) (apitypes.Case, error) {
	if _, err := w.store.AddFile(ctx, id, name, media, content); err != nil {
		return apitypes.Case{}, refusalOf(err)
	}
	return w.show(ctx, id)
}

// WorkOnFinding does one act on a finding.
func (w casework) WorkOnFinding(ctx context.Context, id string, act apitypes.FindingAct) (apitypes.FindingWork, error) {
	err := w.store.WorkOnFinding(ctx, id, store.FindingAct{State: casefile.FindingState(act.State), Code: act.Code, Reason: act.Reason, Until: act.Until})
	if err != nil {
		return apitypes.FindingWork{}, refusalOf(err)
	}
	all, err := w.reader.FindingWork(ctx, []string{id})
	return apitypes.FromFindingWork(all[id]), err
}

func (w casework) show(ctx context.Context, id string) (apitypes.Case, error) {
	c, ok, err := w.reader.Case(ctx, id)
	if err == nil && !ok {
		err = store.ErrNoCase
	}
	return apitypes.FromCase(c), err
}

var (
	errNobody  = errors.New("a case is given to somebody with an account")
	errNoClock = errors.New("the case's pack has no such clock")
)

// refusalOf tells what people may not do from what went wrong.
func refusalOf(err error) error {
	for _, r := range []struct {
		err    error
		status int
	}{
		{store.ErrNoCase, http.StatusNotFound}, {store.ErrNoFinding, http.StatusNotFound}, {casefile.ErrVersion, http.StatusPreconditionFailed},
		{casefile.ErrTransition, http.StatusConflict}, {casefile.ErrClocks, http.StatusConflict}, {casefile.ErrCrossing, http.StatusConflict},
		{casefile.ErrReason, http.StatusUnprocessableEntity}, {casefile.ErrSecond, http.StatusForbidden}, {casefile.ErrInput, http.StatusUnprocessableEntity},
		{clock.ErrReason, http.StatusUnprocessableEntity}, {clock.ErrSecond, http.StatusForbidden}, {clock.ErrOrder, http.StatusUnprocessableEntity},
		{approval.ErrSelf, http.StatusForbidden}, {approval.ErrEdited, http.StatusConflict}, {approval.ErrSignIn, http.StatusForbidden}, {approval.ErrLapsed, http.StatusConflict},
		{store.ErrNoNote, http.StatusUnprocessableEntity}, {store.ErrNoFile, http.StatusUnprocessableEntity},
		{errNobody, http.StatusUnprocessableEntity}, {errNoClock, http.StatusUnprocessableEntity},
	} {
		if errors.Is(err, r.err) {
			return &httpapi.Refusal{Status: r.status, Why: r.err.Error()}
		}
	}
	return err
}
