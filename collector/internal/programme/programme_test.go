package programme_test

import (
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the zones of the release, wherever the test runs

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/programme"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func ago(days int) time.Time { return now.AddDate(0, 0, -days) }

// sound is a programme without a gap: one foreign customer of whom all is held.
func sound() (party.Snapshot, programme.Beside) {
	s := party.NewSnapshot(now, now)
	de := party.Is("DE")
	all := []string{"name", "address"}
	for _, o := range []party.Object{
		party.Party{ID: "co", Form: party.Organisation, Incorporation: de, PrincipalPlace: de, Headquarters: de, UltimateParent: party.Is("co"), ParentHeadquarters: de, Holds: all},
		party.Party{ID: "own", Form: party.Person, Citizenship: []party.Stated{de}, PermanentResidence: de, Location: de, Holds: all},
		party.Interest{ID: "i", Subject: "co", Owner: party.Is("own"), What: party.InShares, Low: control.Whole, High: control.Whole},
		party.Contract{ID: "cus", Party: "co", PlacesOfUse: []party.Stated{de}},
		party.Account{ID: "acc", Customer: "cus", Opened: ago(100)},
		party.Verification{ID: "v1", Party: "co", Method: party.Documentary, Outcome: party.Verified, USPerson: control.No, At: ago(100)},
		party.Verification{ID: "v2", Party: "own", Method: party.Documentary, Outcome: party.Verified, USPerson: control.No, At: ago(100)},
	} {
		s.Put(o)
	}
	for i, d := range []party.Identifier{{Party: "co", Type: party.Card}, {Party: "co", Type: party.Email}, {Party: "co", Type: party.Phone}, {Party: "own", Type: party.Email}, {Party: "own", Type: party.Phone}} {
		d.ID = string(rune('a' + i))
		s.Put(d)
	}
	for _, st := range programme.Shipped().Certification.Statements {
		s.Put(party.Review{ID: "r-" + st.ID, Of: "programme", What: st.ID, At: ago(10), By: "usr_a"})
	}
	return s, programme.Beside{Seen: map[string]time.Time{"acc": ago(1)}}
}

func book(t testing.TB, s party.Snapshot, beside programme.Beside) *programme.Book {
	t.Helper()
	zone, err := time.LoadLocation(programme.Shipped().Zone)
	if err != nil {
		t.Fatal(err)
	}
	b, err := programme.New(programme.Shipped(), zone, s, beside)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func areas(b *programme.Book) (all []string) {
	for _, g := range b.Gaps() {
		if g.Citation == "" || g.Title == "" || g.Advice == "" {
			all = append(all, g.Area+" says too little")
		}
		all = append(all, g.Area+": "+strings.Join(g.Subjects, " "))
	}
	return all
}

func TestSoundProgrammeHasNoGap(t *testing.T) {
	s, beside := sound()
	if got := areas(book(t, s, beside)); len(got) > 0 {
		t.Errorf("gaps: %s", strings.Join(got, "\n"))
	}
}

// Each thing that is wrong shows as its area, and as no other.
func TestGaps(t *testing.T) {
	withParty := func(id string, change func(*party.Party)) func(*party.Snapshot, *programme.Beside) {
		return func(s *party.Snapshot, _ *programme.Beside) {
			p := s.Parties[id]
			change(&p)
			s.Put(p)
		}
	}
	put := func(all ...party.Object) func(*party.Snapshot, *programme.Beside) {
		return func(s *party.Snapshot, _ *programme.Beside) {
			for _, o := range all {
				s.Put(o)
			}
		}
	}
	check := func(v party.Verification) func(*party.Snapshot, *programme.Beside) {
		v.ID, v.Party = "v3", "co"
		return put(v)
	}
	reseller := func(r party.Reseller) func(*party.Snapshot, *programme.Beside) {
		r.ID, r.Party = "r", "co"
		return put(r)
	}
	good := party.Reseller{Programme: party.OwnProgramme, Disclosure: party.FullDisclosure, CopyHeld: ago(5), Attested: ago(5)}
	exemption := party.Exemption{ID: "x", Scope: "customer", Of: "cus", From: ago(20), To: now.AddDate(1, 0, 0), Authors: []string{"usr_a"}, Approvals: []party.Approval{{By: "usr_b"}, {By: "usr_c"}}}
	for name, c := range map[string]struct {
		change func(*party.Snapshot, *programme.Beside)
		want   []string
	}{
		"address":             {withParty("co", func(p *party.Party) { p.Holds = []string{"name"} }), []string{"field.address: cus"}},
		"owner's name":        {withParty("own", func(p *party.Party) { p.Holds = []string{"address"} }), []string{"field.name: cus"}},
		"not held, with why":  {withParty("co", func(p *party.Party) { p.Holds, p.NotHeld = []string{"name"}, []string{"address: refuses"} }), nil},
		"e-mail":              {put(party.Identifier{ID: "b", Ended: true}), []string{"field.email: cus"}},
		"payment":             {put(party.Identifier{ID: "a", Ended: true}), []string{"field.payment: cus"}},
		"law":                 {withParty("co", func(p *party.Party) { p.Incorporation = party.Stated{} }), []string{"field.law: cus"}},
		"never accessed":      {func(_ *party.Snapshot, b *programme.Beside) { b.Seen = nil }, []string{"field.access_log: cus"}},
		"places of use":       {put(party.Contract{ID: "cus", Party: "co"}), []string{"field.places_of_use: cus"}},
		"no party":            {put(party.Contract{ID: "cus2", Declared: party.US}), []string{"party.none: cus2"}},
		"headquarters":        {withParty("co", func(p *party.Party) { p.Headquarters = party.NotKnown("refuses") }), []string{"headquarters.unknown: cus"}},
		"parent in the group": {withParty("co", func(p *party.Party) { p.ParentHeadquarters = party.Is("CN") }), []string{"headquarters.listed: cus"}},
		"owners":              {put(party.Interest{ID: "i", Subject: "co", Owner: party.NotKnown("refuses"), What: party.InShares, Low: control.Whole, High: control.Whole}), []string{"owners.unknown: cus"}},
		"pending":             {check(party.Verification{Outcome: party.Pending, At: ago(1), Supersedes: "v1"}), nil}, // the one before still holds
		"expired":             {check(party.Verification{Outcome: party.Verified, USPerson: control.No, At: ago(50), ValidUntil: ago(1)}), []string{"verification.expired: cus"}},
		"expiring":            {check(party.Verification{Outcome: party.Verified, USPerson: control.No, At: ago(50), ValidUntil: now.AddDate(0, 0, 20)}), []string{"verification.expiring: cus"}},
		"failed":              {check(party.Verification{Outcome: party.Failed, At: ago(1)}), []string{"verification.failed: cus", "verification.unresolved: cus"}},
		"failed, restricted": {func(s *party.Snapshot, b *programme.Beside) {
			check(party.Verification{Outcome: party.Failed, At: ago(1), Resolution: "closing"})(s, b)
			s.Put(party.Restriction{ID: "x", Customer: "cus"})
		}, nil},
		"discrepancy":       {check(party.Verification{Outcome: party.Verified, USPerson: control.No, At: ago(1), Problem: "address"}), []string{"verification.conflict: cus"}},
		"hit":               {put(party.ListHit{ID: "h", Party: "own"}), []string{"screening.open: cus"}},
		"match":             {put(party.ListHit{ID: "h", Party: "co", Disposition: "true_match"}), []string{"screening.match: cus"}},
		"no hit":            {put(party.ListHit{ID: "h", Party: "co", Disposition: "false_match"}), nil},
		"good reseller":     {reseller(good), nil},
		"reseller, nothing": {reseller(party.Reseller{Programme: party.NoProgramme, Disclosure: party.NoDisclosure}), []string{"reseller.programme: r", "reseller.copy: r", "reseller.attestation: r", "reseller.opaque: r"}},
		"attested long ago": {reseller(party.Reseller{Programme: party.OwnProgramme, Disclosure: party.FullDisclosure, CopyHeld: ago(5), Attested: ago(400)}), []string{"reseller.attestation: r"}},
		"copy late":         {reseller(party.Reseller{Programme: party.OwnProgramme, Disclosure: party.FullDisclosure, CopyHeld: ago(5), Attested: ago(5), Requested: ago(11)}), []string{"reseller.copy_overdue: r"}},
		"copy in time":      {reseller(party.Reseller{Programme: party.OwnProgramme, Disclosure: party.FullDisclosure, CopyHeld: ago(5), Attested: ago(5), Requested: ago(10)}), nil},
		"failing":           {reseller(party.Reseller{Programme: party.OwnProgramme, Disclosure: party.FullDisclosure, CopyHeld: ago(5), Attested: ago(5), Failing: ago(30)}), []string{"reseller.failing: r"}},
		"failing too long":  {reseller(party.Reseller{Programme: party.OwnProgramme, Disclosure: party.FullDisclosure, CopyHeld: ago(5), Attested: ago(5), Failing: ago(31)}), []string{"reseller.end_overdue: r", "reseller.failing: r"}},
		"ended, still used": {func(s *party.Snapshot, b *programme.Beside) {
			reseller(party.Reseller{Ended: ago(1)})(s, b)
			s.Put(party.Account{ID: "acc", Customer: "cus", Reseller: []string{"r"}})
		}, []string{"reseller.ended: r"}},
		"exemption":         {put(exemption), nil},
		"exemption, one":    {put(party.Exemption{ID: "x", Approvals: exemption.Approvals[:1]}), []string{"exemption.approval: x"}},
		"exemption, over":   {put(party.Exemption{ID: "x", Approvals: exemption.Approvals, From: ago(20), To: now}), []string{"exemption.over: x"}},
		"exemption, review": {put(party.Exemption{ID: "x", Approvals: exemption.Approvals, From: ago(400), To: now.AddDate(1, 0, 0)}), []string{"exemption.review: x"}},
		"statement, old":    {put(party.Review{ID: "r-contact", Of: "programme", What: "contact", At: ago(365)}), []string{"certification.statement: contact"}},
		"kept too long":     {put(party.Account{ID: "acc", Customer: "cus", Opened: ago(5000), Closed: ago(1900)}), nil}, // it was accessed yesterday
		"kept too long, truly": {func(s *party.Snapshot, b *programme.Beside) {
			s.Put(party.Account{ID: "acc", Customer: "cus", Closed: ago(1900)})
			b.Seen = map[string]time.Time{"acc": ago(1850)}
		}, []string{"retention.over: cus"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, beside := sound()
			c.change(&s, &beside)
			got := areas(book(t, s, beside))
			for _, want := range c.want {
				if !slices.Contains(got, want) {
					t.Errorf("%q is not told: %v", want, got)
				}
			}
			if len(got) != len(c.want) {
				t.Errorf("%d areas, want %d: %v", len(got), len(c.want), got)
			}
		})
	}
}

// The state table: unverified, pending, verified, expiring, expired; pending to failed.
func TestVerificationStates(t *testing.T) {
	at := func(days int, outcome party.Outcome) party.Verification {
		return party.Verification{ID: string(outcome) + string(rune('a'+days)), Party: "p", Outcome: outcome, At: ago(days)}
	}
	for name, c := range map[string]struct {
		checks []party.Verification
		want   programme.State
	}{
		"nothing":                {nil, programme.Unverified},
		"pending":                {[]party.Verification{at(1, party.Pending)}, programme.Pending},
		"pending, then verified": {[]party.Verification{at(2, party.Pending), at(1, party.Verified)}, programme.Verified},
		"pending, then failed":   {[]party.Verification{at(2, party.Pending), at(1, party.Failed)}, programme.Failed},
		"verified, then pending": {[]party.Verification{at(2, party.Verified), at(1, party.Pending)}, programme.Verified},
		"verified, then failed":  {[]party.Verification{at(2, party.Verified), at(1, party.Failed)}, programme.Failed},
		"failed, then verified":  {[]party.Verification{at(2, party.Failed), at(1, party.Verified)}, programme.Verified},
		"failed, then pending":   {[]party.Verification{at(2, party.Failed), at(1, party.Pending)}, programme.Pending},
		"verified 334 days ago":  {[]party.Verification{at(334, party.Verified)}, programme.Verified},
		"verified 335 days ago":  {[]party.Verification{at(335, party.Verified)}, programme.Expiring},
		"verified 365 days ago":  {[]party.Verification{at(365, party.Verified)}, programme.Expired},
		"expired, pending again": {[]party.Verification{at(400, party.Verified), at(1, party.Pending)}, programme.Expired},
		"what is of a later day": {[]party.Verification{at(-1, party.Verified)}, programme.Unverified},
	} {
		s := party.NewSnapshot(now, now)
		for _, v := range c.checks {
			s.Put(v)
		}
		if got := book(t, s, programme.Beside{}).Verification("p").State; got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

func TestRetention(t *testing.T) {
	s, beside := sound()
	if err := book(t, s, beside).MayErase("co"); err == nil || !strings.Contains(err.Error(), "an account is open") {
		t.Error(err)
	}
	s.Put(party.Account{ID: "acc", Customer: "cus", Closed: ago(1000)})
	if err := book(t, s, beside).MayErase("co"); err == nil || !strings.Contains(err.Error(), "kept until 2031-") {
		t.Error(err) // the last access was yesterday
	}
	beside.Seen = nil
	if err := book(t, s, beside).MayErase("own"); err == nil || !strings.Contains(err.Error(), "kept until 2029-") {
		t.Error(err)
	}
	s.Put(party.Account{ID: "acc", Customer: "cus", Closed: ago(1825)})
	for _, id := range []string{"co", "own"} {
		if err := book(t, s, beside).MayErase(id); err != nil {
			t.Error(err)
		}
	}
	beside.Reported = map[string]time.Time{"cus": ago(1800)}
	if err := book(t, s, beside).MayErase("co"); err == nil || !strings.Contains(err.Error(), "reportable") {
		t.Error(err)
	}
	beside.Reported, beside.OpenCase = nil, map[string]bool{"cus": true}
	if err := book(t, s, beside).MayErase("co"); err == nil || !strings.Contains(err.Error(), "a case is open") {
		t.Error(err)
	}
	beside.OpenCase = nil
	s.Put(party.Hold{ID: "h", Customer: "cus", Reason: "litigation"})
	if err := book(t, s, beside).MayErase("own"); err == nil || !strings.Contains(err.Error(), "legal hold h") {
		t.Error(err)
	}
	if err := book(t, s, beside).MayErase("nobody"); err == nil {
		t.Error("who is not there may be erased")
	}
}

// Ten and thirty calendar days, in the legal zone.
func TestResellerTimers(t *testing.T) {
	s, beside := sound()
	began := time.Date(2026, 10, 2, 3, 30, 0, 0, time.UTC) // 1 October in New York
	s.Put(party.Reseller{ID: "r", Party: "co", Requested: began, Failing: began})
	got := map[string]string{}
	for _, timer := range book(t, s, beside).Resellers()[0].Timers {
		got[timer.Name] = timer.Standing.Due.Date.String() + " " + string(timer.Standing.State)
	}
	if d := cmp.Diff(map[string]string{"copy": "2026-10-11 " + string(clock.Overdue), "end": "2026-10-31 " + string(clock.Overdue)}, got); d != "" {
		t.Error(d)
	}
}

func TestQueue(t *testing.T) {
	s, beside := sound()
	b := book(t, s, beside)
	if q := b.Queue(30); len(q) != 0 {
		t.Errorf("%+v", q)
	}
	if q := b.Queue(300); len(q) != 1 || q[0].Why != "its verification expires" {
		t.Errorf("%+v", q)
	}
	s.Put(party.Verification{ID: "v4", Party: "own", Outcome: party.Verified, USPerson: control.No, At: ago(90), ValidUntil: ago(2)})
	s.Put(party.Contract{ID: "cus2"})
	s.Put(party.Account{ID: "acc2", Customer: "cus2"})
	q := book(t, s, beside).Queue(30)
	if len(q) != 2 || q[0].Customer != "cus2" || q[1].Why != "the verification of its owner own has expired" {
		t.Errorf("%+v", q)
	}
}

func TestCertification(t *testing.T) {
	s, beside := sound()
	s.Put(party.Verification{ID: "f1", Party: "own", Outcome: party.Failed, At: ago(200), Problem: "name"})
	s.Put(party.Verification{ID: "f2", Party: "co", Outcome: party.Failed, At: ago(500)})
	s.Put(party.Contract{ID: "cus2"})
	s.Put(party.Account{ID: "acc2", Customer: "cus2"})
	s.Put(party.Reseller{ID: "r", Party: "co"})
	c := book(t, s, beside).Certification()
	if c.Customers != 2 || c.ForeignCustomers != 1 || c.UndeterminedCustomers != 1 || c.ForeignOwners != 1 || c.OwnersByCountry["DE"] != 1 || c.CustomersByCountry[""] != 1 ||
		!slices.Equal(c.UnverifiedForeignAccounts, []string{"acc2"}) || !slices.Equal(c.ForeignResellers, []string{"r"}) || len(c.FailedVerifications) != 1 || c.Missing != 1 || c.Status != "proposed" {
		t.Errorf("%+v", c)
	}
	s.Put(party.Verification{ID: "v5", Party: "own", Outcome: party.Verified, USPerson: control.No, At: ago(5), Supersedes: "f1", Resolution: "a new document"})
	if c := book(t, s, beside).Certification(); c.Missing != 0 || c.FailedVerifications[0].Resolution != "a new document" {
		t.Errorf("%+v", c)
	}
}

func TestPackIsChecked(t *testing.T) {
	if _, err := programme.Read("p.yaml", []byte("id: x\nversion: 1\ndefinition: {own_percent: 0, foreign_owner: us}\n")); err == nil ||
		!strings.Contains(err.Error(), "never domestic") || !strings.Contains(err.Error(), "own_percent") {
		t.Error(err)
	}
}
