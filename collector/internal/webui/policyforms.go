package webui

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// Policymaker takes what people do on policies. What may not be done is an error
// with a method Refused; any other error of a text is its faults, a line each.
type Policymaker interface {
	DraftPolicy(ctx context.Context, in apitypes.PolicyText) (apitypes.Policy, error)
	EditPolicy(ctx context.Context, id string, version int64, in apitypes.PolicyText) (apitypes.Policy, error)
	ActOnPolicy(ctx context.Context, id string, version int64, act apitypes.PolicyAct) (apitypes.Policy, error)
	Simulate(ctx context.Context, id string, in apitypes.SimulationRequest) (apitypes.Job, error)
	Job(ctx context.Context, id string) (apitypes.Job, bool)
	CancelJob(ctx context.Context, id string) (apitypes.Job, bool)
}

// maxPolicyForm is what a text of a policy may hold, with its form around it.
const maxPolicyForm = 3<<20 + maxForm

// policyKinds are the kinds of text that people draft.
var policyKinds = []string{"pack", "weights", "scorecard", "settings"}

var fileForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// policyForm reads a form of somebody who may do that on policies.
func (s *site) policyForm(w http.ResponseWriter, r *http.Request, need permission.Action) (value func(string) string, ok bool) {
	return s.largeForm(w, r, permission.ReadPolicy, need, s.Policymaker != nil, maxPolicyForm)
}

// textOf reads the text of a form; browsers send lines that end with CR LF.
func textOf(form func(string) string) (in apitypes.PolicyText, ok bool) {
	in = apitypes.PolicyText{Kind: form("kind"), File: form("file"), Text: strings.ReplaceAll(form("text"), "\r\n", "\n")}
	if in.File == "" {
		in.File = "draft.yaml"
	}
	return in, slices.Contains(policyKinds, in.Kind) && fileForm.MatchString(in.File) && len(in.Text) <= 1<<20
}

// faultsView is a text that was refused, to be put right.
type faultsView struct {
	Action  string
	Version int64 // of the policy whose text it was to be, 0 of a new one
	Text    apitypes.PolicyText
	Faults  []string
}

// draftPolicy keeps a new draft, or shows what is wrong with its text.
func (s *site) draftPolicy(w http.ResponseWriter, r *http.Request) {
	form, ok := s.policyForm(w, r, permission.DraftPolicy)
	if !ok {
		return
	}
	in, ok := textOf(form)
	if !ok {
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's, or its text is larger than 1 MiB.")
		return
	}
	p, err := s.Policymaker.DraftPolicy(r.Context(), in)
	s.kept(w, r, faultsView{Action: "/policies", Text: in}, p, err)
}

// kept answers with the policy, or with what is wrong with its text.
func (s *site) kept(w http.ResponseWriter, r *http.Request, v faultsView, p apitypes.Policy, err error) {
	var no refused
	// Only what names the file speaks of the text; the rest is the collector's.
	if err != nil && !errors.As(err, &no) && strings.HasPrefix(err.Error(), v.Text.File+":") {
		v.Faults = strings.Split(err.Error(), "\n")
		s.render(w, r, http.StatusUnprocessableEntity, "faults", layout{Title: "Text refused", View: v})
		return
	}
	s.acted(w, r, "/policies/"+p.ID, err)
}

// actOnPolicy takes a form of a policy's page.
func (s *site) actOnPolicy(w http.ResponseWriter, r *http.Request) {
	id, act := r.PathValue("id"), r.PathValue("act")
	need := permission.DraftPolicy
	if act == "approve" || act == "reject" {
		need = permission.ApprovePolicy
	}
	form, ok := s.policyForm(w, r, need)
	if !ok {
		return
	}
	version, err := strconv.ParseInt(form("version"), 10, 64)
	if err != nil && act != "simulate" && act != "cancel" {
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's.")
		return
	}
	do := apitypes.PolicyAct{Act: act, Reason: form("reason"), Digest: form("digest")}
	switch act {
	case "edit":
		in, ok := textOf(form)
		if !ok {
			s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's, or its text is larger than 1 MiB.")
			return
		}
		p, err := s.Policymaker.EditPolicy(r.Context(), id, version, in)
		if p.ID == "" {
			p.ID = id
		}
		s.kept(w, r, faultsView{Action: "/policies/" + id + "/edit", Version: version, Text: in}, p, err)
		return
	case "simulate":
		s.simulate(w, r, id, form)
		return
	case "cancel":
		s.Policymaker.CancelJob(r.Context(), form("job"))
		s.acted(w, r, "/policies/"+id, nil)
		return
	case "propose":
		if at := form("from"); at != "" {
			if do.From, err = time.Parse(formTime, at); err != nil {
				s.problem(w, r, http.StatusUnprocessableEntity, badTime)
				return
			}
		}
	case "approve", "reject", "withdraw":
	default:
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's.")
		return
	}
	if len(do.Reason) > maxReason || do.Reason == "" && act != "approve" {
		s.problem(w, r, http.StatusUnprocessableEntity, needsReason)
		return
	}
	_, err = s.Policymaker.ActOnPolicy(r.Context(), id, version, do)
	s.acted(w, r, "/policies/"+id, err)
}

// simulate begins a simulation and leads to the page that follows it.
func (s *site) simulate(w http.ResponseWriter, r *http.Request, id string, form func(string) string) {
	days, err := strconv.Atoi(form("days"))
	if form("days") == "" {
		days, err = 0, nil
	}
	if err != nil || days < 0 || days > 3660 {
		s.problem(w, r, http.StatusUnprocessableEntity, "Not done: days must be from 0, for all of them, to 3660.")
		return
	}
	job, err := s.Policymaker.Simulate(r.Context(), id, apitypes.SimulationRequest{Days: days, Points: 20})
	s.acted(w, r, "/policies/"+id+"?job="+job.ID, err)
}
