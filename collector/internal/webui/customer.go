package webui

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
)

type customerView struct {
	ID       string
	Name     string
	Status   string
	Standing *desk.Standing // nil where no party is recorded
	Missing  []desk.ProgrammeItem
	Ultimate *desk.Ultimate // nil where no account is
	Widest   desk.LevelView // that can count towards a threshold
	Gauge    gauge
	Forecast *apitypes.Forecast
	Over     *chart     // operations of its own tenants over time; nil where no days are known
	Graph    *linkGraph // owners and links; nil where there are none
	Runs     []runRow
	Findings []findingRow
	Cases    []desk.Case

	MoreRuns, MoreFindings bool // there are more than the page shows
}

// customerRows is how many findings and runs the page of a customer has: it has much
// else, and is to be there at once.
const customerRows = 25

// chartDays is how far back the picture of a customer looks.
const chartDays = 90

// customer is the page of an ultimate customer: of an account, customer or
// cluster.
func (s *site) customer(ctx context.Context, r *http.Request) (any, error) {
	id := r.PathValue("id")
	v := customerView{ID: id, Name: id}
	standing, known, err := s.Reader.Standing(ctx, id, desk.PartyQuery{})
	if err != nil {
		return nil, err
	}
	if known {
		v.Standing, v.Name, v.Status = &standing, standing.Name, standing.ForeignStatus
		for _, item := range standing.Items {
			if item.Required && !item.Held {
				v.Missing = append(v.Missing, item)
			}
		}
	}
	u, linked, err := s.Reader.UltimateCustomer(ctx, id, time.Time{}, time.Time{})
	if err != nil {
		return nil, err
	}
	all, err := s.Reader.Customers(ctx)
	if err != nil {
		return nil, err
	}
	subjects := map[string]bool{id: true}
	if linked {
		v.Ultimate = &u
		for _, level := range u.Levels {
			subjects[level.ID] = true
			// A cluster or an account has no record of its own: it is who is in it.
			if !known && !isCustomer(id) && level.ID == id {
				v.Name, v.Status = namesOf(level.Customers, id), level.Status
			}
			if level.Level != resolve.ByMeans && level.Level != resolve.ByReseller {
				v.Widest = level
			}
		}
	}
	if i := slices.IndexFunc(all, func(c desk.Customer) bool { return c.ID == id }); i >= 0 {
		known, v.Name = true, all[i].Name
		if v.Status == "" {
			v.Status = all[i].ForeignStatus
		}
	}
	if !known && !linked {
		return nil, notFound("There is no such customer, account or cluster.")
	}
	if err := s.workOf(ctx, &v, subjects); err != nil {
		return nil, err
	}
	if v.Forecast, err = s.forecastOf(ctx, id); err != nil {
		return nil, err
	}
	days, err := s.Reader.CustomerDays(ctx, id)
	if err != nil {
		return nil, err
	}
	if c, ok := newChart("Operations of its own tenants over time", customerDays(days, chartDays), append([]gauge{v.Gauge}, linesOf(v.Forecast)...), v.Forecast); ok {
		v.Over = &c
	}
	if linked {
		party := ""
		if v.Standing != nil {
			party = v.Standing.Party
		}
		if g, ok := newLinkGraph("Owners and links", party, tiesOf(u.Links, u.Owners)); ok {
			v.Graph = &g
		}
	}
	return v, nil
}

// namesOf says who is meant: the customers by name, at most three, or the id where
// none is known.
func namesOf(customers []desk.ClusterCustomer, id string) string {
	var names []string
	for _, c := range customers {
		names = append(names, c.Name)
	}
	if len(names) > 3 {
		names = append(names[:3], fmt.Sprintf("%d more", len(names)-3))
	}
	if len(names) == 0 {
		return id
	}
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " and " + names[last]
	}
	return names[0]
}

// workOf adds runs, findings and cases.
func (s *site) workOf(ctx context.Context, v *customerView, subjects map[string]bool) error {
	about := slices.Sorted(maps.Keys(subjects))
	findings, err := s.worked(ctx, desk.FindingQuery{About: about, Limit: customerRows + 1})
	if err != nil {
		return err
	}
	runs, err := s.Reader.Runs(ctx, desk.RunQuery{Customer: v.ID, Limit: customerRows + 1})
	if err != nil {
		return err
	}
	if v.Runs, err = s.gauged(ctx, runs); err != nil {
		return err
	}
	v.Runs, v.MoreRuns = cut(v.Runs, customerRows)
	v.Gauge.Figure = v.Widest.Operations
	v.Findings, v.MoreFindings = cut(findings, customerRows)
	for _, f := range v.Findings {
		if subjects[f.Subject] && f.Threshold > v.Gauge.Threshold {
			v.Gauge.Threshold, v.Gauge.Source = f.Threshold, f.Pack+", "+f.PackStatus
		}
	}
	cases, err := s.Reader.Cases(ctx)
	for _, c := range cases {
		if subjects[c.Subject] {
			v.Cases = append(v.Cases, c)
		}
	}
	return err
}
