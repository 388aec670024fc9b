package collector

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/settings"
)

// policies does people's acts on policies for API and desk.
type policies struct {
	store   *store.Store
	reader  *store.Reader
	library store.Library
	jobs    *simulator
}

// readText reads a text of a kind. Faults name file, line and key.
func readText(kind, name, text string) (draft.Text, error) {
	t := draft.Text{Kind: draft.Kind(kind), Text: text}
	switch t.Kind {
	case draft.Pack:
		p, err := policy.Read(name, []byte(text))
		if err != nil {
			return t, err
		}
		t.Name, t.Number, t.Digest = p.ID, p.Version, p.Digest
	case draft.Weights:
		w, err := training.ReadWeights(name, []byte(text))
		if err != nil {
			return t, err
		}
		t.Name, t.Number, t.Digest = w.ID, w.Version, w.Digest
	case draft.Scorecard:
		c, err := classify.Read([]byte(text))
		if err != nil {
			return t, fmt.Errorf("%s:1: %w", name, err)
		}
		t.Name, t.Number, t.Digest = "scorecard", c.Version, c.Digest
	case draft.Settings:
		s, err := settings.Read(name, []byte(text))
		if err != nil {
			return t, err
		}
		t.Name, t.Number, t.Digest = "fleet", s.Version, s.Digest
	default:
		return t, fmt.Errorf("%s:1: kind: must be one of %v", name, draft.Kinds)
	}
	return t, nil
}

// inForce returns the version of what a text would replace at an instant, 0 for none.
func (p policies) inForce(t draft.Policy, all []draft.Policy, now time.Time) int {
	n := 0
	for _, q := range draft.Current(all, t.Kind, now) {
		if q.Name == t.Name {
			n = q.Number
		}
	}
	if n == 0 && t.Kind == draft.Pack {
		for _, shipped := range p.library.Shipped {
			if shipped.ID == t.Name && shipped.Active {
				n = shipped.Version
			}
		}
	}
	if w := training.Default(); n == 0 && t.Kind == draft.Weights && t.Name == w.ID {
		n = w.Version
	}
	return n
}

// CheckPolicy says what is wrong with a text, and changes nothing.
func (p policies) CheckPolicy(_ context.Context, in apitypes.PolicyText) (apitypes.PolicyCheck, error) {
	t, err := readText(in.Kind, in.File, in.Text)
	if err != nil {
		return apitypes.PolicyCheck{}, err
	}
	return apitypes.PolicyCheck{Kind: in.Kind, Name: t.Name, Number: t.Number, Digest: hex.EncodeToString(t.Digest[:])}, nil
}

// DraftPolicy keeps a draft.
func (p policies) DraftPolicy(ctx context.Context, in apitypes.PolicyText) (apitypes.Policy, error) {
	t, err := readText(in.Kind, in.File, in.Text)
	if err != nil {
		return apitypes.Policy{}, err
	}
	made, err := p.store.CreatePolicy(ctx, t)
	if err != nil {
		return apitypes.Policy{}, err
	}
	return p.show(ctx, made.ID)
}

// EditPolicy replaces the text of a draft.
func (p policies) EditPolicy(ctx context.Context, id string, version int64, in apitypes.PolicyText) (apitypes.Policy, error) {
	t, err := readText(in.Kind, in.File, in.Text)
	if err != nil {
		return apitypes.Policy{}, err
	}
	return p.act(ctx, id, version, "edit", "", func(x draft.Policy, _ []draft.Policy, _ time.Time) (draft.Policy, error) {
		return x.Edit(permission.Of(ctx).ID, t)
	})
}

