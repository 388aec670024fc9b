package webui

import (
	"cmp"
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

// Most rows of a table whose list has no further pages. A longer one says so and
// points at flopwatchctl.
const maxRows = 100

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
	Soon     []crossingRow // who crosses a line next, the soonest first
	MoreSoon bool
}

// runRow is a run with the threshold it is held against.
type runRow struct {
	desk.Run
	Gauge gauge
}

// gauge is a figure against a threshold. Threshold 0 means that no rule has
// spoken of the run, so there is nothing to hold it against, or that the reader may
// not see what rules said.
type gauge struct {
	Figure    compute.Bounds
	Threshold compute.Operations
	Source    string // pack and its status
	Hidden    bool   // the reader may not see what rules said
}

func (s *site) today(ctx context.Context, _ *http.Request) (any, error) {
	check, err := s.Reader.Check(ctx)
	if err != nil {
		return nil, err
	}
	findings, err := s.worked(ctx, desk.FindingQuery{State: "open", Limit: todayRows + 1})
	if err != nil {
		return nil, err
	}
	runs, err := s.Reader.Runs(ctx, desk.RunQuery{Limit: todayRows + 1})
	if err != nil {
		return nil, err
	}
	rows, err := s.gauged(ctx, runs)
	if err != nil {
		return nil, err
	}
	tenants, err := s.Reader.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	v := todayView{Check: check, Hosts: check.Totals.Hosts, Cases: permission.Of(ctx).May(permission.ReadCases)}
	v.Runs, v.MoreRuns = cut(rows, todayRows)
	v.Findings, v.MoreFind = cut(findings, todayRows)
	if v.Cases {
		cases, err := s.Reader.Cases(ctx)
		if err != nil {
			return nil, err
		}
		running := slices.DeleteFunc(slices.Clone(cases), func(c desk.Case) bool { _, ok := c.Due(); return !ok })
		v.Due, v.MoreDue = cut(running, todayRows)
		soon, err := s.crossings(ctx, todayRows+1)
		if err != nil {
			return nil, err
		}
		v.Soon, v.MoreSoon = cut(soon, todayRows)
	}
	v.Tenants, v.MoreTen = cut(tenants, todayRows)
	return v, nil
}

// seenFindings returns the findings, none to whom may not read them.
func (s *site) seenFindings(ctx context.Context, q desk.FindingQuery) ([]desk.Finding, error) {
	if !permission.Of(ctx).May(permission.ReadCases) {
		return nil, nil
	}
	return s.Reader.Findings(ctx, q)
}

type listView[T any] struct {
	Rows []T
	Next string // item behind which the next page begins, "" for none
}

type findingsView struct {
	Rows []findingRow
	Next string // finding behind which the next page begins, "" for none
	Work bool   // the reader may work on findings
}

func (s *site) findings(ctx context.Context, r *http.Request) (any, error) {
	all, err := s.worked(ctx, desk.FindingQuery{After: after(r, afterQuery), Limit: pageRows + 1})
	rows, next := firstRows(all, func(f findingRow) string { return f.ID })
	return findingsView{rows, next, permission.Of(ctx).May(permission.WorkCases)}, orGone(err)
}

// highest returns of each subject the first finding with the highest threshold.
func highest(rows []findingRow) map[string]desk.Finding {
	top := map[string]desk.Finding{}
	for i := range rows {
		if f := &rows[i].Finding; f.Threshold > top[f.Subject].Threshold {
			top[f.Subject] = *f
		}
	}
	return top
}

func (s *site) runs(ctx context.Context, r *http.Request) (any, error) {
	runs, err := s.Reader.Runs(ctx, desk.RunQuery{After: after(r, afterQuery), Limit: pageRows + 1})
	if err != nil {
		return nil, orGone(err)
	}
	runs, next := firstRows(runs, func(r desk.Run) string { return r.ID })
	rows, err := s.gauged(ctx, runs)
	return listView[runRow]{rows, next}, err
}

type customersView struct {
	Customers []desk.Customer
	Tenants   []desk.Tenant
	Next      string // customer behind which the next page begins, "" for none
	NextTen   string // the same of tenants
	Open      bool   // the reader may see who customers are
}

func (s *site) customers(ctx context.Context, r *http.Request) (any, error) {
	customers, err := s.Reader.Customers(ctx)
	if err != nil {
		return nil, err
	}
	tenants, err := s.Reader.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	v := customersView{Open: permission.Of(ctx).May(permission.ReadCases)}
	if v.Customers, v.Next, err = follow(customers, after(r, afterQuery), func(c desk.Customer) string { return c.ID }); err != nil {
		return nil, err
	}
	v.Tenants, v.NextTen, err = follow(tenants, after(r, tenantQuery), func(t desk.Tenant) string { return string(t.ID) })
	return v, err
}

type hostsView struct {
	Check      desk.Check
	Versions   []versionSpread
	Rows       []hostRow
	Next       string // host behind which the next page begins, "" for none
	Events     []desk.Event
	MoreEvents bool
}

// versionSpread is how many hosts run one version of the agent.
type versionSpread struct {
	Version string
	Hosts   int
}

// spread counts hosts by the version of their agent, the most frequent first.
func spread(hosts []desk.Host) (out []versionSpread) {
	count := map[string]int{}
	for _, h := range hosts {
		count[h.AgentVersion]++
	}
	for version, n := range count {
		out = append(out, versionSpread{version, n})
	}
	slices.SortFunc(out, func(a, b versionSpread) int {
		return cmp.Or(cmp.Compare(b.Hosts, a.Hosts), cmp.Compare(a.Version, b.Version))
	})
	return out
}

// hostRow is a host with its coverage; Known is false where the ledger has none.
type hostRow struct {
	desk.Host
	Coverage desk.Coverage
	Known    bool
}

func (s *site) hosts(ctx context.Context, r *http.Request) (any, error) {
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
	v := hostsView{Check: check, Versions: spread(hosts)}
	if hosts, v.Next, err = follow(hosts, after(r, afterQuery), func(h desk.Host) string { return h.ID }); err != nil {
		return nil, err
	}
	v.Rows = make([]hostRow, len(hosts))
	for i, h := range hosts {
		c, ok := by[h.ID]
		v.Rows[i] = hostRow{h, c, ok}
	}
	v.Events, v.MoreEvents = cut(events, eventRows)
	return v, nil
}

// gauged holds each run against the findings about it.
func (s *site) gauged(ctx context.Context, runs []desk.Run) ([]runRow, error) {
	if len(runs) == 0 {
		return nil, nil
	}
	ids := make([]string, len(runs))
	for i, r := range runs {
		ids[i] = r.ID
	}
	if !permission.Of(ctx).May(permission.ReadCases) {
		rows := gauged(runs, nil)
		for i := range rows {
			rows[i].Gauge.Hidden = true
		}
		return rows, nil
	}
	top, err := s.Reader.HighestFindings(ctx, ids)
	return gauged(runs, top), err
}

// gauged holds each run against the highest threshold that a rule spoke of it
// under, which is the one closest to law; others are on the run's own page.
func gauged(runs []desk.Run, top map[string]desk.Finding) []runRow {
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
