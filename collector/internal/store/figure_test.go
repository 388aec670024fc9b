package store

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// began is when the made-up fleet was first seen.
const began = int64(1_700_000_000_000_000_000)

func at(seconds int) int64 { return began + int64(seconds)*int64(time.Second) }

func secondsOf(n int) desk.DeviceTime { return desk.DeviceTimeOf(time.Duration(n) * time.Second) }

var (
	job       = measure.Workload{Kind: measure.KindSlurmJob, ID: "7"}
	container = measure.Workload{Kind: measure.KindContainer, ID: "c"}
)

func entry(state measure.State, tenant measure.TenantID, w measure.Workload, method measure.MethodName, seconds int, ops compute.Bounds, ceiling compute.Operations) measure.Entry {
	return measure.Entry{State: state, Tenant: tenant, Workload: w, Method: measure.Method{Name: method, Version: 1},
		Duration: time.Duration(seconds) * time.Second, Operations: ops, Ceiling: ceiling, EnergyMJ: -1}
}

func window(device measure.DeviceID, from, to int, entries ...measure.Entry) measure.Window {
	return measure.Window{Device: device, StartNS: at(from), EndNS: at(to), Entries: entries}
}

// gpu does 1e12 operations a second at its peak and twice that at most.
func gpu(id measure.DeviceID, sku string) ledger.Device {
	return ledger.Device{Device: measure.Device{ID: id, Name: "Made Up"}, SKU: sku, Grade: "A", Peak: 1_000_000, Ceiling: 2_000_000}
}

func reports(host ledger.HostID, name string, seq uint64, devices []ledger.Device, windows ...measure.Window) *ledger.Batch {
	return &ledger.Batch{Host: host, PublicKey: make([]byte, 32), Name: name, AgentVersion: "1.0", BootID: "boot",
		Position: ledger.Position{Epoch: 1, Seq: seq}, Devices: devices, Windows: windows}
}

// count applies batches and makes each durable.
func count(t testing.TB, s *Store, followers []Follower, batches ...*ledger.Batch) {
	t.Helper()
	book, err := s.LoadLedger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range batches {
		if err := book.Apply(b); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Checkpoint(t.Context(), Checkpoint{At: noon, Changes: book.Take()}, followers...); err != nil {
			t.Fatal(err)
		}
	}
}

// fleet is two hosts that serve two tenants on two kinds of accelerator: one
// device is shared, one has a gap of 30 s, one is unobserved for 10 s, and one
// claims 5 s twice.
func fleet() []*ledger.Batch {
	return []*ledger.Batch{
		reports("hosta", "alpha", 1, []ledger.Device{gpu("a0", "H100"), gpu("a1", "H100")},
			window("a0", 0, 10, entry(measure.Attributed, "t1", job, measure.GPM, 10, compute.Bounds{Low: 100, Best: 200, High: 300}, 10_000)),
			window("a0", 10, 20,
				entry(measure.Attributed, "t1", job, measure.GPM, 6, compute.Bounds{Low: 60, Best: 120, High: 180}, 6_000),
				entry(measure.Attributed, "t2", container, measure.Allocation, 4, compute.Bounds{Low: 0, Best: 1_000, High: 4_000}, 4_000)),
			window("a1", 0, 10,
				entry(measure.Idle, "", measure.Workload{}, measure.NoMethod, 5, compute.Bounds{}, 0),
				entry(measure.Unattributed, "", measure.Workload{Kind: measure.KindHost, ID: "alpha"}, measure.GPM, 5, compute.Bounds{Low: 5, Best: 10, High: 20}, 5_000))),
		reports("hosta", "alpha", 2, nil,
			window("a0", 50, 60, entry(measure.Attributed, "t1", job, measure.GPM, 10, compute.Bounds{Low: 10, Best: 20, High: 30}, 10_000)),
			window("a1", 10, 20, entry(measure.Unobserved, "t1", job, measure.NoMethod, 10, compute.Bounds{Low: 0, Best: 50, High: 20_000}, 10_000))),
		reports("hostb", "beta", 1, []ledger.Device{gpu("b0", "B200")},
			window("b0", 0, 10, entry(measure.Attributed, "t1", job, measure.Cycles, 10, compute.Exactly(1_000), 50_000)),
			window("b0", 5, 15, entry(measure.Idle, "", measure.Workload{}, measure.NoMethod, 10, compute.Bounds{}, 0))),
	}
}

// What the fleet's tenants did, worked out by hand.
var (
	figure1 = desk.Figure{ // 16 + 10 + 10 s seen of 46 s held
		Empirical:   compute.Bounds{Low: 1_170, Best: 1_340, High: 1_510},
		Theoretical: compute.Bounds{Low: 0, Best: 50, High: 20_000},
		Ceiling:     86_000, DeviceTime: secondsOf(36), Coverage: 36.0 / 46, Methods: []measure.MethodName{measure.Cycles, measure.GPM},
	}
	figure2 = desk.Figure{
		Theoretical: compute.Bounds{Low: 0, Best: 1_000, High: 4_000},
		Ceiling:     4_000, DeviceTime: secondsOf(4), Coverage: 1, Methods: []measure.MethodName{measure.Allocation},
	}
)

// Time adds up whole: no nanosecond is lost below the second, and no sum of many
// devices runs over.
func TestDeviceTimeAdds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var sum deviceTime
		var seconds, nanos int64
		for _, ns := range rapid.SliceOf(rapid.Int64Range(0, 1<<62)).Draw(t, "durations") {
			sum = sum.add(deviceTime{ns / 1e9, ns % 1e9})
			seconds, nanos = seconds+ns/1e9, nanos+ns%1e9
			seconds, nanos = seconds+nanos/1e9, nanos%1e9
		}
		if want := desk.DeviceTime(seconds*1000 + nanos/1e6); sum.desk() != want {
			t.Errorf("%d ms, want %d", sum.desk(), want)
		}
	})
}

// Times agree to the nanosecond, and to as many as there are pieces that are rounded.
func TestDeviceTimesAgree(t *testing.T) {
	for _, c := range []struct {
		a, b   deviceTime
		within int64
		want   bool
	}{
		{deviceTime{5, 0}, deviceTime{4, 1e9}, 0, true},
		{deviceTime{5, 0}, deviceTime{4, 999_999_999}, 0, false},
		{deviceTime{5, 0}, deviceTime{4, 999_999_999}, 1, true},
		{deviceTime{4, 999_999_998}, deviceTime{5, 0}, 1, false},
		{deviceTime{math.MaxInt64 / 2, 0}, deviceTime{-math.MaxInt64 / 2, 0}, 3, false},
	} {
		if got := c.a.agrees(c.b, c.within); got != c.want || c.b.agrees(c.a, c.within) != got {
			t.Errorf("%v and %v within %d: %t", c.a, c.b, c.within, got)
		}
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		part, whole desk.DeviceTime
		want        float64
	}{{0, 0, 1}, {0, 4, 0}, {1, 4, 0.25}, {4, 4, 1}} {
		if got := share(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d is %v, want %v", c.part, c.whole, got, c.want)
		}
	}
}

func TestUnion(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want string
	}{{"", "", "[]"}, {"b,a", "", "[a b]"}, {"a,b", "c,a", "[a b c]"}} {
		if d := cmp.Diff(c.want, fmt.Sprint(union(c.a, c.b))); d != "" {
			t.Error(d)
		}
	}
}
