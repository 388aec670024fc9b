package resolve_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve/registertest"
)

func hasher() *resolve.Hasher { return resolve.NewHasher([]byte("0123456789abcdef0123456789abcdef")) }

// score is how identity links hold against the truth, in pairs of records.
type score struct {
	Automatic, Right       int // that no person decides
	Clustered, Together    int // pairs that automatic links bring together, over any number of links
	Proposed, ProposedTrue int
	Reach                  int // true pairs that are linked in either way
	True                   int // pairs of records of one entity
	ControlTrue, Control   int // control links between shells of one owner, and all
}

func (s score) precision() float64 { return float64(s.Right) / float64(s.Automatic) }

func measure(all []registertest.Party, links []resolve.Found) (s score, largest int) {
	of := map[resolve.ID]registertest.Party{}
	size := map[int]int{}
	var owners []resolve.Owner
	for _, p := range all {
		of[p.ID] = p
		size[p.Entity]++
		owners = append(owners, resolve.Owner{Account: string(p.ID), Customer: p.Customer, Party: p.ID})
	}
	for _, n := range size {
		s.True += n * (n - 1) / 2
	}
	for _, l := range links {
		a, b := of[l.A], of[l.B]
		switch {
		case l.Class == resolve.Control:
			s.Control++
			if a.Owner == b.Owner && a.Owner >= 0 || a.Owner == b.Entity || b.Owner == a.Entity || a.Entity == b.Entity {
				s.ControlTrue++
			}
		case l.Class != resolve.Identity:
		case l.Automatic:
			s.Automatic++
			if a.Entity == b.Entity {
				s.Right++
				s.Reach++
			}
		default:
			s.Proposed++
			if a.Entity == b.Entity {
				s.ProposedTrue++
				s.Reach++
			}
		}
	}
	standing := resolve.Advance(nil, links, nil, "", 1)
	g := resolve.NewGrouping(owners, standing)
	for _, set := range g.Sets(resolve.ByIdentity) {
		largest = max(largest, len(set.Parties))
		for i, a := range set.Parties {
			for _, b := range set.Parties[i+1:] {
				s.Clustered++
				if of[a].Entity == of[b].Entity {
					s.Together++
				}
			}
		}
	}
	for _, set := range g.Sets(resolve.ByMeans) {
		largest = max(largest, len(set.Parties))
	}
	return s, largest
}

// usage returns the processor time of this process.
func usage() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func resolved(t testing.TB, p registertest.Profile) ([]registertest.Party, *resolve.Register) {
	t.Helper()
	all := p.Register()
	began, used := time.Now(), usage()
	records := registertest.Records(all, hasher())
	t.Logf("%d records of profile %s: normalised and hashed in %s (%s of processor time)", len(all), p.Name, time.Since(began).Round(time.Millisecond), (usage() - used).Round(time.Millisecond))
	began, used = time.Now(), usage()
	r := resolve.NewRegister(resolve.DefaultWeights())
	r.Load(records, nil)
	t.Logf("resolved in %s (%s of processor time)", time.Since(began).Round(time.Millisecond), (usage() - used).Round(time.Millisecond))
	return all, r
}

// The weights were chosen on the tuning profile; what is asserted and reported is
// of the other one, which has other words, countries, rates of error and seed.
func TestGeneratedRegister(t *testing.T) {
	parties := 4000
	if os.Getenv("FLOPWATCH_LONG") != "" {
		parties = 100_000
	}
	all, r := resolved(t, registertest.Reporting(parties))
	links := r.Links()
	s, largest := measure(all, links)
	t.Logf("automatic identity links: %d, right %d, precision %.5f; clusters: %d pairs, right %d, precision %.5f", s.Automatic, s.Right, s.precision(), s.Clustered, s.Together, float64(s.Together)/float64(s.Clustered))
	t.Logf("true pairs %d; recall of automatic links %.4f, of their clusters %.4f, with proposals %.4f", s.True, float64(s.Right)/float64(s.True), float64(s.Together)/float64(s.True), float64(s.Reach)/float64(s.True))
	t.Logf("proposed identity links: %d, right %d (%.3f); control links proposed: %d, right %d (%.3f)", s.Proposed, s.ProposedTrue, float64(s.ProposedTrue)/float64(s.Proposed), s.Control, s.ControlTrue, float64(s.ControlTrue)/float64(s.Control))
	t.Logf("largest set of any level: %d parties; weights %s", largest, resolve.DefaultWeights().Title())
	if s.precision() < 0.99 || float64(s.Together)/float64(s.Clustered) < 0.99 {
		t.Errorf("precision of automatic links %.4f, of their clusters %.4f", s.precision(), float64(s.Together)/float64(s.Clustered))
	}
	if float64(s.Right)/float64(s.True) < 0.4 || float64(s.Reach)/float64(s.True) < 0.9 {
		t.Errorf("recall %.3f, with proposals %.3f", float64(s.Right)/float64(s.True), float64(s.Reach)/float64(s.True))
	}
	for _, l := range links {
		if l.Automatic && l.Class != resolve.Coordination && !strong(l) {
			t.Fatalf("automatic on weak evidence: %+v", l)
		}
	}
}

