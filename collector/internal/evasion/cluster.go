package evasion

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// together is accounts that have something in common, with what.
type together struct {
	tenants []measure.TenantID // ascending
	why     []string
	runs    []*Run // by start
}

// clusters holds the patterns over several runs against each account and against
// accounts that have something in common.
func (s *seen) clusters() {
	of := map[measure.TenantID][]*Run{}
	for i := range s.Runs {
		of[s.Runs[i].Tenant] = append(of[s.Runs[i].Tenant], &s.Runs[i])
	}
	for _, c := range s.groups() {
		for _, tenant := range c.tenants {
			c.runs = append(c.runs, of[tenant]...)
		}
		slices.SortFunc(c.runs, func(a, b *Run) int { return cmp.Or(cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.ID, b.ID)) })
		s.cutUp(&c)
		s.interleaved(&c)
	}
}

// groups returns each account that has nothing in common with another, and each
// set of accounts that have: one mark, one customer, links of somebody else, or
// that again and again go on where another of them stopped. A mark that many
// accounts have says nothing.
func (s *seen) groups() []together {
	parent := map[measure.TenantID]measure.TenantID{}
	var root func(t measure.TenantID) measure.TenantID
	root = func(t measure.TenantID) measure.TenantID {
		if parent[t] == t {
			return t
		}
		parent[t] = root(parent[t])
		return parent[t]
	}
	for t := range s.account {
		parent[t] = t
	}
	type reason struct {
		tenant measure.TenantID
		text   string
	}
	var reasons []reason
	join := func(tenants []measure.TenantID, text string) {
		tenants = slices.DeleteFunc(slices.Clone(tenants), func(t measure.TenantID) bool { return s.account[t] == nil })
		slices.Sort(tenants)
		tenants = slices.Compact(tenants)
		if len(tenants) < 2 {
			return
		}
		for _, t := range tenants[1:] {
			a, b := root(tenants[0]), root(t)
			parent[max(a, b)] = min(a, b)
		}
		reasons = append(reasons, reason{tenants[0], text})
	}
	byKind := func(a, b Mark) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Value, b.Value)) }
	for _, m := range slices.SortedFunc(maps.Keys(s.marks), byKind) {
		join(s.marks[m], fmt.Sprintf("%d accounts have the same %s", len(s.marks[m]), m.Kind))
	}
	for _, c := range s.Clusters {
		join(c.Tenants, fmt.Sprintf("%d accounts are linked: %s", len(c.Tenants), strings.Join(c.Why, ", ")))
	}
	for _, c := range s.chained() {
		join(c.tenants, c.why[0])
	}
	at := map[measure.TenantID]int{}
	var out []together
	for _, tenant := range slices.Sorted(maps.Keys(s.account)) {
		k, known := at[root(tenant)]
		if !known {
			k = len(out)
			at[root(tenant)] = k
			out = append(out, together{})
		}
		out[k].tenants = append(out[k].tenants, tenant)
	}
	for _, r := range reasons {
		c := &out[at[root(r.tenant)]]
		c.why = append(c.why, r.text)
	}
	return out
}

// chained returns accounts between which work went on often enough.
func (s *seen) chained() []together {
	near := map[measure.TenantID][]measure.TenantID{}
	for pair := range s.relays {
		near[pair[0]], near[pair[1]] = append(near[pair[0]], pair[1]), append(near[pair[1]], pair[0])
	}
	done := map[measure.TenantID]bool{}
	var out []together
	for _, tenant := range slices.Sorted(maps.Keys(near)) {
		if done[tenant] {
			continue
		}
		c, times := together{}, 0
		for queue := []measure.TenantID{tenant}; len(queue) > 0; queue = queue[1:] {
			if done[queue[0]] {
				continue
			}
			done[queue[0]] = true
			c.tenants = append(c.tenants, queue[0])
			queue = append(queue, near[queue[0]]...)
		}
		for pair, n := range s.relays {
			if slices.Contains(c.tenants, pair[0]) {
				times += n
			}
		}
		if times >= s.r.Relay.LinksFrom*len(c.tenants) {
			c.why = []string{fmt.Sprintf("%d accounts went on %d times where another of them had stopped, with the same shape", len(c.tenants), times)}
			out = append(out, c)
		}
	}
	return out
}

