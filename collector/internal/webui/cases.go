package webui

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// Caseworker does people's acts on findings and cases. What may not be done is
// an error with a method Refused, which says why in words for people.
type Caseworker interface {
	OpenCase(ctx context.Context, finding, reason string) (apitypes.Case, error)
	ActOnCase(ctx context.Context, id string, version int64, act apitypes.CaseAct) (apitypes.Case, error)
	NoteOnCase(ctx context.Context, id, text string) (apitypes.Case, error)
	WorkOnFinding(ctx context.Context, id string, act apitypes.FindingAct) (apitypes.FindingWork, error)
}

// refused is an act that was understood and not done.
type refused interface {
	error
	Refused() (status int, why string)
}

const maxForm = 64 << 10

func (s *site) cases(ctx context.Context, r *http.Request) (any, error) {
	all, err := s.Reader.Cases(ctx)
	return list(all, r, func(c desk.Case) string { return c.ID }, err)
}

type caseView struct {
	Case     desk.Case
	Findings []findingRow
	Me       string
	May      map[string]bool // acts that the reader's roles and the state allow
	Clocks   []string        // names of the clocks that still run
}

func (s *site) oneCase(ctx context.Context, r *http.Request) (any, error) {
	c, ok, err := s.Reader.Case(ctx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound("There is no such case.")
	}
	who := permission.Of(ctx)
	v := caseView{Case: c, Me: who.ID}
	if v.Findings, err = s.worked(ctx, desk.FindingQuery{IDs: c.Findings}); err != nil {
		return nil, err
	}
	for _, k := range c.Clocks {
		if k.Met.IsZero() {
			v.Clocks = append(v.Clocks, k.Name)
		}
	}
	work, propose, approve := who.May(permission.WorkCases), who.May(permission.ProposeDecision), who.May(permission.Approve)
	decided := c.State == "reportable" || c.State == "not reportable"
	v.May = map[string]bool{
		"assign": work && c.State != "closed", "note": work, "close": work && decided, "reopen": work && (decided || c.State == "closed"),
		"propose": propose && c.State == "investigating", "know": propose && len(v.Clocks) > 0,
		"report":  s.Reporter != nil && who.May(permission.ReadReports) && (propose || who.May(permission.File)) && c.State != "closed",
		"approve": approve && c.State == "decision proposed", "approve knowledge": approve && c.Move.Clock != "",
	}
	return v, nil
}

// findingRow is a finding with the work on it.
type findingRow struct {
	desk.Finding
	Work desk.FindingWork
}

// worked returns the findings of a query that the reader may see, with the work
// on them.
func (s *site) worked(ctx context.Context, q desk.FindingQuery) ([]findingRow, error) {
	all, err := s.seenFindings(ctx, q)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	ids := make([]string, len(all))
	for i, f := range all {
		ids[i] = f.ID
	}
	work, err := s.Reader.FindingWork(ctx, ids)
	rows := make([]findingRow, len(all))
	for i, f := range all {
		rows[i] = findingRow{f, work[f.ID]}
		if rows[i].Work.State == "" {
			rows[i].Work.State = "open"
		}
	}
	return rows, err
}

// caseForms are the acts that a case's page posts.
var caseForms = map[string]string{
	"assign": "assign", "propose": "propose decision", "approve": "approve decision", "return": "return", "close": "close",
	"reopen": "reopen", "know": "know", "approve-knowledge": "approve knowledge",
}

// actOnCase takes a form of a case's page.
func (s *site) actOnCase(w http.ResponseWriter, r *http.Request) {
	id, name := r.PathValue("id"), r.PathValue("act")
	form, ok := s.form(w, r, permission.WorkCases, s.Caseworker != nil)
	if !ok {
		return
	}
	if name == "note" {
		_, err := s.Caseworker.NoteOnCase(r.Context(), id, form("text"))
		s.acted(w, r, "/cases/"+id, err)
		return
	}
	act, known := caseForms[name]
	version, err := strconv.ParseInt(form("version"), 10, 64)
	if !known || err != nil {
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's.")
		return
	}
	do := apitypes.CaseAct{Act: act, To: form("to"), Outcome: form("outcome"), Code: form("code"), Reason: form("reason"), Digest: form("digest"), Clock: form("clock")}
	if act == "assign" && do.To == "" {
		do.To = permission.Of(r.Context()).ID
	}
	if at := form("at"); at != "" {
		if do.At, err = time.Parse("2006-01-02T15:04", at); err != nil {
			s.problem(w, r, http.StatusUnprocessableEntity, "The time must be like 2026-11-23T12:00, in UTC.")
			return
		}
	}
	_, err = s.Caseworker.ActOnCase(r.Context(), id, version, do)
	s.acted(w, r, "/cases/"+id, err)
}

// actOnFinding takes a form of the page of findings.
func (s *site) actOnFinding(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	form, ok := s.form(w, r, permission.WorkCases, s.Caseworker != nil)
	if !ok {
		return
	}
	if form("state") == "case" {
		c, err := s.Caseworker.OpenCase(r.Context(), id, form("reason"))
		s.acted(w, r, "/cases/"+c.ID, err)
		return
	}
	act := apitypes.FindingAct{State: form("state"), Code: form("code"), Reason: form("reason")}
	if act.State == "suppressed" {
		act = suppression(form)
	}
	to := "/findings"
	if form("from") == "finding" {
		to = "/findings/" + url.PathEscape(id)
	}
	_, err := s.Caseworker.WorkOnFinding(r.Context(), id, act)
	s.acted(w, r, to, err)
}

// form reads a posted form about cases.
func (s *site) form(w http.ResponseWriter, r *http.Request, need permission.Action, kept bool) (value func(string) string, ok bool) {
	return s.formOf(w, r, permission.ReadCases, need, kept)
}

// formOf reads a posted form of somebody who may do what it asks for. Who may not
// even see what it is about is answered as if there were no such page. kept is
// false where this desk does not do that at all. Where it returns false an answer
// was sent.
func (s *site) formOf(w http.ResponseWriter, r *http.Request, see, need permission.Action, kept bool) (value func(string) string, ok bool) {
	return s.largeForm(w, r, see, need, kept, maxForm)
}

// largeForm is formOf for a form of at most so many bytes.
func (s *site) largeForm(w http.ResponseWriter, r *http.Request, see, need permission.Action, kept bool, most int64) (value func(string) string, ok bool) {
	if !permission.Of(r.Context()).May(see) {
		s.problem(w, r, http.StatusNotFound, noPage)
		return nil, false
	}
	if !permission.Of(r.Context()).May(need) || !kept {
		s.problem(w, r, http.StatusForbidden, "Your roles do not allow you to do that.")
		return nil, false
	}
	r.Body = http.MaxBytesReader(w, r.Body, most)
	if err := r.ParseForm(); err != nil {
		s.problem(w, r, http.StatusBadRequest, "The form could not be read, or is too large.")
		return nil, false
	}
	return r.PostForm.Get, true
}

// acted answers a form: with the page that shows what was done, or with why not.
func (s *site) acted(w http.ResponseWriter, r *http.Request, to string, err error) {
	var no refused
	switch {
	case err == nil:
		http.Redirect(w, r, to, http.StatusSeeOther)
	case errors.As(err, &no):
		status, why := no.Refused()
		s.problem(w, r, status, "Not done: "+why+".")
	default:
		s.Log.LogAttrs(r.Context(), slog.LevelError, "desk: act failed", slog.String("path", r.URL.Path), slog.String("error", err.Error()))
		s.problem(w, r, http.StatusInternalServerError, "It could not be done. The collector's log says why.")
	}
}
