package evasion

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// shape is what runs have in common that may go on as one another.
type shape struct {
	accelerator string
	devices     int
}

// moved finds runs that go on in another account where one stopped, and weights
// that were carried. Bits are as in package training: each doubles the odds that
// the two are one work. In a fleet that just began all runs end now, so that each is
// held against each of its shape: what does not depend on the other is looked up once.
func (s *seen) moved() {
	order := make([]int, len(s.Runs)) // runs by end
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(s.Runs[i].EndNS, s.Runs[j].EndNS), cmp.Compare(s.Runs[i].ID, s.Runs[j].ID))
	})
	numbers := map[measure.TenantID]int{}
	tenant := make([]int, len(s.Runs))     // number of each run's account
	ended := map[shape][]int{}             // places in order, of the runs of a shape
	sizes := map[string]map[int]struct{}{} // of the runs on an accelerator
	for at, i := range order {
		r := &s.Runs[i]
		if _, ok := numbers[r.Tenant]; !ok {
			numbers[r.Tenant] = len(numbers)
		}
		tenant[i] = numbers[r.Tenant]
		if r.Devices < s.r.Relay.MinDevices {
			continue
		}
		of := shape{r.Accelerator, r.Devices}
		if ended[of] = append(ended[of], at); len(ended[of]) == 1 {
			if sizes[r.Accelerator] == nil {
				sizes[r.Accelerator] = map[int]struct{}{}
			}
			sizes[r.Accelerator][r.Devices] = struct{}{}
		}
	}
	for j := range s.Runs {
		b := &s.Runs[j]
		if b.Devices < s.r.Relay.MinDevices {
			continue
		}
		best, most := -1, s.r.Relay.MinBits-1 // of two that are as likely the one that ended first
		for devices := range sizes[b.Accelerator] {
			if !alike(devices, b.Devices, s.r.Structuring.ShapePercent) {
				continue
			}
			of := ended[shape{b.Accelerator, devices}]
			from, _ := slices.BinarySearchFunc(of, b.StartNS-int64(s.r.Relay.Gap), func(at int, ns int64) int { return cmp.Compare(s.Runs[order[at]].EndNS, ns) })
			for _, at := range of[from:] {
				i := order[at]
				a := &s.Runs[i]
				if a.EndNS > b.StartNS+int64(15*time.Minute) {
					break
				}
				if tenant[i] == tenant[j] {
					continue
				}
				if n := s.goesOn(a, b, most).bits; n > most || n == most && best >= 0 && at < best {
					best, most = at, n
				}
			}
		}
		if best >= 0 {
			a := &s.Runs[order[best]]
			c := s.goesOn(a, b, most)
			s.relay(a, b, c.bits, c.words(a, b))
		}
	}
}

// clues are what speaks for and against b, of another account, going on where a
// stopped.
type clues struct {
	bits    int // of all of them
	size    int // bits of how many devices the two have
	after   int // of when
	places  int // of the hosts that they have in common
	percent int // of their hosts
	image   int
	carried bool
	kinds   []string // of marks that the accounts have in common
}

const (
	carriedBits = 12
	kindBits    = 6
)

// goesOn weighs whether b, of another account, goes on where a stopped. Where the
// bits cannot come to least, it says fewer and does not look at all of it.
func (s *seen) goesOn(a, b *Run, least int) clues {
	c := clues{size: rarity(b.Devices)}
	switch gap := b.StartNS - a.EndNS; {
	case gap <= int64(2*time.Hour):
		c.after = 4
	case gap <= int64(24*time.Hour):
		c.after = 2
	}
	if a.Image != "" && b.Image != "" {
		if a.Image == b.Image {
			c.image = 5
		} else {
			c.image = -6
		}
	}
	_, _, c.carried = s.carriedBytes(a, b)
	c.kinds = s.shared(a.Tenant, b.Tenant)
	if a.Image != "" && b.Image != "" { // it is weighed above
		c.kinds = slices.DeleteFunc(c.kinds, func(kind string) bool { return kind == ByImage })
	}
	c.bits = c.size + c.after + c.image + kindBits*len(c.kinds)
	if c.carried {
		c.bits += carriedBits
	}
	if c.bits+2+rarity(b.Hosts) < least {
		return c
	}
	if c.percent = inCommon(a.Places, b.Places); c.percent >= s.r.Relay.HostsPercent {
		c.places = 2 + rarity(b.Hosts*c.percent/100)
		c.bits += c.places
	}
	return c
}

// words says what the clues are.
func (c *clues) words(a, b *Run) string {
	var why []string
	add := func(n int, format string, args ...any) {
		why = append(why, fmt.Sprintf(format, args...)+fmt.Sprintf(" (%+d)", n))
	}
	add(c.size, "%d and %d devices of %s", a.Devices, b.Devices, b.Accelerator)
	if c.after > 0 {
		add(c.after, "after %s", hours(max(0, b.StartNS-a.EndNS)))
	}
	if c.places > 0 {
		add(c.places, "about %d %% of the hosts the same", c.percent)
	}
	if c.image > 0 {
		add(c.image, "the same image")
	} else if c.image < 0 {
		add(c.image, "another image")
	}
	if c.carried {
		add(carriedBits, "as many bytes came in as had gone out")
	}
	for _, what := range c.kinds {
		add(kindBits, "the accounts have the same %s", what)
	}
	return strings.Join(why, ", ")
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