// cutUp finds totals that reach a line that none of their runs reaches, and runs
// that end just below one.
func (s *seen) cutUp(c *together) {
	for _, alikes := range s.alikes(c.runs) {
		for _, line := range s.lines {
			s.structuring(c, alikes, line)
			s.nearLine(c, alikes, line)
		}
	}
}

// alikes groups runs of one shape.
func (s *seen) alikes(runs []*Run) [][]*Run {
	sorted := slices.Clone(runs)
	slices.SortStableFunc(sorted, func(a, b *Run) int {
		return cmp.Or(cmp.Compare(a.Accelerator, b.Accelerator), cmp.Compare(a.Devices, b.Devices))
	})
	var out [][]*Run
	for from := 0; from < len(sorted); {
		to := from + 1
		for to < len(sorted) && sorted[to].Accelerator == sorted[from].Accelerator && alike(sorted[to].Devices, sorted[from].Devices, s.r.Structuring.ShapePercent) {
			to++
		}
		if sorted[from].Devices >= s.r.Structuring.MinDevices {
			group := sorted[from:to:to]
			slices.SortStableFunc(group, func(a, b *Run) int { return cmp.Or(cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.ID, b.ID)) })
			out = append(out, group)
		}
		from = to
	}
	return out
}

// structuring tells of runs of about one size whose total reaches the line, of
// which none does.
func (s *seen) structuring(c *together, runs []*Run, line Line) {
	rule := &s.r.Structuring
	least := percentOf(line.Operations, rule.MinPartPercent)
	part := slices.DeleteFunc(slices.Clone(runs), func(r *Run) bool { return r.Operations.Best < least || s.serves(r) })
	if len(part) < rule.MinRuns || slices.ContainsFunc(part, func(r *Run) bool { return r.Operations.Best >= line.Operations }) {
		return
	}
	sizes := make([]compute.Operations, len(part))
	for i, r := range part {
		sizes[i] = r.Operations.Best
	}
	slices.Sort(sizes)
	median := sizes[len(sizes)/2]
	part = slices.DeleteFunc(part, func(r *Run) bool {
		return r.Operations.Best < percentOf(median, 100-rule.SizePercent) || r.Operations.Best > percentOf(median, 100+rule.SizePercent)
	})
	total := sum(part)
	if len(part) < rule.MinRuns || total.Best < line.Operations {
		return
	}
	tenants := tenantsOf(part)
	where := fmt.Sprintf("account %s", tenants[0])
	if len(tenants) > 1 {
		where = fmt.Sprintf("%d accounts", len(tenants))
	}
	evidence := append([]string{fmt.Sprintf("all on %s and about %d devices, about %s each", part[0].Accelerator, part[0].Devices, median)}, turns(part))
	if len(tenants) > 1 {
		evidence = append(evidence, c.why...)
	}
	s.tell(Finding{Rule: Structuring, Severity: "high", Subject: "accounts:" + string(tenants[0]), Tenant: tenants[0], Tenants: tenants, Runs: ids(part), Threshold: line.Operations, Operations: total, doublings: doublings(total.Best, line.Operations),
		OccurredNS: reached(part, line.Operations),
		Reason: fmt.Sprintf("%d runs of %s together did %s and reach %s (%s), which none of them reaches: the largest did %s. Evidence: %s",
			len(part), where, total.Best, line.Operations, line.Name, sizes[len(sizes)-1], strings.Join(evidence, "; "))})
}

// doublings is how often the line goes into the total twice as often as before. A
// pattern that goes on is told again at twice, four times … the line, since who is
// in it and what speaks for it is not yet known in whole when it begins.
func doublings(total, line compute.Operations) int {
	n := 0
	for line > 0 && total/2 >= line {
		n, total = n+1, total/2
	}
	return n
}

// serves reports whether a run is told to be something else than training.
func (s *seen) serves(r *Run) bool { return r.Training >= 0 && r.Training < 0.5 }

