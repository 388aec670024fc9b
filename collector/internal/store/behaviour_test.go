package store

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/forecast"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// powered reports windows of one device with the energies that power gives.
func powered(tenant measure.TenantID, device measure.DeviceID, w measure.Workload, method measure.MethodName, n int, power func(i int) int64) *ledger.Batch {
	var windows []measure.Window
	for i := range n {
		e := entry(measure.Attributed, tenant, w, method, 10, compute.Bounds{Low: 800, Best: 1000, High: 1200}, 2000)
		e.EnergyMJ = power(i)
		windows = append(windows, window(device, 10*i, 10*(i+1), e))
	}
	return reports(ledger.HostID("host"+device), string(device), 1, []ledger.Device{gpu(device, "H100")}, windows...)
}

// What is learned from power reaches the runs that people see: pauses every few
// minutes speak for training, a level that is held for serving, and where only
// the allocation is known it cannot be told.
func TestVerdicts(t *testing.T) {
	s := open(t, t.TempDir())
	d := NewDeriver(s, nil, atNoon)
	trains := func(i int) int64 {
		if i%20 < 2 {
			return 3_000_000
		}
		return 6_500_000 + int64(i*i*7919%400_000)
	}
	serves := func(i int) int64 { return 5_000_000 + int64(i%2) }
	none := func(int) int64 { return -1 }
	job := func(id string) measure.Workload { return measure.Workload{Kind: measure.KindSlurmJob, ID: id} }
	count(t, s, []Follower{d}, powered("trains", "a", job("1"), measure.Activity, 400, trains), powered("serves", "b", job("2"), measure.Activity, 400, serves),
		powered("held", "c", job("3"), measure.Allocation, 400, none), powered("dark", "d", job("4"), measure.Activity, 400, none))
	derive(t, d)
	got := map[measure.TenantID]classify.Verdict{}
	for _, r := range must(t, func(ctx context.Context) ([]desk.Run, error) {
		return NewReader(s, "", false).Runs(ctx, desk.RunQuery{})
	}) {
		got[r.Tenant] = r.Verdict
	}
	if v := got["trains"]; v.Class != classify.Training || v.Training < 0.5 || len(v.Evidence) < 4 || v.Method != classify.Shipped().Name() {
		t.Errorf("the training: %+v", v)
	}
	if v := got["serves"]; v.Training >= 0.5 || v.Class == classify.Training {
		t.Errorf("the serving: %+v", v)
	}
	for tenant, why := range map[measure.TenantID]string{
		"held": "only the allocation is known: nothing shows what the devices did",
		"dark": "0 changes of power or activity between windows were compared (0s per device), fewer than 20",
	} {
		if v := got[tenant]; v.Class != classify.CannotTell || v.Told() || v.Reason != why {
			t.Errorf("%s: %+v", tenant, v)
		}
	}
}

func TestDays(t *testing.T) {
	day := int64(forecast.Day)
	until := 1_800_000_000 * int64(time.Second)
	d := daily{}
	d.spread(350, until-3*day-day/2, until, until) // half of the fourth day
	d.spread(10, until-day/2, until-day/4, until)
	text := d.text(until)
	if text != "1800000000:110,100,100,50" {
		t.Errorf("%s", text)
	}
	for later, want := range map[int64][]compute.Operations{0: {50, 100, 100, 110}, day: {50, 100, 100, 110, 0}, 2*day + day/2: {50, 100, 100, 110, 0, 0}} {
		got, err := daysOf(text, until+later)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d ns later: %s", later, diff)
		}
	}
	for _, bad := range []string{"x:1", "1", "1:x"} {
		if _, err := daysOf(bad, until); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
	places, err := placesOf(placeText(map[int64]bool{1: true, 2: true}))
	if err != nil || len(places) != 2 {
		t.Errorf("%v %v", places, err)
	}
}
