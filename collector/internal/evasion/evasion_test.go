package evasion

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

var hosts64 = Sketch([]int64{1, 2, 3, 4, 5, 6, 7, 8})

func run(id string, tenant measure.TenantID, start, length int64, devices int, best float64) Run {
	return Run{ID: id, Label: id, Tenant: tenant, StartNS: from + start, EndNS: from + start + length, Ended: true, Accelerator: "h100", Devices: devices, Hosts: 8, Places: hosts64,
		Operations: compute.Bounds{Low: ops(best), Best: ops(best), High: ops(best)}, Ceiling: ops(best * 3), Utilization: 0.4, Training: -1}
}

func account(t measure.TenantID, marks ...Mark) Account {
	return Account{Tenant: t, FirstNS: from - 60*day, Opened: true, Marks: marks}
}

// series is n runs one after the other with a pause between them.
func series(tenant measure.TenantID, n int, devices int, best float64) []Run {
	var out []Run
	for i := range n {
		out = append(out, run(string(tenant)+string(rune('a'+i)), tenant, int64(i)*3*day, 2*day, devices, best))
	}
	return out
}

func each(runs []Run, change func(int, *Run)) []Run {
	for i := range runs {
		change(i, &runs[i])
	}
	return runs
}

func TestPatterns(t *testing.T) {
	one, two := account("a", Mark{"payer", "p"}), account("b", Mark{"payer", "p"})
	lone := account("b")
	after := []Run{run("r1", "a", 0, 5*day, 512, 5e23), run("r2", "b", 5*day+hour, 5*day, 512, 4e23)}
	transfers := []Transfer{{"a", from + 5*day, 200 << 30, true}, {"b", from + 5*day + hour/2, 201 << 30, false}}
	for name, c := range map[string]struct {
		in   Input
		want string // rules, space separated
		say  string
	}{
		"ten runs of a tenth":  {Input{Accounts: []Account{one}, Runs: series("a", 10, 128, 1.05e22)}, Structuring, "10 runs of account a"},
		"nine runs of a tenth": {Input{Accounts: []Account{one}, Runs: series("a", 9, 128, 1.05e22)}, "", ""},
		"one of them reaches the line itself": {Input{Accounts: []Account{one}, Runs: each(series("a", 10, 128, 1.05e22), func(i int, r *Run) {
			r.Operations = compute.Exactly(r.Operations.Best * compute.Operations(1+10*(i/9)))
		})}, "", ""},
		"inference is no part of it":         {Input{Accounts: []Account{one}, Runs: each(series("a", 10, 128, 1.05e22), func(_ int, r *Run) { r.Training = 0.1 })}, "", ""},
		"crumbs":                             {Input{Accounts: []Account{one}, Runs: series("a", 120, 128, 0.99e21)}, "", ""},
		"three just below":                   {Input{Accounts: []Account{one}, Runs: series("a", 3, 128, 0.9e23)}, NearLine, "ended at 90.0 %"},
		"two just below":                     {Input{Accounts: []Account{one}, Runs: series("a", 2, 128, 0.9e23)}, "", ""},
		"goes on in an account of one payer": {Input{Accounts: []Account{one, two}, Runs: after}, Relay, "the same payer (+6)"},
		"goes on in an account of nobody":    {Input{Accounts: []Account{one, lone}, Runs: after}, "", ""},
		"of one image":                       {Input{Accounts: []Account{one, lone}, Runs: each([]Run{after[0], after[1]}, func(_ int, r *Run) { r.Image = "i" })}, Relay, "the same image (+5)"},
		"too late":                           {Input{Accounts: []Account{one, two}, Runs: []Run{after[0], run("r2", "b", 8*day+hour, 5*day, 512, 4e23)}}, "", ""},
		"another shape":                      {Input{Accounts: []Account{one, two}, Runs: []Run{after[0], run("r2", "b", 5*day+hour, 5*day, 256, 4e23)}}, "", ""},
		"weights carried":                    {Input{Accounts: []Account{one, lone}, Runs: after, Transfers: transfers}, Carried, "200.0 GiB left account a and 201.0 GiB came into account b"},
		"other bytes came":                   {Input{Accounts: []Account{one, lone}, Runs: after, Transfers: []Transfer{transfers[0], {"b", from + 5*day + hour, 100 << 30, false}}}, "", ""},
		"cut up by other work":               {Input{Accounts: []Account{one}, Runs: append(series("a", 4, 128, 0.3e23), series("a", 3, 8, 1e18)...)}, "", ""},
		"cut up by other work in the pauses": {Input{Accounts: []Account{one}, Runs: append(series("a", 4, 128, 0.3e23), each(series("a", 3, 8, 1e18), func(i int, r *Run) {
			r.ID, r.StartNS, r.EndNS = r.ID+"x", from+int64(i)*3*day+2*day+hour, from+int64(i)*3*day+2*day+5*hour
		})...)}, Interleaved, "3 times with other work"},
		"busy like serving, beats like training": {Input{Accounts: []Account{one}, Runs: each(series("a", 1, 128, 1e21), func(_ int, r *Run) { r.Training, r.Utilization, r.Regular = 0.9, 0.2, "pauses every 10 min" })}, Masquerade, "pauses every 10 min"},
		"busy like serving":                      {Input{Accounts: []Account{one}, Runs: each(series("a", 1, 128, 1e21), func(_ int, r *Run) { r.Training, r.Utilization = 0.4, 0.2 })}, "", ""},
		"hardly used":                            {Input{Accounts: []Account{one}, Runs: each(series("a", 1, 512, 1e22), func(_ int, r *Run) { r.Utilization, r.Ceiling = 0.05, ops(2e23) })}, UnderUse, "5.0 % of their peak"},
		"hardly used and small":                  {Input{Accounts: []Account{one}, Runs: each(series("a", 1, 512, 1e20), func(_ int, r *Run) { r.Utilization, r.Ceiling = 0.05, ops(2e21) })}, "", ""},
		"unseen near a line":                     {Input{Accounts: []Account{one}, Runs: each(series("a", 1, 512, 0.8e23), func(_ int, r *Run) { r.Unobserved, r.Operations.High = 0.05, ops(1.1e23) })}, Silenced, "80 % of 1.00e+23"},
		"unseen far from a line":                 {Input{Accounts: []Account{one}, Runs: each(series("a", 1, 512, 0.2e23), func(_ int, r *Run) { r.Unobserved, r.Operations.High = 0.05, ops(1.1e23) })}, "", ""},
		"hundreds in a new account":              {Input{Accounts: []Account{{Tenant: "n", FirstNS: from - day, Opened: true}}, Runs: append(series("n", 1, 200, 1e20), run("other", "n", hour, day, 100, 1e20))}, Sudden, "300 devices at once"},
		"hundreds in an old account":             {Input{Accounts: []Account{one}, Runs: series("a", 1, 512, 1e20)}, "", ""},
		"everybody is new to a new collector":    {Input{SinceNS: from - day, Accounts: []Account{{Tenant: "n", FirstNS: from}}, Runs: series("n", 1, 512, 1e20)}, "", ""},
		"a line of an active pack":               {Input{Accounts: []Account{one}, Runs: series("a", 10, 128, 1.05e20), Lines: []Line{{ops(1e21), "pack/rule"}}}, Structuring, "pack/rule"},
	} {
		c.in.NowNS = from + 100*day
		found := Find(c.in, Default())
		var got, said []string
		for _, f := range found {
			got, said = append(got, f.Rule), append(said, f.Reason)
		}
		if g := strings.Join(got, " "); g != c.want {
			t.Errorf("%s: %q, want %q: %v", name, g, c.want, said)
		} else if !strings.Contains(strings.Join(said, "\n"), c.say) {
			t.Errorf("%s: the reason does not say %q: %v", name, c.say, said)
		}
	}
}

