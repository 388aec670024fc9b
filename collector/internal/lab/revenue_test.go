package lab

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
)

func TestCents(t *testing.T) {
	for name, c := range map[string]struct {
		of    Revenue
		want  int64
		known bool
	}{
		"nothing":           {Revenue{}, 0, false},
		"a currency alone":  {Revenue{Currency: "USD"}, 0, false},
		"a total":           {Revenue{Currency: "USD", BilledCents: 12_345}, 12_345, true},
		"a price":           {Revenue{Currency: "EUR", CentsPerDeviceHour: 249}, 2 * 249, true},
		"a total and price": {Revenue{Currency: "USD", BilledCents: 7, CentsPerDeviceHour: 249}, 7, true},
	} {
		if got, known := c.of.Cents(2 * 3600); got != c.want || known != c.known {
			t.Errorf("%s: %d, %v", name, got, known)
		}
	}
}

// held is a history of four customers that each held devices for some hours.
func held() *History {
	h := &History{Days: 1}
	for _, c := range []struct {
		id       string
		status   party.ForeignStatus
		verified bool
		hours    int64
		revenue  Revenue
	}{
		{"cus_dark", party.Undetermined, false, 30, Revenue{Currency: "USD", CentsPerDeviceHour: 200}},
		{"cus_far", party.Foreign, true, 60, Revenue{Currency: "USD", BilledCents: 1_000_000}},
		{"cus_free", party.Foreign, true, 10, Revenue{}},
		{"cus_home", party.US, true, 100, Revenue{Currency: "EUR", CentsPerDeviceHour: 100}},
	} {
		h.Customers = append(h.Customers, Customer{ID: c.id, Status: c.status, Verified: c.verified, Revenue: c.revenue, Runs: []Run{{ID: "run_" + c.id, Days: []Day{{ElapsedS: c.hours * 3600}}}}})
	}
	return h
}

// What affected customers carry is split by what would free them; whose price is not
// known is counted and never taken for nothing.
func TestCarried(t *testing.T) {
	m := carried(held(), []string{"cus_far", "cus_dark", "cus_free"})
	want := Money{
		All:            Carried{Customers: 4, DeviceSeconds: 200 * 3600, Cents: map[string]int64{"USD": 1_006_000, "EUR": 10_000}, NoPrice: 1},
		Affected:       Carried{Customers: 3, DeviceSeconds: 100 * 3600, Cents: map[string]int64{"USD": 1_006_000}, NoPrice: 1},
		HeldUp:         Carried{Customers: 1, DeviceSeconds: 30 * 3600, Cents: map[string]int64{"USD": 6_000}},
		HeldUpPermille: 300,
		ByVerification: Carried{Customers: 1, DeviceSeconds: 30 * 3600, Cents: map[string]int64{"USD": 6_000}},
		ByExemption:    Carried{Customers: 2, DeviceSeconds: 70 * 3600, Cents: map[string]int64{"USD": 1_000_000}, NoPrice: 1},
	}
	if d := cmp.Diff(want, m); d != "" {
		t.Errorf("money (-want +got):\n%s", d)
	}
	if none := carried(held(), nil); none.Affected.Customers != 0 || none.HeldUpPermille != 0 || none.All.Customers != 4 {
		t.Errorf("nobody is affected: %+v", none)
	}
}

// A penalty counts once for each customer with a clock, at its fixed amount or the
// multiple of what the customer paid, whichever is more; one that was not in force
// yet, or not any more, counts nothing.
func TestExposure(t *testing.T) {
	pack, err := policy.Read("p.yaml", []byte(`id: p
version: 1
title: P
citation: made up
status: internal
effective: always
active: true
penalties:
  - {kind: civil, basis: a statute, citation: a section, currency: USD, amount: 15000, transaction: 2, per_violation: true, from: 2026-01-01}
  - {kind: civil, basis: an older figure, citation: a section, currency: USD, amount: 9000, per_violation: true, from: 2025-01-01, until: 2026-01-01}
rules:
  - {id: run, title: A run, citation: c, measure: run_operations, threshold: "1e22", applies_to: [foreign, undetermined]}
`))
	if err != nil {
		t.Fatal(err)
	}
	in := Inputs{After: pack, Snapshot: &Snapshot{history: held()}, From: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}
	impact := &Impact{Findings: []Predicted{{Customer: "cus_far", Clock: "report"}, {Customer: "cus_far", Clock: "report"}, {Customer: "cus_dark", Clock: "report"}, {Customer: "cus_free"}}}
	got := exposure(in, impact)
	want := []Exposure{{Basis: "a statute", Citation: "a section", Kind: "civil", Currency: "USD", Violations: 2, Amount: 2*10_000 + 15_000, ByTransaction: 1}}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("exposure (-want +got):\n%s", d)
	}
}
