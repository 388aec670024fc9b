package evasion

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// moved finds runs that go on in another account where one stopped, and weights
// that were carried. Bits are as in package training: each doubles the odds that
// the two are one work.
func (s *seen) moved() {
	byShape := map[string][]int{} // accelerator → runs by end
	order := make([]int, len(s.Runs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(s.Runs[i].EndNS, s.Runs[j].EndNS), cmp.Compare(s.Runs[i].ID, s.Runs[j].ID))
	})
	for _, i := range order {
		if s.Runs[i].Devices >= s.r.Relay.MinDevices {
			byShape[s.Runs[i].Accelerator] = append(byShape[s.Runs[i].Accelerator], i)
		}
	}
	for j := range s.Runs {
		b := &s.Runs[j]
		if b.Devices < s.r.Relay.MinDevices {
			continue
		}
		ended := byShape[b.Accelerator]
		from, _ := slices.BinarySearchFunc(ended, b.StartNS-int64(s.r.Relay.Gap), func(i int, ns int64) int { return cmp.Compare(s.Runs[i].EndNS, ns) })
		best, bits, because := -1, 0, ""
		for _, i := range ended[from:] {
			a := &s.Runs[i]
			if a.EndNS > b.StartNS+int64(15*time.Minute) {
				break
			}
			if a.Tenant == b.Tenant || !alike(a.Devices, b.Devices, s.r.Structuring.ShapePercent) {
				continue
			}
			if n, why := s.goesOn(a, b); n >= s.r.Relay.MinBits && n > bits {
				best, bits, because = i, n, why
			}
		}
		if best >= 0 {
			s.relay(&s.Runs[best], b, bits, because)
		}
	}
}

// goesOn weighs whether b, of another account, goes on where a stopped.
func (s *seen) goesOn(a, b *Run) (bits int, because string) {
	var why []string
	add := func(n int, format string, args ...any) {
		bits += n
		why = append(why, fmt.Sprintf(format, args...)+fmt.Sprintf(" (%+d)", n))
	}
	add(rarity(b.Devices), "%d and %d devices of %s", a.Devices, b.Devices, b.Accelerator)
	switch gap := b.StartNS - a.EndNS; {
	case gap <= int64(2*time.Hour):
		add(4, "after %s", hours(max(0, gap)))
	case gap <= int64(24*time.Hour):
		add(2, "after %s", hours(gap))
	}
	if n := inCommon(a.Places, b.Places); n >= s.r.Relay.HostsPercent {
		add(2+rarity(b.Hosts*n/100), "about %d %% of the hosts the same", n)
	}
	if a.Image != "" && b.Image != "" {
		if a.Image == b.Image {
			add(5, "the same image")
		} else {
			add(-6, "another image")
		}
	}
	if _, _, ok := s.carriedBytes(a, b); ok {
		add(12, "as many bytes came in as had gone out")
	}
	for _, what := range s.shared(a.Tenant, b.Tenant) {
		if what == ByImage && a.Image != "" && b.Image != "" {
			continue // it is weighed above
		}
		add(6, "the accounts have the same %s", what)
	}
	return bits, strings.Join(why, ", ")
}

// rarity is one bit for every 4 × as many, as in package training.
func rarity(n int) int {
	bits := 0
	for n >= 4 {
		bits, n = bits+1, n/4
	}
	return bits
}

// shared returns the kinds of mark that two accounts have in common.
func (s *seen) shared(a, b measure.TenantID) []string {
	var kinds []string
	x, y := s.account[a], s.account[b]
	if x.Customer != "" && x.Customer == y.Customer {
		kinds = append(kinds, byCustomer)
	}
	for _, m := range x.Marks {
		if len(s.marks[m]) > 0 && slices.Contains(y.Marks, m) && !slices.Contains(kinds, m.Kind) {
			kinds = append(kinds, m.Kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// relay tells of one handing over.
func (s *seen) relay(a, b *Run, bits int, because string) {
	pair := [2]measure.TenantID{min(a.Tenant, b.Tenant), max(a.Tenant, b.Tenant)}
	s.relays[pair]++
	tenants := pair[:]
	total := a.Operations.Add(b.Operations)
	out, in, carried := s.carriedBytes(a, b)
	if carried {
		s.tell(Finding{Rule: Carried, Severity: "high", Subject: "accounts:" + string(pair[0]), Tenant: b.Tenant, Tenants: tenants, Runs: []string{a.ID, b.ID}, Operations: total, OccurredNS: b.StartNS,
			Reason: fmt.Sprintf("Weights may have been carried: %.1f GiB left account %s and %.1f GiB came into account %s, and run %s of the same shape began there %s after run %s ended. Together they did %s. Evidence: %s",
				gib(out), a.Tenant, gib(in), b.Tenant, b.ID, hours(max(0, b.StartNS-a.EndNS)), a.ID, total.Best, because)})
		return
	}
	// One handing over between accounts that have nothing else in common is what
	// happens in any fleet that gives hosts to the next customer.
	if len(s.shared(a.Tenant, b.Tenant)) == 0 && !(a.Image != "" && a.Image == b.Image) {
		return
	}
	s.tell(Finding{Rule: Relay, Subject: "accounts:" + string(pair[0]), Tenant: b.Tenant, Tenants: tenants, Runs: []string{a.ID, b.ID}, Operations: total, OccurredNS: b.StartNS,
		Reason: fmt.Sprintf("Run %s of account %s may go on as run %s of account %s; together they did %s. Evidence, %d bits: %s", a.ID, a.Tenant, b.ID, b.Tenant, total.Best, bits, because)})
}

func gib(n int64) float64 { return float64(n) / (1 << 30) }

// carriedBytes looks for as many bytes into the one account as left the other.
func (s *seen) carriedBytes(a, b *Run) (out, in int64, ok bool) {
	within, least := int64(s.r.Carried.Within), int64(s.r.Carried.MinGiB)<<30
	for _, x := range s.Transfers {
		if x.Tenant != a.Tenant || !x.Out || x.Bytes < least || x.AtNS < a.EndNS-within || x.AtNS > b.EndNS {
			continue
		}
		for _, y := range s.Transfers {
			if y.Tenant != b.Tenant || y.Out || y.AtNS < x.AtNS || y.AtNS-x.AtNS > within || y.AtNS > b.StartNS+within {
				continue
			}
			if (max(x.Bytes, y.Bytes)-min(x.Bytes, y.Bytes))*100 <= max(x.Bytes, y.Bytes)*int64(s.r.Carried.DifferPercent) {
				return x.Bytes, y.Bytes, true
			}
		}
	}
	return 0, 0, false
}