// What many have in common says nothing of any of them.
func TestHubs(t *testing.T) {
	in := Input{NowNS: from + 100*day}
	for i := range 21 {
		tenant := measure.TenantID("t" + string(rune('a'+i)))
		in.Accounts = append(in.Accounts, account(tenant, Mark{"address", "registered agent"}))
		in.Runs = append(in.Runs, run(string(tenant), tenant, int64(i)*4*day, day, 32, 1e22))
	}
	if found := Find(in, Default()); len(found) != 0 {
		t.Errorf("a registered agent makes one of them: %v", found[0].Reason)
	}
	in.Accounts[0].Marks = nil
	if found := Find(in, Default()); len(found) != 1 || found[0].Rule != Structuring {
		t.Errorf("twenty accounts at one address: %v", found)
	}
}

func TestOrderChangesNothing(t *testing.T) {
	in := bloom("i", owners)
	want := Find(in, Default())
	for seed := range uint64(5) {
		r := rand.New(rand.NewPCG(seed, 2))
		r.Shuffle(len(in.Runs), func(i, j int) { in.Runs[i], in.Runs[j] = in.Runs[j], in.Runs[i] })
		r.Shuffle(len(in.Accounts), func(i, j int) { in.Accounts[i], in.Accounts[j] = in.Accounts[j], in.Accounts[i] })
		if d := cmp.Diff(want, Find(in, Default()), cmp.AllowUnexported(Finding{})); d != "" {
			t.Fatalf("another order gives other findings: %s", d)
		}
	}
}

