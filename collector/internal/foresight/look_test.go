package foresight

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/forecast"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/reservation"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const (
	day = int64(forecast.Day)
	now = int64(1_790_000_000_000_000_000)
)

func packs(t *testing.T, text ...string) []*policy.Pack {
	t.Helper()
	var out []*policy.Pack
	for _, rule := range text {
		p, err := policy.Read("p.yaml", []byte("id: p\nversion: 1\ntitle: P\neffective: always\ncitation: made up\nstatus: internal\nclocks:\n  - {id: c, title: Clock, citation: x, basis: earlier, days: 15, zone: UTC}\nrules:\n  - "+rule+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

const (
	runRule      = `{id: run, title: A run, citation: x, measure: run_operations, threshold: "1e24", warn_percent: [50], applies_to: [foreign, undetermined], clock: c}`
	customerRule = `{id: customer, title: A customer, citation: x, measure: customer_operations, threshold: "1e24", warn_percent: [], applies_to: [foreign, undetermined], clock: c}`
)

// steady is a run on 512 H100 that has gone on for n days at 4e14 for each device.
func steady(id string, tenant measure.TenantID, n int) Run {
	perDay := compute.Operations(512 * 4e14 * 86400 / 1e9)
	r := Run{ID: id, Label: id, Tenant: tenant, StartNS: now - int64(n)*day, EndNS: now, Accelerator: "H100-SXM5-80GB", Hosts: 64, Devices: 512, Operations: compute.Exactly(perDay * compute.Operations(n)),
		DeviceSeconds: 512 * 86400 * float64(n), Utilization: 0.4, Verdict: classify.Verdict{Class: classify.CannotTell}}
	r.Ceiling = compute.Operations(989.4e12 * r.DeviceSeconds / 1e9)
	for range min(n, 30) {
		r.Days = append(r.Days, perDay)
	}
	return r
}

func levels(v View, subject string) []string {
	var out []string
	for _, f := range v.Findings {
		if f.Subject.ID == subject {
			out = append(out, f.Rule+" "+f.Level)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func look(s State) View {
	s.NowNS = now
	return Look(s, forecast.Default(), evasion.Default())
}

// 512 × 4e14 is 1.77e22 a day: after 45 days 1e24 is 11.5 days off and comes within
// a fortnight for certain; after 20 days it is 36 days off.
func TestCrossingsAreForeseen(t *testing.T) {
	p := packs(t, runRule, customerRule)
	foreign := party.Customer{ID: "cus_f", Name: "Far", Status: party.Foreign, Tenants: []measure.TenantID{"t"}}
	v := look(State{Packs: p, Customers: []party.Customer{foreign}, Runs: []Run{steady("run_a", "t", 45)}})
	if d := cmp.Diff([]string{"run forecast likely", "run forecast near certain", "run warning 50"}, levels(v, "run_a")); d != "" {
		t.Errorf("run: %s", d)
	}
	if d := cmp.Diff([]string{"customer forecast likely", "customer forecast near certain"}, levels(v, "cus_f")); d != "" {
		t.Errorf("customer: %s", d)
	}
	for _, f := range v.Findings {
		if f.Level == policy.ForecastCertain {
			if _, ok := f.Pack.ClockOf(f.Finding); !ok || !strings.Contains(f.Reason, "with probability 100 % within 14 days") || f.Subject.CustomerID != "cus_f" || f.Threshold != compute.Operations(1e15) {
				t.Errorf("%+v", f)
			}
		}
	}
	if got := levels(look(State{Packs: p, Customers: []party.Customer{foreign}, Runs: []Run{steady("run_a", "t", 20)}}), "run_a"); len(got) != 0 {
		t.Errorf("36 days ahead: %v", got)
	}
	foreign.Status = party.US
	if got := levels(look(State{Packs: p, Customers: []party.Customer{foreign}, Runs: []Run{steady("run_a", "t", 45)}}), "run_a"); len(got) != 0 {
		t.Errorf("of a US customer: %v", got)
	}
	foreign.Status = ""
	if got := levels(look(State{Packs: p, Customers: []party.Customer{foreign}, Runs: []Run{steady("run_a", "t", 45)}}), "run_a"); len(got) != 3 {
		t.Errorf("of a customer of whom nothing is known: %v", got)
	}
}

// "Could result in training" is told from the reservation, before the first step.
// What is foreseen of a rule follows its conditions, as what is found of it does.
func TestConditionsHoldAheadToo(t *testing.T) {
	p := packs(t, `{id: run, title: A run, citation: x, measure: run_operations, threshold: "1e24", and: [{measure: training_percent, at_least: "50"}], applies_to: [foreign, undetermined], clock: c}`)
	for name, c := range map[string]struct {
		verdict classify.Verdict
		want    []string
	}{
		"trains":      {classify.Verdict{Class: classify.Training, Training: 0.97, Inference: 0.02}, []string{"run forecast likely", "run forecast near certain"}},
		"serves":      {classify.Verdict{Class: classify.Inference, Training: 0.01, Inference: 0.99}, nil},
		"cannot tell": {classify.Verdict{Class: classify.CannotTell}, []string{"run forecast likely"}},
	} {
		run := steady("run_a", "t", 45)
		run.Verdict = c.verdict
		v := look(State{Packs: p, Runs: []Run{run}})
		if d := cmp.Diff(c.want, levels(v, "run_a")); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestReservationAloneWarns(t *testing.T) {
	p := packs(t, runRule, customerRule)
	booked := reservation.Reservation{ID: "r1", Tenant: "t", Accelerator: "H100-SXM5-80GB", Devices: 1024, FromNS: now + 20*day, ToNS: now + 50*day, NetworkGbitS: 400}
	v := look(State{Packs: p, Reservations: []reservation.Reservation{booked}})
	if d := cmp.Diff([]string{"run could reach"}, levels(v, "reservation:r1")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"customer could reach"}, levels(v, "tenant:t")); d != "" {
		t.Error(d)
	}
	for _, f := range v.Findings {
		if !strings.Contains(f.Reason, "1024 H100-SXM5-80GB") {
			t.Errorf("%s", f.Reason)
		}
	}
	booked.ToNS = booked.FromNS + 5*day // 4.4e23 at most
	if v := look(State{Packs: p, Reservations: []reservation.Reservation{booked}}); len(v.Findings) != 0 {
		t.Errorf("too small: %v", v.Findings)
	}
	booked.ToNS = booked.FromNS // withdrawn
	if v := look(State{Packs: p, Reservations: []reservation.Reservation{booked}}); len(v.Outlooks) != 0 {
		t.Errorf("withdrawn: %v", v.Outlooks)
	}
}

// What is connected at the speed that a rule names.
func TestCapability(t *testing.T) {
	p := packs(t, `{id: cluster, title: A cluster, citation: x, measure: cluster_rate, subject: customer, network_gbit_s: 300, threshold: "5e17", applies_to: [undetermined]}`)
	run := steady("run_a", "t", 10) // 512 × 989.4e12 = 5.07e17
	of := func(r ...reservation.Reservation) (Capability, []string) {
		v := look(State{Packs: p, Runs: []Run{run}, Reservations: r})
		for _, c := range v.Capabilities {
			if c.NetworkGbitS == 300 && c.Subject.ID == "tenant:t" {
				return c, levels(v, "tenant:t")
			}
		}
		t.Fatal("no capability")
		return Capability{}, nil
	}
	near := func(what string, got, want float64) {
		if got < want*0.999 || got > want*1.001 {
			t.Errorf("%s: %g, want %g", what, got, want)
		}
	}
	c, told := of()
	near("low of what nobody knows", c.Low, 8*989.4e12)
	near("high of what nobody knows", c.High, 512*989.4e12)
	if d := cmp.Diff([]string{"cluster possible crossing"}, told); d != "" {
		t.Error(d)
	}
	booked := reservation.Reservation{ID: "r", Tenant: "t", Accelerator: "H100-SXM5-80GB", Devices: 512, FromNS: now - 10*day, ToNS: now + 10*day, NetworkGbitS: 400}
	c, told = of(booked)
	near("low at 400", c.Low, 512*989.4e12)
	if d := cmp.Diff([]string{"cluster crossing", "cluster possible crossing"}, told); d != "" {
		t.Error(d)
	}
	booked.NetworkGbitS = 100
	if c, told = of(booked); len(told) != 0 {
		t.Errorf("at 100 Gbit/s: %v", told)
	}
	near("high at 100", c.High, 8*989.4e12)
}

func TestCampaignsOfCustomers(t *testing.T) {
	a, b, served := steady("run_a", "t1", 40), steady("run_b", "t2", 10), steady("run_c", "t1", 10)
	a.EndNS = now - 20*day
	served.Verdict.Class = classify.Inference
	v := look(State{Customers: []party.Customer{{ID: "cus", Name: "C", Tenants: []measure.TenantID{"t1", "t2"}}}, Runs: []Run{a, b, served}})
	if len(v.Campaigns) != 1 || len(v.Campaigns[0].Runs) != 2 || v.Campaigns[0].Operations != a.Operations.Add(b.Operations) {
		t.Errorf("%+v", v.Campaigns)
	}
}

func TestOrderChangesNothing(t *testing.T) {
	s := State{Packs: packs(t, runRule, customerRule), NowNS: now}
	for i := range 8 {
		s.Runs = append(s.Runs, steady("run_"+string(rune('a'+i)), measure.TenantID(string(rune('a'+i%3))), 5+i))
	}
	s.Reservations = []reservation.Reservation{{ID: "1", Tenant: "a", Accelerator: "H100-SXM5-80GB", Devices: 9, FromNS: now, ToNS: now + day}, {ID: "2", Tenant: "b", Accelerator: "H100-SXM5-80GB", Devices: 9, FromNS: now, ToNS: now + day}}
	want := Look(s, forecast.Default(), evasion.Default())
	r := rand.New(rand.NewPCG(1, 2))
	for range 3 {
		r.Shuffle(len(s.Runs), func(i, j int) { s.Runs[i], s.Runs[j] = s.Runs[j], s.Runs[i] })
		slices.Reverse(s.Reservations)
		if d := cmp.Diff(want, Look(s, forecast.Default(), evasion.Default()), cmpopts.IgnoreUnexported(policy.Pack{}, policy.Rule{}), cmp.Comparer(func(a, b *policy.Pack) bool { return a.ID == b.ID })); d != "" {
			t.Fatal(d)
		}
	}
}
