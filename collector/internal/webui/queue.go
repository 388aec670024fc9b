package webui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Rows of the queue: what one takes from, not what one reads through. The lists of
// findings and cases have everything.
const queueRows = 50

type queueView struct {
	Rows []queueRow
	More bool // there are findings that are less urgent than those shown
	Show string
	Mine bool // shown is what the reader has taken, and not what waits for anybody
	Work bool // the reader may take, give and close what is shown
	Me   string
	Now  int64
}

// queueRow is a finding or a case that waits for somebody, with why it stands
// where it stands.
type queueRow struct {
	rank  int
	Why   []string // the first reason decides
	Mark  mark
	Item  string // what a form calls it: the id, of a case with the version that was shown
	ID    string
	Path  string
	About string
	Name  string // of the customer, "" where none is known
	State string

	Figure    compute.Bounds // zero of a case
	Threshold compute.Operations
	SinceNS   int64
}

// Ranks, from what comes first. A clock that the law runs goes before what a rule
// calls severe.
const (
	rankOverdue = iota
	rankSoon
	rankCritical
	rankHigh
	rankClock
	rankWarning
	rankRest
)

// soonDays is from how many days before a last day a case goes before findings.
const soonDays = 5

// queue shows what to take next, or what the reader has taken.
func (s *site) queue(ctx context.Context, r *http.Request) (any, error) {
	who := permission.Of(ctx)
	v := queueView{Work: s.Caseworker != nil && who.May(permission.WorkCases), Me: who.ID, Mine: r.URL.Query().Get("show") == "mine"}
	query := desk.FindingQuery{State: "open", Urgent: true, Limit: queueRows + 1}
	if v.Mine {
		query.State, query.By = "triaged", who.ID
	}
	findings, err := s.worked(ctx, query)
	if err != nil {
		return nil, err
	}
	status, err := s.Reader.Status(ctx)
	if err != nil {
		return nil, err
	}
	v.Now = status.Watermark
	findings, v.More = cut(findings, queueRows)
	for _, f := range findings {
		v.Rows = append(v.Rows, rowOfFinding(f, v.Now))
	}
	cases, err := s.Reader.Cases(ctx)
	if err != nil {
		return nil, err
	}
	taken := 0
	for _, c := range cases {
		if row, ok := rowOfCase(c, who.ID, v.Mine); ok && taken < queueRows {
			v.Rows = append(v.Rows, row)
			taken++
		}
	}
	slices.SortStableFunc(v.Rows, func(a, b queueRow) int { return cmp.Compare(a.rank, b.rank) })
	return v, nil
}

// rowOfFinding says how urgent a finding is and why.
func rowOfFinding(f findingRow, nowNS int64) queueRow {
	row := queueRow{rank: rankRest, Mark: severity(f.Severity), Item: f.ID, ID: f.ID, Path: pathOf("findings", f.ID), About: f.Subject, Name: f.CustomerName, State: f.Work.State,
		Figure: f.Operations, Threshold: f.Threshold, SinceNS: f.SignalledNS}
	switch f.Severity {
	case "critical":
		row.rank = rankCritical
	case "high":
		row.rank = rankHigh
	case "warning":
		row.rank = rankWarning
	}
	if strings.HasPrefix(f.Level, f.Severity) {
		row.Why = append(row.Why, reached(f.Level))
	} else {
		row.Why = append(row.Why, f.Severity+": "+reached(f.Level))
	}
	if f.Threshold > 0 {
		row.Why = append(row.Why, fmt.Sprintf("best figure is %s of %s", percent(ratio(f.Operations.Best, f.Threshold)), operations(f.Threshold)))
	}
	if f.ForeignStatus != "us" {
		row.Why = append(row.Why, "customer is "+foreign(f.ForeignStatus).Word)
	}
	if f.Work.State == "open" && f.Work.Reason != "" {
		row.Why = append(row.Why, f.Work.Reason)
	}
	if waits := nowNS - f.SignalledNS; waits > 0 {
		row.Why = append(row.Why, "waits for "+span(desk.DeviceTimeOf(time.Duration(waits))))
	}
	return row
}

// rowOfCase says how urgent a case is. ok is false of one that waits for somebody
// else, or for nobody.
func rowOfCase(c desk.Case, me string, mine bool) (row queueRow, ok bool) {
	if c.State == "closed" || mine != (c.Assignee == me && me != "") || !mine && c.Assignee != "" {
		return row, false
	}
	row = queueRow{rank: rankRest, Mark: caseState(c.State), Item: c.ID + "@" + strconv.FormatInt(c.Version, 10), ID: c.ID, Path: pathOf("cases", c.ID), About: c.Subject, Name: c.CustomerName, State: c.State, SinceNS: c.OpenedNS}
	if k, runs := c.Due(); runs {
		row.Mark = clockState(k)
		switch {
		case k.DaysLeft < 0 || k.State == "overdue":
			row.rank = rankOverdue
		case k.DaysLeft <= soonDays:
			row.rank = rankSoon
		default:
			row.rank = rankClock
		}
		row.Why = append(row.Why, "clock "+k.Name+", last day "+k.Due+" in "+k.Zone)
	}
	if c.State == "decision proposed" {
		row.Why = append(row.Why, "a decision waits for a second person")
	}
	row.Why = append(row.Why, fmt.Sprintf("%d %s, under %s", len(c.Findings), plural(len(c.Findings), "finding"), c.Pack))
	return row, true
}