func TestSketches(t *testing.T) {
	numbers := func(from, to int64) (out []int64) {
		for i := from; i < to; i++ {
			out = append(out, i)
		}
		return out
	}
	if n := inCommon(Sketch(numbers(0, 256)), Sketch(numbers(0, 256))); n != 100 {
		t.Errorf("the same hosts have %d %% in common", n)
	}
	if n := inCommon(Sketch(numbers(0, 256)), Sketch(numbers(256, 512))); n != 0 {
		t.Errorf("other hosts have %d %% in common", n)
	}
	if n := inCommon(Sketch(numbers(0, 256)), Sketch(numbers(4, 260))); n < 80 {
		t.Errorf("nearly the same hosts have %d %% in common", n)
	}
	if inCommon(nil, nil) != 0 {
		t.Error("no hosts have something in common")
	}
}

func TestRules(t *testing.T) {
	if len(Default().lines) == 0 {
		t.Error("no lines")
	}
	if _, err := ReadRules("r.yaml", []byte("id: x\nversion: 1\ntitle: x\nlines: [\"no\"]\n")); err == nil || !strings.Contains(err.Error(), "lines") {
		t.Errorf("%v", err)
	}
}

// What moves like training is told where the account declared something else, and
// not where it declared training too, or nothing, or for another time.
func TestDeclaredUse(t *testing.T) {
	run := Run{ID: "run_x", Label: "x", Tenant: "ten-x", StartNS: from, EndNS: from + 3*day, Devices: 64, Hosts: 8, Training: 0.97, Utilization: 0.6, Operations: compute.Bounds{Best: 1}}
	serving := Declaration{Tenant: "ten-x", FromNS: from - day, ToNS: from + 9*day, What: "inference, reservation r-1 of 64 H100"}
	for name, c := range map[string]struct {
		change   func(*Run)
		declared []Declaration
		want     int
	}{
		"serving":              {func(*Run) {}, []Declaration{serving}, 1},
		"nothing":              {func(*Run) {}, nil, 0},
		"training too":         {func(*Run) {}, []Declaration{serving, {Tenant: "ten-x", FromNS: from, ToNS: from + day, Training: true}}, 0},
		"another account":      {func(*Run) {}, []Declaration{{Tenant: "ten-y", FromNS: from, ToNS: from + 9*day}}, 0},
		"another time":         {func(*Run) {}, []Declaration{{Tenant: "ten-x", FromNS: from + 4*day, ToNS: from + 9*day, What: "w"}}, 0},
		"hardly likely":        {func(r *Run) { r.Training = 0.6 }, []Declaration{serving}, 0},
		"nobody can tell":      {func(r *Run) { r.Training = -1 }, []Declaration{serving}, 0},
		"few devices":          {func(r *Run) { r.Devices = 8 }, []Declaration{serving}, 0},
		"an hour of something": {func(r *Run) { r.EndNS = r.StartNS + hour }, []Declaration{serving}, 0},
	} {
		r := run
		c.change(&r)
		found := slices.DeleteFunc(Find(Input{NowNS: from + 10*day, Runs: []Run{r}, Declared: c.declared}, Default()), func(f Finding) bool { return f.Rule != Mismatch })
		if len(found) != c.want || c.want == 1 && !strings.Contains(found[0].Reason, "inference, reservation r-1") {
			t.Errorf("%s: %+v", name, found)
		}
	}
}