// ActOnPolicy does one act.
func (p policies) ActOnPolicy(ctx context.Context, id string, version int64, act apitypes.PolicyAct) (apitypes.Policy, error) {
	who := permission.Of(ctx)
	var shown approval.Digest
	if act.Digest != "" {
		if n, err := hex.Decode(shown[:], []byte(act.Digest)); err != nil || n != len(shown) {
			return apitypes.Policy{}, &httpapi.Refusal{Status: http.StatusUnprocessableEntity, Why: "digest: must be 64 hexadecimal digits"}
		}
	}
	return p.act(ctx, id, version, act.Act, act.Reason, func(x draft.Policy, all []draft.Policy, now time.Time) (draft.Policy, error) {
		switch act.Act {
		case "propose":
			planned := act.From
			if planned.IsZero() {
				planned = now
			}
			return x.Propose(who.ID, act.Reason, planned, now, p.inForce(x, all, now))
		case "approve":
			if err := x.Above(p.inForce(x, all, x.FromIf(now))); err != nil {
				return x, fmt.Errorf("approve: %w", err)
			}
			return x.Approve(approverOf(who), shown, now)
		case "reject":
			return x.Reject(who.ID, act.Reason)
		case "withdraw":
			return x.Withdraw(act.Reason, now)
		}
		return x, fmt.Errorf("act %q is not known", act.Act)
	})
}

// RollBack drafts the text of an older policy again, with a version above that in
// force: what was in force comes back as something new.
func (p policies) RollBack(ctx context.Context, to string) (apitypes.Policy, error) {
	all, err := p.store.Policies(ctx)
	if err != nil {
		return apitypes.Policy{}, err
	}
	for _, x := range all {
		if x.ID != to {
			continue
		}
		next := p.inForce(x, all, time.Now()) + 1
		text, err := withVersion(x.Text, x.Number, next)
		if err != nil {
			return apitypes.Policy{}, err
		}
		return p.DraftPolicy(ctx, apitypes.PolicyText{Kind: string(x.Kind), File: x.Name, Text: text})
	}
	return apitypes.Policy{}, refusedPolicy(store.ErrNoPolicy)
}

// withVersion changes the version that a text gives itself.
func withVersion(text string, from, to int) (string, error) {
	for _, form := range []string{"version: %d\n", "\"version\": %d,"} {
		old := fmt.Sprintf(form, from)
		if strings.Count(text, old) == 1 {
			return strings.Replace(text, old, fmt.Sprintf(form, to), 1), nil
		}
	}
	return "", &httpapi.Refusal{Status: http.StatusConflict, Why: "the text does not say its version in one line of its own: draft it by hand"}
}

func (p policies) act(ctx context.Context, id string, version int64, act, note string, f func(draft.Policy, []draft.Policy, time.Time) (draft.Policy, error)) (apitypes.Policy, error) {
	if _, err := p.store.ActOnPolicy(ctx, id, version, act, note, f); err != nil {
		return apitypes.Policy{}, refusedPolicy(err)
	}
	return p.show(ctx, id)
}

func (p policies) show(ctx context.Context, id string) (apitypes.Policy, error) {
	v, ok, err := p.reader.Policy(ctx, id)
	if err == nil && !ok {
		err = refusedPolicy(store.ErrNoPolicy)
	}
	return apitypes.FromPolicy(v), err
}

// Simulate starts a simulation.
func (p policies) Simulate(ctx context.Context, id string, in apitypes.SimulationRequest) (apitypes.Job, error) {
	job, err := p.jobs.start(ctx, id, in)
	return job, refusedPolicy(err)
}

// Job returns how a simulation stands.
func (p policies) Job(ctx context.Context, id string) (apitypes.Job, bool) {
	return p.jobs.job(ctx, id)
}

// CancelJob ends a simulation.
func (p policies) CancelJob(ctx context.Context, id string) (apitypes.Job, bool) {
	return p.jobs.cancel(ctx, id)
}

// refusedPolicy says what was understood and not done.
func refusedPolicy(err error) error {
	for why, status := range map[error]int{
		store.ErrNoPolicy: http.StatusNotFound, store.ErrNoSimulation: http.StatusNotFound, draft.ErrVersion: http.StatusPreconditionFailed,
		draft.ErrState: http.StatusConflict, draft.ErrReason: http.StatusUnprocessableEntity, draft.ErrUntested: http.StatusConflict, draft.ErrOlder: http.StatusConflict,
		approval.ErrSelf: http.StatusForbidden, approval.ErrEdited: http.StatusConflict, approval.ErrSignIn: http.StatusForbidden, approval.ErrLapsed: http.StatusConflict,
		errBusy: http.StatusServiceUnavailable, errNotSimulated: http.StatusConflict,
	} {
		if errors.Is(err, why) {
			return &httpapi.Refusal{Status: status, Why: why.Error()}
		}
	}
	return err
}
