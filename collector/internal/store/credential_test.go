package store

import (
	"database/sql"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

var credentialTime = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func withUsers(t *testing.T, ids ...string) *Store {
	t.Helper()
	s := open(t, t.TempDir())
	for _, id := range ids {
		if err := s.AddUser(t.Context(), id, id[4:], []permission.Role{permission.Analyst}, "hash", credentialTime); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func TestSecondFactorIsUsedOnce(t *testing.T) {
	s := withUsers(t, "usr_ana")
	ctx := t.Context()
	if _, ok, err := s.SecondFactor(ctx, "usr_ana"); ok || err != nil {
		t.Fatalf("%v %v", ok, err)
	}
	want := permission.SecondFactor{Sealed: []byte{1, 0, 255}, Step: 7, Recovery: []string{"aa", "bb", "cc"}, Made: time.Unix(0, credentialTime.UnixNano())}
	if err := s.PutSecondFactor(ctx, "usr_ana", want); err != nil {
		t.Fatal(err)
	}
	got, ok, err := s.SecondFactor(ctx, "usr_ana")
	if d := cmp.Diff(want, got); d != "" || !ok || err != nil {
		t.Error(d, ok, err)
	}
	// The same code in two places at once is good in one.
	var taken atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if ok, err := s.UseStep(ctx, "usr_ana", 8); err != nil {
				t.Error(err)
			} else if ok {
				taken.Add(1)
			}
		})
		all.Go(func() {
			if ok, err := s.UseRecovery(ctx, "usr_ana", "bb"); err != nil {
				t.Error(err)
			} else if ok {
				taken.Add(100)
			}
		})
	}
	all.Wait()
	if taken.Load() != 101 {
		t.Errorf("taken %d", taken.Load())
	}
	for step, want := range map[int64]bool{7: false, 8: false, -1: false} {
		if ok, err := s.UseStep(ctx, "usr_ana", step); ok != want || err != nil {
			t.Errorf("step %d: %v %v", step, ok, err)
		}
	}
	if ok, err := s.UseRecovery(ctx, "usr_nobody", "aa"); ok || err != nil {
		t.Errorf("nobody's: %v %v", ok, err)
	}
	if got, _, err := s.SecondFactor(ctx, "usr_ana"); err != nil || !slices.Equal(got.Recovery, []string{"aa", "cc"}) {
		t.Errorf("%v %v", got, err)
	}
	if err := s.ChangeUser(ctx, "usr_ana", func(a *Account) error { a.DropFactor = true; return nil }); err != nil {
		t.Error(err)
	}
	if _, ok, err := s.SecondFactor(ctx, "usr_ana"); ok || err != nil {
		t.Errorf("%v %v", ok, err)
	}
	if c := checkAudit(t, s); !c.Intact {
		t.Errorf("%+v", c)
	}
}