// doneView says what came of each item of a form about many.
type doneView struct {
	Done, Not []doneItem
	Back      string
}

type doneItem struct{ ID, Why string }

// maxItems of one form.
const maxItems = 2 * queueRows

// actOnQueue does one act on each item that was marked. Each is done or not by
// itself; what was not done is said.
func (s *site) actOnQueue(w http.ResponseWriter, r *http.Request) {
	form, ok := s.form(w, r, permission.WorkCases, s.Caseworker != nil)
	if !ok {
		return
	}
	items := r.PostForm["item"]
	if len(items) == 0 || len(items) > maxItems {
		s.problem(w, r, http.StatusUnprocessableEntity, "Nothing was marked: mark what it is about first.")
		return
	}
	act := form("act")
	if !slices.Contains([]string{"take", "give", "dismiss", "suppress", "case"}, act) {
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's.")
		return
	}
	v := doneView{Back: "/queue"}
	for _, item := range items {
		id, err := s.actOnItem(r.Context(), item, act, form)
		var no refused
		switch {
		case err == nil:
			v.Done = append(v.Done, doneItem{ID: id})
		case errors.As(err, &no):
			_, why := no.Refused()
			v.Not = append(v.Not, doneItem{id, why})
		default:
			s.acted(w, r, "", err)
			return
		}
	}
	if len(v.Not) > 0 {
		s.render(w, r, http.StatusConflict, "done", layout{Title: "Not all was done", View: v})
		return
	}
	http.Redirect(w, r, v.Back, http.StatusSeeOther)
}

// actOnItem does an act on one finding or case and returns its id.
func (s *site) actOnItem(ctx context.Context, item, act string, form func(string) string) (id string, err error) {
	me := permission.Of(ctx).ID
	id, version, isCase := strings.Cut(item, "@")
	if isCase {
		n, err := strconv.ParseInt(version, 10, 64)
		if err != nil {
			return id, notThat("the form was not one of this desk's")
		}
		switch act {
		case "take":
			_, err = s.Caseworker.ActOnCase(ctx, id, n, apitypes.CaseAct{Act: "assign", To: me})
		case "give":
			_, err = s.Caseworker.ActOnCase(ctx, id, n, apitypes.CaseAct{Act: "assign", To: form("to")})
		default:
			err = notThat("a case is decided on its own page")
		}
		return id, err
	}
	switch act {
	case "take":
		_, err = s.Caseworker.WorkOnFinding(ctx, id, apitypes.FindingAct{State: "triaged", Reason: form("reason")})
	case "dismiss":
		_, err = s.Caseworker.WorkOnFinding(ctx, id, apitypes.FindingAct{State: "dismissed", Code: form("code"), Reason: form("reason")})
	case "suppress":
		_, err = s.Caseworker.WorkOnFinding(ctx, id, suppression(form))
	case "case", "give":
		if form("reason") == "" {
			return id, notThat("a case is opened for a reason: say it")
		}
		var c apitypes.Case
		if c, err = s.Caseworker.OpenCase(ctx, id, form("reason")); err == nil && act == "give" && c.Assignee != form("to") {
			_, err = s.Caseworker.ActOnCase(ctx, c.ID, c.Version, apitypes.CaseAct{Act: "assign", To: form("to")})
		}
	}
	return id, err
}

// suppression is what a form says of hiding a finding for a time.
func suppression(form func(string) string) apitypes.FindingAct {
	act := apitypes.FindingAct{State: "suppressed", Code: form("code"), Reason: form("reason")}
	if days, err := strconv.Atoi(form("days")); err == nil {
		act.Until = time.Now().UTC().AddDate(0, 0, min(max(days, 0), 366))
	}
	return act
}

// notThat is an act that this page does not do.
type notThat string

func (n notThat) Error() string { return string(n) }

// Refused answers as an act that cannot be done so.
func (n notThat) Refused() (status int, why string) {
	return http.StatusUnprocessableEntity, string(n)
}

type findingView struct {
	Row  findingRow
	Work bool
	Runs []runRow // the run that it is about, if it is about one
}

// finding is the page of one finding, where it is worked on.
func (s *site) finding(ctx context.Context, r *http.Request) (any, error) {
	rows, err := s.worked(ctx, desk.FindingQuery{IDs: []string{r.PathValue("id")}})
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, notFound("There is no such finding.")
	}
	v := findingView{Row: rows[0], Work: s.Caseworker != nil && permission.Of(ctx).May(permission.WorkCases)}
	if isRun(v.Row.Subject) {
		runs, err := s.Reader.Runs(ctx, desk.RunQuery{IDs: []string{v.Row.Subject}})
		if err != nil {
			return nil, err
		}
		v.Runs = gauged(runs, highest(rows))
	}
	return v, nil
}
