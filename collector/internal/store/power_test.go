package store

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/collector/internal/power"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// meteredAt is the beginning of the hour in which the hosts below report.
var meteredAt = time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC)

// meteredHost reports an hour of two devices that draw 500 W each, for a tenant.
func meteredHost(host ledger.HostID, tenant string) *ledger.Batch {
	b := reports(host, string(host[:4]), 1, []ledger.Device{gpu(measure.DeviceID(host+"0"), "H100"), gpu(measure.DeviceID(host+"1"), "H100")})
	for d := range b.Devices {
		for at := meteredAt.UnixNano(); at < meteredAt.Add(time.Hour).UnixNano(); at += int64(10 * time.Second) {
			e := entry(measure.Attributed, measure.TenantID(tenant), job, measure.GPM, 10, compute.Bounds{Low: 1, Best: 2, High: 3}, 10)
			e.EnergyMJ = 5_000_000
			b.Windows = append(b.Windows, measure.Window{Device: b.Devices[d].ID, StartNS: at, EndNS: at + int64(10*time.Second), Entries: []measure.Entry{e}})
		}
	}
	return b
}

// meter is a reading of a quarter of the hour in kilowatts.
func meter(name string, kind power.Kind, host ledger.HostID, quarter int, kilowatts, overhead float64) power.Reading {
	at := meteredAt.Add(time.Duration(quarter) * power.Slot)
	mj := func(kw float64) int64 { return int64(kw * 1e6 * power.Slot.Seconds()) }
	return power.Reading{Meter: name, Kind: kind, Host: string(host), StartNS: at.UnixNano(), EndNS: at.Add(power.Slot).UnixNano(), EnergyMJ: mj(kilowatts), OverheadMJ: mj(overhead)}
}