func TestAccountsOfOneHumanAreJoinedForGood(t *testing.T) {
	s := withUsers(t, "usr_a", "usr_b", "usr_c", "usr_d")
	ctx := t.Context()
	accounts := func(id string) []string {
		t.Helper()
		u, ok, err := s.User(ctx, id)
		if !ok || err != nil {
			t.Fatalf("%v %v", ok, err)
		}
		return u.Accounts
	}
	if got := accounts("usr_a"); len(got) != 0 {
		t.Errorf("%q", got)
	}
	for _, pair := range [][2]string{{"usr_a", "usr_b"}, {"usr_c", "usr_d"}, {"usr_b", "usr_c"}, {"usr_a", "usr_d"}} {
		if err := s.SamePerson(ctx, pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"usr_a", "usr_b", "usr_c", "usr_d"} {
		if got := accounts(id); !slices.Equal(got, []string{"usr_a", "usr_b", "usr_c", "usr_d"}) {
			t.Errorf("%s: %q", id, got)
		}
	}
	if err := s.SamePerson(ctx, "usr_a", "usr_nobody"); !errors.Is(err, ErrNoUser) {
		t.Error(err)
	}
}

func TestIdentities(t *testing.T) {
	s := withUsers(t, "usr_ana")
	ctx := t.Context()
	if _, err := s.Identity(ctx, "https://id.example", "1"); !errors.Is(err, ErrNoIdentity) {
		t.Error(err)
	}
	if err := s.AddIdentity(ctx, "usr_x", "ana", "https://id.example", "1", nil, credentialTime); !errors.Is(err, ErrLoginTaken) {
		t.Error(err)
	}
	if err := s.AddIdentity(ctx, "usr_x", "ann", "https://id.example", "1", []permission.Role{permission.Viewer}, credentialTime); err != nil {
		t.Fatal(err)
	}
	if err := s.AddIdentity(ctx, "usr_y", "anne", "https://id.example", "1", nil, credentialTime); err == nil {
		t.Error("two accounts of one identity")
	}
	for subject, want := range map[string]string{"1": "usr_x", "2": "", "": ""} {
		got, err := s.Identity(ctx, "https://id.example", subject)
		if got != want || (want == "") != errors.Is(err, ErrNoIdentity) {
			t.Errorf("%q: %q %v", subject, got, err)
		}
	}
	if u, hash, ok, err := s.Credential(ctx, "ann"); !ok || hash != "" || u.ID != "usr_x" || err != nil {
		t.Errorf("%v %q %v %v", u, hash, ok, err)
	}
}

// Networks of a token are kept and protected; tries from elsewhere are counted, and
// some are told in the log. A token that was made for longer than is made today runs
// out as it was made.
func TestTokensOfNetworks(t *testing.T) {
	s := withUsers(t, "usr_ana")
	ctx := t.Context()
	networks, err := permission.ParseNetworks([]string{"192.0.2.0/24", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	long := 365 * 24 * time.Hour
	for hash, token := range map[string]permission.Token{
		"h1": {ID: "tok_1", User: "usr_ana", Name: "bound", Scope: []permission.Action{permission.ReadCases}, Made: credentialTime, Expires: credentialTime.Add(time.Hour), From: networks},
		"h2": {ID: "tok_2", User: "usr_ana", Name: "long", Scope: []permission.Action{permission.ReadCases}, Made: credentialTime, Expires: credentialTime.Add(long)},
	} {
		if err := s.AddToken(ctx, token, hash); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		if err := s.TokenElsewhere(ctx, "tok_1", credentialTime.Add(time.Duration(i)*time.Minute), i != 1); err != nil {
			t.Fatal(err)
		}
	}
	bound, ok, err := s.Token(ctx, "h1")
	if err != nil || !ok || !slices.Equal(bound.From, networks) || bound.Elsewhere != 3 || !bound.ElsewhereLast.Equal(credentialTime.Add(2*time.Minute)) {
		t.Errorf("%+v %v", bound, err)
	}
	other, ok, err := s.Token(ctx, "h2")
	if err != nil || !ok || len(other.From) != 0 || other.Elsewhere != 0 || !other.ElsewhereLast.IsZero() || !other.Holds(credentialTime.Add(long-time.Second)) || other.Holds(credentialTime.Add(long)) {
		t.Errorf("%+v %v", other, err)
	}
	entries, err := NewReader(s, "v0.1.0", false).AuditEntries(ctx, 0, 0)
	told := 0
	for _, e := range entries {
		if e.Action == "api_token.elsewhere" && e.Object == (audit.Object{Kind: "api_token", ID: "tok_1"}) && e.Before == e.After && e.After != "" {
			told++
		}
	}
	if err != nil || told != 2 {
		t.Errorf("%d tries are told in the log: %v", told, err)
	}
	for _, statement := range []string{"UPDATE api_token_network SET networks = '0.0.0.0/0' WHERE token = 'tok_1'", "DELETE FROM api_token_network WHERE token = 'tok_1'"} {
		err := s.update(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, statement)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "as they were made") {
			t.Errorf("%s: %v", statement, err)
		}
	}
	if c := checkAudit(t, s); !c.Intact {
		t.Errorf("%+v", c)
	}
}

func TestTokens(t *testing.T) {
	s := withUsers(t, "usr_ana", "usr_ben")
	ctx := t.Context()
	want := permission.Token{ID: "tok_1", User: "usr_ana", Name: "nightly", Service: true, Scope: []permission.Action{permission.ReadCases, permission.ReadAudit}, Made: credentialTime, Expires: credentialTime.Add(time.Hour)}
	if err := s.AddToken(ctx, want, "h1"); err != nil {
		t.Fatal(err)
	}
	got, ok, err := s.Token(ctx, "h1")
	if d := cmp.Diff(want, got); d != "" || !ok || err != nil {
		t.Error(d, ok, err)
	}
	if _, ok, err := s.Token(ctx, "h2"); ok || err != nil {
		t.Error(ok, err)
	}
	for range 2 {
		if err := s.TokenUsed(ctx, "tok_1", credentialTime.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.RevokeToken(ctx, "tok_1", "usr_ben", credentialTime); !errors.Is(err, ErrNoToken) {
		t.Errorf("another person's: %v", err)
	}
	for i := range 2 { // again changes nothing
		if err := s.RevokeToken(ctx, "tok_1", []string{"usr_ana", ""}[i], credentialTime.Add(time.Duration(i+2)*time.Minute)); err != nil {
			t.Fatal(err)
		}
	}
	for account, n := range map[string]int{"usr_ana": 1, "usr_ben": 0, "": 1} {
		all, err := s.Tokens(ctx, account)
		if err != nil || len(all) != n {
			t.Errorf("%q: %d %v", account, len(all), err)
		}
		if n == 1 && (!all[0].Used.Equal(credentialTime.Add(time.Minute)) || !all[0].Revoked.Equal(credentialTime.Add(2*time.Minute))) {
			t.Errorf("%+v", all[0])
		}
	}
	if c := checkAudit(t, s); !c.Intact {
		t.Errorf("%+v", c)
	}
}

// An enrolment gives no second factor to an account that has one, and its beginning is
// an entry that changes nothing.
func TestAnEnrolmentReplacesNothing(t *testing.T) {
	s := withUsers(t, "usr_ana")
	ctx := audit.With(t.Context(), audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: "usr_ana"}, Action: "user.enrol_begin", Reason: "why"})
	if err := s.NoteEnrolment(ctx, "usr_ana"); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"first", "second"} {
		ok, err := s.AddSecondFactor(ctx, "usr_ana", permission.SecondFactor{Sealed: []byte(secret), Step: 1, Made: time.Unix(0, 1)})
		if ok != (secret == "first") || err != nil {
			t.Errorf("%s: %v %v", secret, ok, err)
		}
	}
	if got, _, err := s.SecondFactor(ctx, "usr_ana"); err != nil || string(got.Sealed) != "first" {
		t.Errorf("%s %v", got.Sealed, err)
	}
	if begun := text(t, s, "SELECT count(*) FROM audit_leaf WHERE kind = 'user' AND object = 'usr_ana' AND action = 'user.enrol_begin'"); !slices.Equal(begun, []string{"1 "}) {
		t.Errorf("%v entries", begun)
	}
}