func strong(l resolve.Found) bool {
	for _, e := range l.Evidence {
		switch resolve.Kind(e.Name) {
		case resolve.TaxID, resolve.Registration, resolve.LEI, resolve.Document:
			if l.Class == resolve.Identity && e.Bits > 0 && e.Holders <= resolve.DefaultWeights().Hub.Full {
				return true
			}
		}
		if e.Name == "ownership" && e.Verified {
			return true
		}
	}
	return false
}

// 20,000 customers behind one registered agent have its address, phone, card,
// network and even a number in common. Nobody is linked by that.
func TestHubJoinsNobody(t *testing.T) {
	customers := 2000
	if os.Getenv("FLOPWATCH_LONG") != "" {
		customers = 20_000
	}
	h := hasher()
	r := resolve.NewRegister(resolve.DefaultWeights())
	var records []resolve.Record
	add := func(rec *resolve.Record, k resolve.Kind, scheme, text string) {
		id, ok := h.Identifier(k, scheme, text, "US")
		if !ok {
			t.Fatalf("%s %s is refused", k, text)
		}
		rec.Identifiers = append(rec.Identifiers, id)
	}
	profile := registertest.Tuning(customers)
	for i, p := range profile.Register() {
		rec := resolve.Record{Party: p.ID, Customer: p.Customer, Names: h.Names(fmt.Sprintf("%s %d", p.Name, i), false), Countries: []string{"US"}}
		add(&rec, resolve.Address, "", "1209 Agent Street, Suite 4, Wilmington")
		add(&rec, resolve.Phone, "", "+1 302 555 0100")
		add(&rec, resolve.Card, "", "5500 0000 0000 3141")
		add(&rec, resolve.IP, "", "203.0.114.9")
		add(&rec, resolve.Registration, "US", "87654329")
		records = append(records, rec)
	}
	r.Load(records[:len(records)-1], nil)
	began := time.Now()
	r.Put(records[len(records)-1])
	t.Logf("%d customers; the last was added in %s", len(records), time.Since(began))
	links := r.Links()
	_, largest := measure(profile.Register(), links)
	if len(links) > customers/100 || largest > 5 {
		t.Errorf("%d links, the largest set has %d", len(links), largest)
	}
}

func BenchmarkLoad(b *testing.B) {
	records := registertest.Records(registertest.Reporting(100_000).Register(), hasher())
	for b.Loop() {
		resolve.NewRegister(resolve.DefaultWeights()).Load(records, nil)
	}
}

// One more party in a register of 100,000.
func BenchmarkPut(b *testing.B) {
	records := registertest.Records(registertest.Reporting(101_000).Register(), hasher())
	r := resolve.NewRegister(resolve.DefaultWeights())
	r.Load(records[:100_000], nil)
	var worst time.Duration
	used := usage()
	b.ResetTimer()
	n := 0
	for b.Loop() {
		began := time.Now()
		r.Put(records[100_000+n%1000])
		worst = max(worst, time.Since(began))
		n++
	}
	b.ReportMetric(float64(worst)/1e6, "worst-ms")
	b.ReportMetric(float64((usage()-used).Nanoseconds())/1e6/float64(n), "cpu-ms/op")
}
