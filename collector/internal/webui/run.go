package webui

import (
	"context"
	"net/http"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// Joiner tells why workloads are one run and takes what people say of it. What
// may not be done is an error with a method Refused, as of a Caseworker.
type Joiner interface {
	Joins(ctx context.Context, run string) ([]apitypes.Join, error)
	History(ctx context.Context, run string) ([]apitypes.RunChange, error)
	Decide(ctx context.Context, join string, v apitypes.JoinVerdict) (apitypes.JoinDecision, error)
	JoinRuns(ctx context.Context, run string, with apitypes.RunJoin) (apitypes.JoinDecision, error)
}

// Rows of the tables of joins and of history on a run's page.
const joinRows, historyRows = 100, 50

type runView struct {
	Run         runRow
	Gauges      []gauge // one per threshold that a rule held the run against
	Findings    []findingRow
	Forecast    *apitypes.Forecast // nil where nothing is foreseen
	Over        *chart             // operations over time; nil where no days are known
	Hosts       *heat              // hosts over time; nil where no segments are known
	Joined      bool               // this desk knows joins
	Joins       []apitypes.Join
	MoreJoins   bool
	History     []apitypes.RunChange
	MoreHistory bool
	Others      []desk.Run // of the same tenant, with which it may be said to be one
	MaySay      bool       // the reader may undo and confirm joins
	Cases       bool       // the reader may see findings
}

func (s *site) run(ctx context.Context, r *http.Request) (any, error) {
	id := r.PathValue("id")
	runs, err := s.Reader.Runs(ctx, desk.RunQuery{IDs: []string{id}})
	if err != nil {
		return nil, err
	}
	if len(runs) == 0 {
		return nil, notFound("There is no such run. Runs may join into one as more windows arrive.")
	}
	run := runs[0]
	if run.Evidence, err = s.Reader.Evidence(ctx, run.Tenant, run.StartNS, run.EndNS); err != nil {
		return nil, err
	}
	all, err := s.worked(ctx, desk.FindingQuery{About: []string{id}})
	if err != nil {
		return nil, err
	}
	who := permission.Of(ctx)
	v := runView{Run: gauged([]desk.Run{run}, highest(all))[0], Cases: who.May(permission.ReadCases)}
	seen := map[gauge]bool{}
	for _, f := range all {
		if f.Subject != id {
			continue
		}
		v.Findings = append(v.Findings, f)
		g := gauge{Figure: run.Figure.Combined(), Threshold: f.Threshold, Source: f.Pack + ", " + f.PackStatus}
		if !seen[g] {
			seen[g] = true
			v.Gauges = append(v.Gauges, g)
		}
	}
	days, err := s.Reader.RunDays(ctx, id)
	if err != nil {
		return nil, err
	}
	if v.Forecast, err = s.forecastOf(ctx, id); err != nil {
		return nil, err
	}
	if c, ok := newChart("Operations of the run over time", totals(days, run.Figure.Combined()), v.Gauges, v.Forecast); ok {
		c.Proportion = true
		v.Over = &c
	}
	if v.Hosts, err = s.timelineOf(ctx, id); err != nil || s.Joiner == nil {
		return v, err
	}
	joins, err := s.Joiner.Joins(ctx, id)
	if err != nil {
		return nil, err
	}
	history, err := s.Joiner.History(ctx, id)
	if err != nil {
		return nil, err
	}
	v.Joined, v.MaySay = true, who.May(permission.WorkCases)
	v.Joins, v.MoreJoins = cut(joins, joinRows)
	v.History, v.MoreHistory = cut(history, historyRows)
	others, err := s.Reader.Runs(ctx, desk.RunQuery{Tenant: run.Tenant, Limit: joinRows + 1})
	for _, other := range others {
		if other.ID != id && len(v.Others) < joinRows {
			v.Others = append(v.Others, other)
		}
	}
	return v, err
}

// decideJoin takes what somebody says of a join.
func (s *site) decideJoin(w http.ResponseWriter, r *http.Request) {
	form, ok := s.form(w, r, permission.WorkCases, s.Joiner != nil)
	if !ok {
		return
	}
	_, err := s.Joiner.Decide(r.Context(), r.PathValue("id"), apitypes.JoinVerdict{Verdict: form("verdict"), Reason: form("reason")})
	s.acted(w, r, runPath(form("run")), err)
}

// joinRuns takes that two runs are one.
func (s *site) joinRuns(w http.ResponseWriter, r *http.Request) {
	form, ok := s.form(w, r, permission.WorkCases, s.Joiner != nil)
	if !ok {
		return
	}
	_, err := s.Joiner.JoinRuns(r.Context(), r.PathValue("id"), apitypes.RunJoin{With: form("with"), Reason: form("reason")})
	s.acted(w, r, runPath(r.PathValue("id")), err)
}

// runPath is the page of a run, or of all of them for what is no id of a run: a
// form must not lead anywhere else.
func runPath(id string) string {
	if !isRun(id) || strings.Trim(id[len("run_"):], "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return "/runs"
	}
	return "/runs/" + id
}
