package webui

import (
	"context"
	"net/http"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// notFound is an error that becomes a 404 page; its text is shown.
type notFound string

func (n notFound) Error() string { return string(n) }

// Rows of the tables on Today; the full lists have their own pages.
const todayRows = 10

// Rows of the table of events on Hosts.
const eventRows = 20

// Most rows of one page. A longer list says so and points at flopwatchctl.
const maxRows = 500

type todayView struct {
	Check    desk.Check
	Hosts    int
	Findings []findingRow
	Runs     []runRow
	MoreRuns bool
	MoreFind bool
	Tenants  []desk.Tenant
	MoreTen  bool
	Cases    bool        // the reader may see findings and cases
	Due      []desk.Case // cases with a clock that runs, the first due first
	MoreDue  bool
}

// runRow is a run with the threshold it is held against.
type runRow struct {
	desk.Run
	Gauge gauge
}

// gauge is a figure against a threshold. Threshold 0 means that no rule has
// spoken of the run, so there is nothing to hold it against.
type gauge struct {
	Figure    compute.Bounds
	Threshold compute.Operations
	Source    string // pack and its status
}

func (s *site) today(ctx context.Context, _ *http.Request) (any, error) {
	check, err := s.Reader.Check(ctx)
	if err != nil {
		return nil, err
	}
	findings, err := s.worked(ctx, 0)
	if err != nil {
		return nil, err
	}
	runs, err := s.Reader.Runs(ctx, "", todayRows+1)
	if err != nil {
		return nil, err
	}
	tenants, err := s.Reader.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	v := todayView{Check: check, Hosts: check.Totals.Hosts, Cases: permission.Of(ctx).May(permission.ReadCases)}
	rows := gauged(runs, bare(findings))
	v.Runs, v.MoreRuns = cut(rows, todayRows)
	open := slices.DeleteFunc(slices.Clone(findings), func(f findingRow) bool { return f.Work.State != "open" })
	v.Findings, v.MoreFind = cut(open, todayRows)
	if v.Cases {
		cases, err := s.Reader.Cases(ctx)
		if err != nil {
			return nil, err
		}
		running := slices.DeleteFunc(slices.Clone(cases), func(c desk.Case) bool { _, ok := c.Due(); return !ok })
		v.Due, v.MoreDue = cut(running, todayRows)
	}
	v.Tenants, v.MoreTen = cut(tenants, todayRows)
	return v, nil
}

// seenFindings returns the findings, none to whom may not read them.
func (s *site) seenFindings(ctx context.Context, limit int) ([]desk.Finding, error) {
	if !permission.Of(ctx).May(permission.ReadCases) {
		return nil, nil
	}
	return s.Reader.Findings(ctx, limit)
}

type listView[T any] struct {
	Rows []T
	Cut  bool // there are more than a page shows
}

type findingsView struct {
	Rows []findingRow
	Cut  bool
	Work bool // the reader may work on findings
}

func (s *site) findings(ctx context.Context, _ *http.Request) (any, error) {
	all, err := s.worked(ctx, maxRows+1)
	rows, more := cut(all, maxRows)
	return findingsView{rows, more, permission.Of(ctx).May(permission.WorkCases)}, err
}

// bare returns the findings without the work on them.
func bare(rows []findingRow) []desk.Finding {
	out := make([]desk.Finding, len(rows))
	for i, r := range rows {
		out[i] = r.Finding
	}
	return out
}

func (s *site) runs(ctx context.Context, _ *http.Request) (any, error) {
	runs, err := s.Reader.Runs(ctx, "", maxRows+1)
	if err != nil {
		return nil, err
	}
	findings, err := s.seenFindings(ctx, 0)
	rows, more := cut(gauged(runs, findings), maxRows)
	return listView[runRow]{rows, more}, err
}

type customersView struct {
	Customers []desk.Customer
	Tenants   []desk.Tenant
	Cut       bool
	Open      bool // the reader may see who customers are
}

func (s *site) customers(ctx context.Context, _ *http.Request) (any, error) {
	customers, err := s.Reader.Customers(ctx)
	if err != nil {
		return nil, err
	}
	tenants, err := s.Reader.Tenants(ctx)
	v := customersView{Open: permission.Of(ctx).May(permission.ReadCases)}
	var more bool
	v.Customers, v.Cut = cut(customers, maxRows)
	v.Tenants, more = cut(tenants, maxRows)
	v.Cut = v.Cut || more
	return v, err
}

type hostsView struct {
	Check      desk.Check
	Rows       []hostRow
	Cut        bool
	Events     []desk.Event
	MoreEvents bool
}

// hostRow is a host with its coverage; Known is false where the ledger has none.
type hostRow struct {
	desk.Host
	Coverage desk.Coverage
	Known    bool
}

func (s *site) hosts(ctx context.Context, _ *http.Request) (any, error) {
	hosts, err := s.Reader.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	coverage, err := s.Reader.Coverage(ctx)
	if err != nil {
		return nil, err
	}
	check, err := s.Reader.Check(ctx)
	if err != nil {
		return nil, err
	}
	events, err := s.Reader.Events(ctx, desk.EventFilter{Limit: eventRows + 1})
	if err != nil {
		return nil, err
	}
	by := map[string]desk.Coverage{}
	for _, c := range coverage {
		by[c.Host] = c
	}
	rows := make([]hostRow, len(hosts))
	for i, h := range hosts {
		c, ok := by[h.ID]
		rows[i] = hostRow{h, c, ok}
	}
	v := hostsView{Check: check}
	v.Rows, v.Cut = cut(rows, maxRows)
	v.Events, v.MoreEvents = cut(events, eventRows)
	return v, nil
}

// gauged holds each run against the highest threshold that a rule spoke of it
// under, which is the one closest to law; others are on the run's own page.
func gauged(runs []desk.Run, findings []desk.Finding) []runRow {
	top := map[string]desk.Finding{}
	for _, f := range findings {
		if f.Threshold > top[f.Subject].Threshold {
			top[f.Subject] = f
		}
	}
	rows := make([]runRow, len(runs))
	for i, r := range runs {
		rows[i] = runRow{Run: r, Gauge: gauge{Figure: r.Figure.Combined()}}
		if f, ok := top[r.ID]; ok {
			rows[i].Gauge.Threshold, rows[i].Gauge.Source = f.Threshold, f.Pack+", "+f.PackStatus
		}
	}
	return rows
}

func cut[T any](in []T, most int) ([]T, bool) {
	if len(in) > most {
		return in[:most], true
	}
	return in, false
}
