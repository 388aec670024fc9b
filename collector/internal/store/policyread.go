package store

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
)

// Library is every pack that the collector has beside what people drafted.
type Library struct {
	Shipped []*policy.Pack
	Site    []*policy.Pack
	Faults  []desk.PackFault // files of the site that were refused
}

// WithPacks makes the reader know packs.
func (r *Reader) WithPacks(l Library) *Reader {
	r.library = l
	return r
}

// Packs returns the packs that there are and those that were refused.
func (r *Reader) Packs(ctx context.Context) ([]desk.Pack, []desk.PackFault, error) {
	now := r.store.opts.Now()
	out := map[string]desk.Pack{}
	for _, p := range r.library.Shipped {
		out[p.ID] = packView(p, "shipped", p.Active && !p.Over(now))
	}
	for _, p := range r.library.Site {
		if _, shipped := out[p.ID]; !shipped {
			out[p.ID] = packView(p, "site", false)
		}
	}
	in, err := r.store.PacksInForce(ctx, now)
	if err != nil {
		return nil, nil, err
	}
	for _, x := range in {
		p, err := policy.Read(x.ID, []byte(x.Text))
		if err != nil {
			return nil, nil, fmt.Errorf("read policy %s: %w", x.Policy, err)
		}
		out[p.ID] = packView(p, x.Policy, p.Active && !p.Over(now))
	}
	var all []desk.Pack
	for _, id := range slices.Sorted(maps.Keys(out)) {
		all = append(all, out[id])
	}
	return all, r.library.Faults, nil
}

func packView(p *policy.Pack, source string, inForce bool) desk.Pack {
	v := desk.Pack{ID: p.ID, Version: p.Version, Title: p.Title, Citation: p.Citation, Status: p.Status, Effective: p.Effective, Binds: p.Binds,
		Digest: hex.EncodeToString(p.Digest[:]), Source: source, InForce: inForce}
	for i := range p.Rules {
		r := &p.Rules[i]
		bound := r.Bound
		if bound == "" {
			bound = "best"
		}
		v.Rules = append(v.Rules, desk.PackRule{ID: r.ID, Title: r.Title, Citation: r.Citation, Measure: string(r.Measure), Threshold: r.Threshold, Unit: r.UnitName(),
			Bound: bound, WarnPercent: r.WarnPercent, Clock: r.Clock})
	}
	return v
}

// Policies returns every policy as it stands.
func (r *Reader) Policies(ctx context.Context) ([]desk.Policy, error) {
	all, err := r.store.Policies(ctx)
	if err != nil {
		return nil, err
	}
	now := r.store.opts.Now()
	out := make([]desk.Policy, len(all))
	for i := range all {
		out[i] = policyView(&all[i], all, now)
	}
	return out, nil
}

// Policy returns a policy with its text and what was done on it.
func (r *Reader) Policy(ctx context.Context, id string) (desk.Policy, bool, error) {
	all, err := r.store.Policies(ctx)
	if err != nil {
		return desk.Policy{}, false, err
	}
	p, ok := policyOf(all, id)
	if !ok {
		return desk.Policy{}, false, nil
	}
	v := policyView(&p, all, r.store.opts.Now())
	v.Text = p.Text
	acts, err := r.store.PolicyHistory(ctx, id)
	if err != nil {
		return v, true, err
	}
	for _, a := range acts {
		v.History = append(v.History, desk.PolicyAct{Version: a.Version, At: a.At, By: a.By, Act: a.Act, Note: a.Note, State: string(a.State)})
	}
	looked, ok, err := r.store.Lookback(ctx, id)
	if ok {
		v.Lookback = &desk.Lookback{At: looked.At, Findings: looked.Findings}
	}
	return v, true, err
}

func policyView(p *draft.Policy, all []draft.Policy, now time.Time) desk.Policy {
	v := desk.Policy{ID: p.ID, Version: p.Version, Kind: string(p.Kind), Name: p.Name, Number: p.Number, Digest: p.Digest, State: string(p.Standing(all, now)), Authors: p.Authors,
		Simulation: p.Simulation.ID, SimulationDigest: p.Simulation.Digest, Rationale: p.Rationale, Planned: p.Planned, Reason: p.Reason, Lapses: p.Proposal.Lapses}
	if len(p.Proposal.Authors) > 0 {
		v.Proposal = hex.EncodeToString(p.Proposal.Digest[:])
	}
	if p.State == draft.Approved {
		v.From, v.ApprovedBy, v.Approved = p.From(), p.Approval.By, p.Approval.At
	}
	return v
}

// Simulation returns a simulation with its report.
func (r *Reader) Simulation(ctx context.Context, id string) (desk.Simulation, bool, error) {
	s, err := r.store.Simulation(ctx, id)
	if errors.Is(err, ErrNoSimulation) {
		return desk.Simulation{}, false, nil
	}
	if err != nil {
		return desk.Simulation{}, false, err
	}
	v := desk.Simulation{ID: s.ID, Policy: s.Policy, Text: s.Text, At: s.At, By: s.By, Digest: s.Digest, Report: &lab.Impact{}}
	if err := json.Unmarshal(s.Report, v.Report); err != nil {
		return v, true, fmt.Errorf("read simulation %.40s: %w", id, err)
	}
	return v, true, nil
}
