package store

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// fakeVault keeps what is sealed in memory.
type fakeVault struct {
	kept map[string]Personal
	err  error
}

func (v *fakeVault) Seal(_ context.Context, all []Personal) error {
	for _, p := range all {
		v.kept[p.ID] = p
	}
	return v.err
}

func (v *fakeVault) Discard(_ context.Context, ids []string) error {
	for _, id := range ids {
		delete(v.kept, id)
	}
	return nil
}

// shellCompany is a US company with two owners, all verified.
func shellCompany() []party.Change {
	year := func(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
	us := party.Is("US")
	person := func(id string) party.Change {
		return party.Change{Object: party.Party{ID: id, Form: party.Person, Citizenship: []party.Stated{us}, PermanentResidence: us, Location: us, Digest: "d-" + id}, Personal: map[string]string{"name": "Name of " + id}, Source: "f:" + id}
	}
	check := func(id string, y int, is control.Answer) party.Change {
		return party.Change{Object: party.Verification{ID: "v-" + id, Party: id, Outcome: party.Verified, USPerson: is, Verifier: "usr_a", At: year(y)}}
	}
	share := func(owner string, low control.Share) party.Change {
		return party.Change{Object: party.Interest{ID: "i-" + owner, Subject: "co", Owner: party.Is(owner), What: party.InShares, Low: low, High: low}, Source: "f:9"}
	}
	return []party.Change{
		{Object: party.Party{ID: "co", Form: party.Organisation, Incorporation: us, PrincipalPlace: us}},
		person("o1"), person("o2"), share("o1", 600_000), share("o2", 400_000),
		check("co", 2026, control.Yes), check("o1", 2026, control.Yes), check("o2", 2026, control.Yes),
		{Object: party.Contract{ID: "cus_co", Party: "co"}, Name: "Co, Inc."},
		{Object: party.Account{ID: "acc_1", Customer: "cus_co", Tenants: []measure.TenantID{"t1", "t2"}}},
	}
}

func TestRecordParties(t *testing.T) {
	s := open(t, t.TempDir())
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	s.opts.Now = func() time.Time { return at }
	v := &fakeVault{kept: map[string]Personal{}}
	if d, err := s.RecordParties(t.Context(), shellCompany(), v, true); err != nil || len(d.New) != 10 || len(v.kept) != 0 || len(stored(t, s)) != 0 {
		t.Fatalf("a dry run: %+v, %v, %d sealed", d, err, len(v.kept))
	}
	d, err := s.RecordParties(t.Context(), shellCompany(), v, false)
	if err != nil || len(d.New) != 10 || len(v.kept) != 2 {
		t.Fatal(d, err)
	}
	c := stored(t, s)["cus_co"]
	if c.Status != party.US || c.Name != "Co, Inc." || !strings.Contains(c.StatusReason, "all its beneficial owners") || len(c.Tenants) != 2 {
		t.Errorf("%+v", c)
	}
	before := revision(t, s)
	if d, err := s.RecordParties(t.Context(), shellCompany(), v, false); err != nil || len(d.Unchanged) != 10 || len(v.kept) != 2 || revision(t, s) != before {
		t.Errorf("a second time: %+v, %v", d, err)
	}
	// In July it is found out that one owner was foreign since March.
	at = at.AddDate(0, 1, 0)
	march := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	cn := party.Is("CN")
	found := []party.Change{
		{Object: party.Party{ID: "o2", Form: party.Person, Citizenship: []party.Stated{cn}, PermanentResidence: cn, Location: cn, Digest: "d-o2"}, From: march},
		{Object: party.Verification{ID: "v-o2b", Party: "o2", Outcome: party.Verified, USPerson: control.No, Verifier: "usr_a", At: march}},
	}
	if _, err := s.RecordParties(t.Context(), found, v, false); err != nil {
		t.Fatal(err)
	}
	if c := stored(t, s)["cus_co"]; c.Status != party.Foreign || !strings.Contains(c.StatusReason, "o2 (40 %)") {
		t.Errorf("%+v", c)
	}
	for _, q := range []struct {
		valid, known time.Time
		want         string
	}{{march.AddDate(0, 1, 0), at.AddDate(0, 0, -1), "US"}, {march.AddDate(0, 1, 0), at, "CN"}, {march.AddDate(0, 0, -1), at, "US"}} {
		snapshot, err := s.Parties(t.Context(), q.valid, q.known)
		if err != nil {
			t.Fatal(err)
		}
		if got := snapshot.Parties["o2"].Citizenship[0].Value; got != q.want {
			t.Errorf("citizenship on %s as known on %s: %s, want %s", q.valid, q.known, got, q.want)
		}
		if snapshot.Parties["o2"].Sealed == "" {
			t.Error("where the personal data are is forgotten")
		}
	}
	if c := checkAudit(t, s); !strings.Contains(strings.Join(c.Problems, ""), "checkpoint") && len(c.Problems) > 0 {
		t.Errorf("audit: %+v", c)
	}
}

func TestRecordPartiesIsWholeOrNothing(t *testing.T) {
	s := open(t, t.TempDir())
	v := &fakeVault{kept: map[string]Personal{}}
	bad := append(shellCompany(), party.Change{Object: party.Interest{ID: "x", Subject: "co", Owner: party.Is("o1"), What: party.InShares, Low: 100_000, High: 100_000}, Source: "f:12"},
		party.Change{Object: party.Interest{ID: "y", Subject: "co", Owner: party.Is("co"), What: party.InVotes}, Source: "f:13"},
		party.Change{Object: party.Interest{ID: "y", Subject: "co", Owner: party.Is("ghost")}, Source: "f:14"},
		party.Change{Object: party.Contract{ID: "cus_o", Party: "o1"}, Name: "Violet", Source: "f:15"},
		party.Change{Object: party.Account{ID: "acc_2", Customer: "cus_co", Tenants: []measure.TenantID{"t1"}}, Source: "f:16"})
	_, err := s.RecordParties(t.Context(), bad, v, false)
	for _, want := range []string{"f:12: share: makes 110.0000 %", "f:13: owner: is the subject itself", "f:14: interest_id: is there twice", "f:15: name: must be empty", "f:16: tenants: one of"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	v.err = errors.New("disk full")
	if _, err := s.RecordParties(t.Context(), shellCompany(), v, false); !errors.Is(err, v.err) {
		t.Error(err)
	}
	v.err = nil
	s.opts.Now = func() time.Time { panic("stop here") }
	all, err := s.Records(t.Context())
	if err != nil || len(all) != 0 || len(v.kept) != 0 || len(stored(t, s)) != 0 {
		t.Errorf("something is there: %d records, %d sealed, %v", len(all), len(v.kept), err)
	}
	s.opts.Now = time.Now
	if _, err := s.RecordParties(t.Context(), shellCompany(), nil, false); !errors.Is(err, ErrNoSealer) {
		t.Errorf("without a vault: %v", err)
	}
}

// A list of customers and records of parties tell of different customers, and
// both have a history.
func TestListsAndRecords(t *testing.T) {
	s := open(t, t.TempDir())
	put(t, s, alpha, beta)
	if _, err := s.RecordParties(t.Context(), shellCompany(), &fakeVault{kept: map[string]Personal{}}, false); err == nil || !strings.Contains(err.Error(), "belongs to another account") {
		t.Fatalf("two have one tenant: %v", err)
	}
	less := alpha
	less.Tenants = nil
	put(t, s, less)
	if _, err := s.RecordParties(t.Context(), shellCompany(), &fakeVault{kept: map[string]Personal{}}, false); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]party.Customer{"a": less, "b": beta, "cus_co": stored(t, s)["cus_co"]}, stored(t, s)); d != "" {
		t.Errorf("the list is changed:\n%s", d)
	}
	_, err := s.PutCustomers(t.Context(), []party.Customer{{ID: "cus_co", Name: "n", Status: party.US}}, false)
	if err == nil || !strings.Contains(err.Error(), "has a recorded party") {
		t.Errorf("a list overrides facts: %v", err)
	}
	all, err := s.Records(t.Context())
	if err != nil || all[0].Object.Key() != "a" || all[0].From != party.Ever {
		t.Errorf("%+v, %v", all, err)
	}
}