// nearLine tells of runs that ended just below a line.
func (s *seen) nearLine(c *together, runs []*Run, line Line) {
	part := slices.DeleteFunc(slices.Clone(runs), func(r *Run) bool {
		return !r.Ended || r.Operations.Best < percentOf(line.Operations, s.r.Near.FromPercent) || r.Operations.Best >= line.Operations || s.serves(r)
	})
	if len(part) < s.r.Near.MinRuns {
		return
	}
	tenants, total := tenantsOf(part), sum(part)
	s.tell(Finding{Rule: NearLine, Severity: "high", Subject: "accounts:" + string(tenants[0]), Tenant: tenants[0], Tenants: tenants, Runs: ids(part), Threshold: line.Operations, Operations: total, OccurredNS: part[len(part)-1].EndNS,
		Reason: fmt.Sprintf("%d runs ended between %d %% and 100 %% of %s (%s); together they did %s. Evidence: %s", len(part), s.r.Near.FromPercent, line.Operations, line.Name, total.Best,
			strings.Join(append(shares(part, line.Operations), c.why...), "; "))})
}

// interleaved tells of runs of one shape with other work on the same hosts
// between them, as if one long run was cut up by it.
func (s *seen) interleaved(c *together) {
	for _, part := range s.alikes(c.runs) {
		var between []*Run
		for i := 1; i < len(part); i++ {
			a, b := part[i-1], part[i]
			first, _ := slices.BinarySearchFunc(c.runs, a.EndNS, func(r *Run, ns int64) int { return cmp.Compare(r.StartNS, ns) })
			for _, r := range c.runs[first:] {
				if r.StartNS > b.StartNS {
					break
				}
				if r.EndNS <= b.StartNS && !alike(r.Devices, a.Devices, s.r.Structuring.ShapePercent) &&
					inCommon(a.Places, b.Places) >= s.r.Relay.HostsPercent && meets(r.Places, a.Places) {
					between = append(between, r)
					break
				}
			}
		}
		total := sum(part)
		if len(between) < s.r.Interleaved.MinTimes || slices.ContainsFunc(part, s.serves) {
			continue
		}
		for _, line := range slices.Backward(s.lines) {
			if total.Best < line.Operations || slices.ContainsFunc(part, func(r *Run) bool { return r.Operations.Best >= line.Operations }) {
				continue
			}
			tenants := tenantsOf(part)
			s.tell(Finding{Rule: Interleaved, Severity: "warning", Subject: "accounts:" + string(tenants[0]), Tenant: tenants[0], Tenants: tenants, Runs: ids(part), Threshold: line.Operations, Operations: total, OccurredNS: reached(part, line.Operations),
				Reason: fmt.Sprintf("%d runs of one shape on the same hosts, %d times with other work of the same accounts between them, together did %s and reach %s (%s). Evidence: %s; the work between: %s",
					len(part), len(between), total.Best, line.Operations, line.Name, turns(part), strings.Join(ids(between)[:min(len(between), 5)], ", "))})
			break
		}
	}
}

func meets(a, b []uint64) bool {
	return slices.ContainsFunc(a, func(h uint64) bool { return slices.Contains(b, h) })
}

func sum(runs []*Run) compute.Bounds {
	var b compute.Bounds
	for _, r := range runs {
		b = b.Add(r.Operations)
	}
	return b
}

func ids(runs []*Run) []string {
	out := make([]string, len(runs))
	for i, r := range runs {
		out[i] = r.ID
	}
	return out
}

func tenantsOf(runs []*Run) []measure.TenantID {
	var out []measure.TenantID
	for _, r := range runs {
		out = append(out, r.Tenant)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// reached returns when the total reached the line, by the ends of the runs.
func reached(runs []*Run, line compute.Operations) int64 {
	byEnd := slices.Clone(runs)
	slices.SortStableFunc(byEnd, func(a, b *Run) int { return cmp.Compare(a.EndNS, b.EndNS) })
	var total compute.Operations
	for _, r := range byEnd {
		if total = total.Add(r.Operations.Best); total >= line {
			return r.EndNS
		}
	}
	return byEnd[len(byEnd)-1].EndNS
}

// turns says how runs follow each other.
func turns(runs []*Run) string {
	after, longest := 0, int64(0)
	for i := 1; i < len(runs); i++ {
		gap := runs[i].StartNS - runs[i-1].EndNS
		if gap >= 0 {
			after++
		}
		longest = max(longest, gap)
	}
	return fmt.Sprintf("%d of %d began after the one before had ended, the longest pause was %s", after, len(runs)-1, hours(longest))
}

func shares(runs []*Run, line compute.Operations) []string {
	words := make([]string, 0, 6)
	for _, r := range runs[:min(len(runs), 6)] {
		words = append(words, fmt.Sprintf("run %s ended at %.1f %%", r.ID, 100*r.Operations.Best.Float()/line.Float()))
	}
	return words
}
