package webui

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/pkg/measure"
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
	Runs     []runRow
	Findings []findingRow
	Cases    []desk.Case
}

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
			if level.Level != resolve.ByMeans && level.Level != resolve.ByReseller {
				v.Widest = level
			}
		}
	}
	tenants := map[measure.TenantID]bool{}
	for _, c := range all {
		if c.ID == id {
			known, v.Name = true, c.Name
			if v.Status == "" {
				v.Status = c.ForeignStatus
			}
			for _, t := range c.Tenants {
				tenants[t] = true
			}
		}
	}
	if !known && !linked {
		return nil, notFound("There is no such customer, account or cluster.")
	}
	if err := s.workOf(ctx, &v, subjects, tenants); err != nil {
		return nil, err
	}
	v.Forecast, err = s.forecastOf(ctx, id)
	return v, err
}

// workOf adds runs, findings and cases.
func (s *site) workOf(ctx context.Context, v *customerView, subjects map[string]bool, tenants map[measure.TenantID]bool) error {
	findings, err := s.worked(ctx, 0)
	if err != nil {
		return err
	}
	runs, err := s.Reader.Runs(ctx, "", 0)
	if err != nil {
		return err
	}
	runs = slices.DeleteFunc(slices.Clone(runs), func(run desk.Run) bool { return !tenants[run.Tenant] })
	v.Runs = gauged(runs, bare(findings))
	v.Gauge.Figure = v.Widest.Operations
	for _, f := range findings {
		if f.CustomerID != v.ID && !subjects[f.Subject] {
			continue
		}
		v.Findings = append(v.Findings, f)
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