// With time alone a verification expires, and the customer is no longer known to be a US person.
func TestStatusesExpire(t *testing.T) {
	s := open(t, t.TempDir())
	at := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	s.opts.Now = func() time.Time { return at }
	changes := shellCompany()
	v := changes[6].Object.(party.Verification)
	v.ValidUntil = at.AddDate(0, 1, 0)
	changes[6].Object = v
	if _, err := s.RecordParties(t.Context(), changes, &fakeVault{kept: map[string]Personal{}}, false); err != nil {
		t.Fatal(err)
	}
	if changed, err := s.RefreshStatuses(t.Context()); err != nil || changed {
		t.Error(changed, err)
	}
	at = at.AddDate(0, 1, 0)
	changed, err := s.RefreshStatuses(t.Context())
	if c := stored(t, s)["cus_co"]; err != nil || !changed || c.Status != party.Undetermined || !strings.Contains(c.StatusReason, "expired") {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestRevealsAndFeedsAreLogged(t *testing.T) {
	s := open(t, t.TempDir())
	if err := s.LogReveal(t.Context(), "o1", []string{"name"}, "the case asks for it"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if fresh, err := s.LogFeed(t.Context(), "vendor/e1", 1, "00"); err != nil || fresh != want {
			t.Error(fresh, err)
		}
	}
	var n int
	if err := s.read.QueryRow("SELECT count(*) FROM audit_leaf WHERE action = 'personal_data.reveal' OR kind = 'party_feed'").Scan(&n); err != nil || n != 2 {
		t.Errorf("%d entries, %v", n, err)
	}
}
