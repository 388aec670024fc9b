package evasion

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const (
	hour = int64(3600_000_000_000)
	day  = 24 * hour
	from = int64(1_760_000_000_000_000_000)
)

func ops(v float64) compute.Operations { return compute.Operations(math.Round(v / compute.Giga)) }

// bloom is RAND's worked case: 384 A100 at 150e12 for 118 days, cut into 58 runs
// of 1e22 in 12 accounts.
func bloom(image string, marks func(account int) []Mark) Input {
	in := Input{NowNS: from + 200*day, SinceNS: from - 90*day}
	hosts := make([]int64, 48)
	for i := range hosts {
		hosts[i] = int64(1000 + i)
	}
	length := 118 * day / 58
	for i := range 12 {
		in.Accounts = append(in.Accounts, Account{Tenant: measure.TenantID(fmt.Sprintf("ten-b%02d", i)), FirstNS: from + int64(i)*length, Marks: marks(i)})
	}
	for i := range 58 {
		start := from + int64(i)*length
		done := ops(384 * 150e12 * float64(length-hour) / 1e9)
		in.Runs = append(in.Runs, Run{ID: fmt.Sprintf("run_b%02d", i), Label: fmt.Sprintf("job-%d", i), Tenant: in.Accounts[i%12].Tenant, StartNS: start, EndNS: start + length - hour, Ended: true,
			Accelerator: "A100-SXM4-80GB", Devices: 384, Hosts: 48, Places: Sketch(hosts), Image: image, Operations: compute.Bounds{Low: done / 10 * 9, Best: done, High: done / 10 * 12},
			Ceiling: done * 2, Utilization: 0.48, Training: -1})
	}
	return in
}

// owners gives five accounts one owner and all of them one payer.
func owners(account int) []Mark {
	marks := []Mark{{"payer", "card-77"}}
	if account < 5 {
		marks = append(marks, Mark{"owner", "per-1"})
	}
	return marks
}

func rules(found []Finding) map[string]int {
	n := map[string]int{}
	for _, f := range found {
		n[f.Rule]++
	}
	return n
}

func TestWorkedCase(t *testing.T) {
	found := Find(bloom("sha256:b1", owners), Default())
	var at1e23 *Finding
	for i, f := range found {
		if f.Rule == Structuring && f.Threshold == ops(1e23) {
			at1e23 = &found[i]
		}
		if f.Rule == Structuring && f.Threshold > ops(5.9e23) {
			t.Errorf("%s is not reached: %s", f.Threshold, f.Reason)
		}
	}
	if at1e23 == nil {
		t.Fatalf("the product sees nothing: %v", rules(found))
	}
	if len(at1e23.Runs) != 58 || len(at1e23.Tenants) != 12 || at1e23.Operations.Best < ops(5.7e23) || at1e23.Operations.Best > ops(5.9e23) {
		t.Errorf("%d runs of %d accounts, %s", len(at1e23.Runs), len(at1e23.Tenants), at1e23.Operations)
	}
	for _, want := range []string{"58 runs of 12 accounts", "12 accounts have the same payer", "5 accounts have the same owner", "none of them reaches", "57 of 57 began after"} {
		if !strings.Contains(at1e23.Reason, want) {
			t.Errorf("the reason does not say %q: %s", want, at1e23.Reason)
		}
	}
	// The tenth run brings the total to 1e23.
	if at1e23.OccurredNS < from+19*day || at1e23.OccurredNS > from+23*day {
		t.Errorf("told of %d days after the beginning", (at1e23.OccurredNS-from)/day)
	}
}

// Without a word of who is behind the accounts what they do is still seen: the
// same shape on the same hosts goes on where another account stopped.
func TestWorkedCaseByBehaviourAlone(t *testing.T) {
	found := Find(bloom("", func(int) []Mark { return nil }), Default())
	if n := rules(found); n[Structuring] != 1 || n[Relay] != 0 {
		t.Fatalf("%v", n)
	}
	for _, f := range found {
		if f.Rule == Structuring && (len(f.Tenants) != 12 || !strings.Contains(f.Reason, "12 accounts went on 57 times")) {
			t.Errorf("%s", f.Reason)
		}
	}
}

// ordinary is 300 tenants with usual jobs on hosts that are handed on.
func ordinary(seed uint64) Input {
	r := rand.New(rand.NewPCG(seed, 1))
	in := Input{NowNS: from + 200*day, SinceNS: from - 90*day}
	sizes := []int{1, 1, 2, 4, 8, 8, 8, 8, 16, 16, 32, 64, 64, 128, 256}
	n := 0
	for i := range 300 {
		a := Account{Tenant: measure.TenantID(fmt.Sprintf("ten-%03d", i)), FirstNS: from - int64(r.IntN(80))*day, Opened: true, Marks: []Mark{{"reseller", fmt.Sprint("r", i%7)}}}
		in.Accounts = append(in.Accounts, a)
		for range 5 + r.IntN(40) {
			devices := sizes[r.IntN(len(sizes))]
			hosts := make([]int64, max(1, devices/8))
			first := r.IntN(400)
			for k := range hosts {
				hosts[k] = int64((first + k) % 400)
			}
			start, length := from+r.Int64N(150*day), int64(float64(hour)*(0.2+r.ExpFloat64()*20))
			use := 0.15 + r.Float64()*0.4
			done := ops(float64(devices) * 312e12 * use * float64(length) / 1e9)
			run := Run{ID: fmt.Sprintf("run_%05d", n), Tenant: a.Tenant, StartNS: start, EndNS: start + length, Ended: true, Accelerator: "A100-SXM4-80GB", Devices: devices, Hosts: len(hosts), Places: Sketch(hosts),
				Operations: compute.Bounds{Low: done / 2, Best: done, High: done * 2}, Ceiling: done * 3, Utilization: use, Training: r.Float64()}
			in.Runs, n = append(in.Runs, run), n+1
		}
	}
	return in
}

// Ordinary work of many tenants is no pattern between them.
func TestOrdinaryWork(t *testing.T) {
	for seed := range uint64(8) {
		for _, f := range Find(ordinary(seed), Default()) {
			if len(f.Tenants) > 1 {
				t.Errorf("seed %d: %s over %v: %s", seed, f.Rule, f.Tenants, f.Reason)
			}
		}
	}
}

// The worked case is found in the midst of ordinary work, and nobody else is
// drawn into it.
func TestWorkedCaseAmongOrdinaryWork(t *testing.T) {
	in, other := bloom("sha256:b1", owners), ordinary(7)
	in.Accounts, in.Runs = append(in.Accounts, other.Accounts...), append(in.Runs, other.Runs...)
	told := false
	for _, f := range Find(in, Default()) {
		for _, tenant := range f.Tenants {
			if len(f.Tenants) > 1 && !strings.HasPrefix(string(tenant), "ten-b") {
				t.Errorf("%s draws in %s: %s", f.Rule, tenant, f.Reason)
			}
		}
		told = told || f.Rule == Structuring && len(f.Runs) == 58
	}
	if !told {
		t.Error("the worked case is not found")
	}
}