func enrolled(t *testing.T, s *Store, host ledger.HostID, by inventory.Administered, n byte) {
	t.Helper()
	for _, c := range []inventory.Change{
		{Act: inventory.Invite, Administered: by, Invitation: &inventory.Invitation{ExpiresNS: 100}},
		{Act: inventory.Enroll, Key: &inventory.Key{Signing: ed25519.PublicKey(bytes.Repeat([]byte{n}, 32)), Broker: fmt.Sprint("U", n)}},
	} {
		c.Host, c.AtNS, c.By = host, 1, "operator"
		if _, err := s.ChangeHost(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
}

func judge(t *testing.T, s *Store, after time.Duration) int {
	t.Helper()
	n, err := s.JudgePower(t.Context(), meteredAt.Add(time.Hour+after))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func unaccounted(t *testing.T, r *Reader) (out []string) {
	t.Helper()
	all, err := r.Findings(t.Context(), desk.FindingQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Rule == RuleUnaccounted {
			out = append(out, f.Subject+" "+f.Level)
		}
	}
	slices.Sort(out)
	return out
}

func TestMetersCorroborateAndContradict(t *testing.T) {
	a, b, c := ledger.HostID(strings.Repeat("a", 26)), ledger.HostID(strings.Repeat("b", 26)), ledger.HostID(strings.Repeat("c", 26))
	s := open(t, t.TempDir())
	r := NewReader(s, "", false)
	enrolled(t, s, a, "", 1)
	enrolled(t, s, b, inventory.ByTenant, 2)
	count(t, s, nil, meteredHost(a, "t1"), meteredHost(b, "t2"), meteredHost(c, "t3"))

	grades := func() map[measure.TenantID]desk.Evidence {
		out := map[measure.TenantID]desk.Evidence{}
		for _, tenant := range []measure.TenantID{"t1", "t2", "t3"} {
			e, err := r.Evidence(t.Context(), tenant, meteredAt.UnixNano(), meteredAt.Add(time.Hour).UnixNano())
			if err != nil {
				t.Fatal(err)
			}
			out[tenant] = e
		}
		return out
	}
	quarters := func(n float64) desk.DeviceTime { return desk.DeviceTimeOf(time.Duration(n * 2 * float64(power.Slot))) }
	want := map[measure.TenantID]desk.Evidence{"t1": {Provider: quarters(4)}, "t2": {Claimed: quarters(4)}, "t3": {Claimed: quarters(4)}}
	if d := cmp.Diff(want, grades()); d != "" {
		t.Errorf("without meters (-want +got):\n%s", d)
	}

	readings := []power.Reading{
		// Two feeds of one host: each half of 1.3 kW, then the double of it, then too little.
		meter("a1", power.PDU, a, 0, 0.65, 0.15), meter("a2", power.PDU, a, 0, 0.65, 0.15),
		meter("a1", power.PDU, a, 1, 1.3, 0.15), meter("a2", power.PDU, a, 1, 1.3, 0.15),
		meter("a1", power.PDU, a, 2, 0.4, 0.15), meter("a2", power.PDU, a, 2, 0.4, 0.15),
		// A tenant's host that tells the truth.
		meter("b", power.BMC, b, 0, 1, 0), meter("b", power.BMC, b, 1, 1.05, 0), meter("b", power.BMC, b, 2, 0.95, 0), meter("b", power.BMC, b, 3, 1, 0),
		// Two kinds of meter, one of which says something else.
		meter("cb", power.BMC, c, 0, 1, 0), meter("cp", power.PDU, c, 0, 3, 0.3),
	}
	if d, err := s.PutPower(t.Context(), "f", readings, true); err != nil || d.New != len(readings) {
		t.Fatalf("dry run: %+v, %v", d, err)
	}
	if d, err := s.PutPower(t.Context(), "f", readings, false); err != nil || d.New != len(readings) {
		t.Fatalf("%+v, %v", d, err)
	}
	if d, err := s.PutPower(t.Context(), "f", readings, false); err != nil || d.New != 0 || d.Unchanged != len(readings) {
		t.Fatalf("again: %+v, %v", d, err)
	}
	if n := judge(t, s, time.Minute); n != 8 { // the last quarter has not settled
		t.Errorf("%d quarters judged at once", n)
	}
	if n := judge(t, s, time.Hour); n != 1 {
		t.Errorf("%d quarters judged later", n)
	}
	if n := judge(t, s, 2*time.Hour); n != 0 {
		t.Errorf("%d quarters judged twice", n)
	}
	want = map[measure.TenantID]desk.Evidence{
		"t1": {Provider: quarters(1), Corroborated: quarters(1), Claimed: quarters(2), Contradicted: quarters(2)},
		"t2": {Corroborated: quarters(4)},
		"t3": {Claimed: quarters(4), Contradicted: quarters(1)},
	}
	if d := cmp.Diff(want, grades()); d != "" {
		t.Errorf("with meters (-want +got):\n%s", d)
	}
	wantFindings := []string{"host:" + string(a) + " less drawn than reported", "host:" + string(a) + " more drawn than reported", "host:" + string(c) + " more drawn than reported"}
	if d := cmp.Diff(wantFindings, unaccounted(t, r)); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
	// The whole of the fleet, and the list by host, say the same.
	totals, err := r.Totals(t.Context(), 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	all := want["t1"].Add(want["t2"]).Add(want["t3"])
	if d := cmp.Diff(&all, totals.Evidence); d != "" {
		t.Errorf("totals (-want +got):\n%s", d)
	}
	list, err := r.Coverage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, tenant := range []measure.TenantID{"t1", "t2", "t3"} {
		if d := cmp.Diff(want[tenant], list[i].Evidence); d != "" {
			t.Errorf("%s (-want +got):\n%s", list[i].Host, d)
		}
	}
	// Half of a corroborated quarter is corroborated.
	half, err := r.Evidence(t.Context(), "t1", meteredAt.Add(power.Slot/2).UnixNano(), meteredAt.Add(power.Slot).UnixNano())
	if d := cmp.Diff(desk.Evidence{Corroborated: quarters(0.5)}, half); d != "" || err != nil {
		t.Errorf("half a quarter, %v (-want +got):\n%s", err, d)
	}
}

// Readings that contradict what is stored change nothing.
func TestReadingsAreNotChanged(t *testing.T) {
	a, b := ledger.HostID(strings.Repeat("a", 26)), ledger.HostID(strings.Repeat("b", 26))
	s := open(t, t.TempDir())
	count(t, s, nil, meteredHost(a, "t1"))
	first := meter("m", power.BMC, a, 0, 1, 0)
	if _, err := s.PutPower(t.Context(), "f", []power.Reading{first}, false); err != nil {
		t.Fatal(err)
	}
	other, overlapping, moved, unknown := first, first, first, meter("n", power.BMC, b, 0, 1, 0)
	other.EnergyMJ++
	overlapping.StartNS -= int64(time.Minute)
	moved.Kind = power.PDU
	for name, r := range map[string]power.Reading{"another energy": other, "overlaps": overlapping, "another kind": moved, "unknown host": unknown} {
		_, err := s.PutPower(t.Context(), "f", []power.Reading{meter("m2", power.BMC, a, 1, 1, 0), r}, false)
		var conflict PowerConflict
		if !errors.As(err, &conflict) || !strings.HasPrefix(err.Error(), "f:1: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	rows, err := NewReader(s, "", false).Power(t.Context(), "", 0)
	if err != nil || len(rows) != 1 {
		t.Errorf("%d quarters, %v", len(rows), err)
	}
}

// A host that hides its devices is found by its meter once nothing can come any more.
func TestDrawnAndNotReported(t *testing.T) {
	a := ledger.HostID(strings.Repeat("a", 26))
	s := open(t, t.TempDir())
	b := meteredHost(a, "t1")
	b.Devices = b.Devices[:1] // the other one is never told
	b.Windows = slices.DeleteFunc(b.Windows, func(w measure.Window) bool { return w.Device != b.Devices[0].ID })
	count(t, s, nil, b)
	if _, err := s.PutPower(t.Context(), "f", []power.Reading{meter("m", power.BMC, a, 1, 1, 0), meter("m", power.BMC, a, 8, 1, 0)}, false); err != nil {
		t.Fatal(err)
	}
	r := NewReader(s, "", false)
	judge(t, s, time.Hour)
	want := []string{"host:" + string(a) + " more drawn than reported"}
	if d := cmp.Diff(want, unaccounted(t, r)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if n := judge(t, s, 50*time.Hour); n != 0 {
		t.Error("an hour that may still come was judged")
	}
	if n := judge(t, s, 80*time.Hour); n != 1 {
		t.Errorf("%d quarters judged of a host that is silent and draws power", n)
	}
	rows, err := r.Power(t.Context(), string(a), 1)
	if err != nil || len(rows) != 1 || rows[0].Answer != "more drawn than reported" {
		t.Errorf("%+v, %v", rows, err)
	}
}
