package webui

import (
	"context"
	"net/http"
	"strconv"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

type policiesView struct {
	Packs    []desk.Pack
	Faults   []desk.PackFault
	Policies []desk.Policy
	Cut      bool
}

func (s *site) policies(ctx context.Context, _ *http.Request) (any, error) {
	packs, faults, err := s.Reader.Packs(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.Reader.Policies(ctx)
	rows, more := cut(all, maxRows)
	return policiesView{packs, faults, rows, more}, err
}

type policyView struct {
	Policy desk.Policy
	Impact *lab.Impact // nil before a simulation
	Told   bool        // the reader may see whom it concerns
	Open   bool        // the reader may see who customers are
}

// policy shows a policy with what it would change. An impact names customers, so
// it is told only to who may see cases or works on policies.
func (s *site) policy(ctx context.Context, r *http.Request) (any, error) {
	p, ok, err := s.Reader.Policy(ctx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, notFound("There is no such policy.")
	}
	who := permission.Of(ctx)
	v := policyView{Policy: p, Open: who.May(permission.ReadCases)}
	v.Told = v.Open || who.May(permission.DraftPolicy) || who.May(permission.ApprovePolicy)
	if p.Simulation != "" && v.Told {
		simulation, ok, err := s.Reader.Simulation(ctx, p.Simulation)
		if err != nil {
			return nil, err
		}
		if ok {
			v.Impact = simulation.Report
		}
	}
	return v, nil
}

type fleetView struct {
	Settings desk.Settings
	Rows     []desk.SettingsHost
	Cut      bool
}

func (s *site) fleet(ctx context.Context, _ *http.Request) (any, error) {
	settings, err := s.Reader.Settings(ctx)
	rows, more := cut(settings.Hosts, maxRows)
	return fleetView{settings, rows, more}, err
}

// milli prints thousandths with two decimals.
func milli(n int64) string { return strconv.FormatFloat(float64(n)/1000, 'f', 2, 64) }
