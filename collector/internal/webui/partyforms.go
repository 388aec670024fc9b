package webui

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// PartyKeeper takes what people do about resellers and exemptions. What may not be
// done is an error with a method Refused.
type PartyKeeper interface {
	ActOnReseller(ctx context.Context, id string, act apitypes.ResellerAct) (apitypes.Recorded, error)
	ProposeExemption(ctx context.Context, e apitypes.NewExemption) (apitypes.Recorded, error)
	ApproveExemption(ctx context.Context, id, digest string) (apitypes.Recorded, error)
	WithdrawExemption(ctx context.Context, id, reason string) (apitypes.Recorded, error)
}

var zeroTime time.Time

// resellerActs are what can happen with a reseller, in the words of the page.
var resellerActs = []struct{ Act, Text string }{
	{"attest", "it attested its programme"}, {"hold_copy", "we hold a copy of its programme"}, {"request_copy", "a copy was asked of us"},
	{"produce_copy", "we produced the copy"}, {"find_failing", "its programme fails"}, {"report", "we reported it"}, {"end", "the relationship ended"},
}

type resellersView struct {
	listView[desk.Reseller]
	Acts []struct{ Act, Text string }
	May  bool
}

func (s *site) resellers(ctx context.Context, r *http.Request) (any, error) {
	all, err := s.Reader.Resellers(ctx)
	if err != nil {
		return nil, err
	}
	v := resellersView{Acts: resellerActs, May: s.Parties != nil && permission.Of(ctx).May(permission.Import)}
	v.Rows, v.Next, err = follow(all, after(r, afterQuery), func(r desk.Reseller) string { return r.ID })
	return v, err
}

// actOnReseller records what happened with a reseller.
func (s *site) actOnReseller(w http.ResponseWriter, r *http.Request) {
	form, ok := s.form(w, r, permission.Import, s.Parties != nil)
	if !ok {
		return
	}
	act := apitypes.ResellerAct{Act: form("act"), Reason: form("reason")}
	known := slices.ContainsFunc(resellerActs, func(a struct{ Act, Text string }) bool { return a.Act == act.Act })
	var err error
	if act.At, err = time.Parse(formTime, form("at")); err != nil || !known {
		s.problem(w, r, http.StatusUnprocessableEntity, badTime)
		return
	}
	if act.Reason == "" || len(act.Reason) > 1000 {
		s.problem(w, r, http.StatusUnprocessableEntity, "Not done: say why, in no more than 1,000 characters.")
		return
	}
	_, err = s.Parties.ActOnReseller(r.Context(), r.PathValue("id"), act)
	s.acted(w, r, "/resellers", err)
}

// Times in forms, as browsers send them; they are of UTC.
const (
	formTime = "2006-01-02T15:04"
	badTime  = "The time must be like 2026-11-23T12:00, in UTC."
)

type exemptionsView struct {
	listView[desk.Exemption]
	Propose, Approve bool
	Me               string
}

func (s *site) exemptions(ctx context.Context, r *http.Request) (any, error) {
	all, err := s.Reader.Exemptions(ctx)
	if err != nil {
		return nil, err
	}
	who := permission.Of(ctx)
	v := exemptionsView{Propose: s.Parties != nil && who.May(permission.ProposeExemption), Approve: s.Parties != nil && who.May(permission.ApproveExemption), Me: who.ID}
	v.Rows, v.Next, err = follow(all, after(r, afterQuery), func(e desk.Exemption) string { return e.ID })
	return v, err
}

// proposeExemption records an exemption that waits for two other people.
func (s *site) proposeExemption(w http.ResponseWriter, r *http.Request) {
	form, ok := s.form(w, r, permission.ProposeExemption, s.Parties != nil)
	if !ok {
		return
	}
	in := apitypes.NewExemption{Basis: form("basis"), Scope: form("scope"), Of: form("of"), IssuedBy: form("issued_by")}
	for line := range strings.Lines(form("evidence")) {
		if line = strings.TrimSpace(line); line != "" {
			in.Evidence = append(in.Evidence, line)
		}
	}
	var err, err2 error
	in.From, err = time.Parse(time.DateOnly, form("from"))
	in.To, err2 = time.Parse(time.DateOnly, form("to"))
	switch {
	case err != nil || err2 != nil:
		s.problem(w, r, http.StatusUnprocessableEntity, "Not done: a date must be like 2026-11-23.")
		return
	case in.Basis == "" || in.IssuedBy == "" || in.Of == "" || len(in.Basis) > 300 || len(in.IssuedBy) > 300 || len(in.Of) > 64 || len(in.Evidence) > 50:
		s.problem(w, r, http.StatusUnprocessableEntity, "Not done: say of whom it is, on what it rests and who issued it, each in no more than 300 characters.")
		return
	case !slices.Contains([]string{"customer", "account", "workload"}, in.Scope):
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's.")
		return
	}
	_, err = s.Parties.ProposeExemption(r.Context(), in)
	s.acted(w, r, "/exemptions", err)
}

// actOnExemption approves or withdraws an exemption.
func (s *site) actOnExemption(w http.ResponseWriter, r *http.Request) {
	act, need := r.PathValue("act"), permission.ProposeExemption
	if act == "approve" {
		need = permission.ApproveExemption
	}
	form, ok := s.form(w, r, need, s.Parties != nil)
	if !ok {
		return
	}
	var err error
	switch reason := form("reason"); {
	case act == "approve":
		_, err = s.Parties.ApproveExemption(r.Context(), r.PathValue("id"), form("digest"))
	case act == "withdraw" && reason != "" && len(reason) <= 1000:
		_, err = s.Parties.WithdrawExemption(r.Context(), r.PathValue("id"), reason)
	case act == "withdraw":
		err = notThat("say why, in no more than 1,000 characters")
	default:
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's.")
		return
	}
	s.acted(w, r, "/exemptions", err)
}
