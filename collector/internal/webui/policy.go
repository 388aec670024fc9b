package webui

import (
	"context"
	"net/http"
	"slices"
	"strconv"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

type policiesView struct {
	Packs    []desk.Pack
	Faults   []desk.PackFault
	Policies []desk.Policy
	Cut      bool
	Draft    bool // the reader may draft one
	Kinds    []string
}

func (s *site) policies(ctx context.Context, _ *http.Request) (any, error) {
	packs, faults, err := s.Reader.Packs(ctx)
	if err != nil {
		return nil, err
	}
	all, err := s.Reader.Policies(ctx)
	rows, more := cut(all, maxRows)
	draft := s.Policymaker != nil && permission.Of(ctx).May(permission.DraftPolicy)
	return policiesView{packs, faults, rows, more, draft, policyKinds}, err
}

type policyView struct {
	Policy desk.Policy
	Impact *lab.Impact     // nil before a simulation
	Told   bool            // the reader may see whom it concerns
	Open   bool            // the reader may see who customers are
	May    map[string]bool // acts that the reader's roles and the state allow
	Job    *apitypes.Job   // a simulation that runs or ran, of which the address names the id
}

// again follows a simulation that runs.
func (v policyView) again() int {
	if v.Job != nil && v.Job.State == "running" {
		return 2
	}
	return 0
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
	draft, approve := s.Policymaker != nil && who.May(permission.DraftPolicy), s.Policymaker != nil && who.May(permission.ApprovePolicy)
	early := slices.Contains([]string{"draft", "simulated", "proposed"}, p.State)
	v.May = map[string]bool{
		"edit": draft && early, "simulate": draft && early && p.Kind != "settings", "propose": draft && (p.State == "simulated" || p.State == "draft" && p.Kind == "settings"),
		"withdraw": draft && (early || p.State == "scheduled"), "approve": approve && p.State == "proposed", "reject": approve && p.State == "proposed",
	}
	if id := r.URL.Query().Get("job"); id != "" && draft {
		if job, ok := s.Policymaker.Job(ctx, id); ok && job.Policy == p.ID {
			v.Job = &job
		}
	}
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
