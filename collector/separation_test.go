package collector

import (
	"bytes"
	"context"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/oidc"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// What counts is the human: who proposed cannot approve, in another role, through a
// second account, nor through a token; and no token approves anything.
func TestWhoProposedCannotApproveByAnyWay(t *testing.T) {
	if storetest.Postgres() {
		t.Skip("what is asked here does not depend on the engine")
	}
	o := openOffice(t, time.Now().Truncate(time.Second))
	o.signal("fnd_00000001", "fnd_00000004")
	account := func(login string, roles ...string) string {
		t.Helper()
		u := done[apitypes.User](o, "", http.MethodPost, "/v1/users", "", map[string]any{"login": login, "password": testPassword, "roles": roles})
		o.token[login] = o.sessionOf(login)
		return u.ID
	}
	both := account("both", "analyst", "senior-reviewer", "policy-author", "policy-approver")
	second := account("second", "senior-reviewer", "policy-approver")
	account("third", "senior-reviewer", "policy-approver")
	account("root", "admin")
	approve := func(who string, c apitypes.Case) (int, string) {
		t.Helper()
		status, text := o.ask(who, http.MethodPost, "/v1/cases/"+c.ID+"/approvals", strconv.FormatInt(c.Version, 10), map[string]string{"digest": c.Decision.Digest})
		return status, string(text)
	}
	propose := func(who, finding string) apitypes.Case {
		t.Helper()
		c := done[apitypes.Case](o, who, http.MethodPost, "/v1/cases", "", map[string]string{"finding": finding, "reason": "to look"})
		c = done[apitypes.Case](o, who, http.MethodPost, "/v1/cases/"+c.ID+"/assignments", strconv.FormatInt(c.Version, 10), map[string]string{"to": both})
		return done[apitypes.Case](o, who, http.MethodPost, "/v1/cases/"+c.ID+"/proposals", strconv.FormatInt(c.Version, 10), map[string]string{"outcome": "not reportable", "code": "BELOW", "reason": "below the line"})
	}
	first := propose("both", "fnd_00000001")
	if status, text := approve("both", first); status != http.StatusForbidden || !strings.Contains(text, approval.ErrSelf.Error()) {
		t.Errorf("the proposer in another role: %d %s", status, text)
	}
	token := done[apitypes.MadeToken](o, "both", http.MethodPost, "/v1/tokens", "", apitypes.NewToken{Name: "x", Scope: []string{"read-cases", "work-on-cases", "propose-decision", "draft-policy", "read-policy"}, Days: 1})
	o.token["both's token"] = token.Text
	if status, _ := approve("both's token", first); status != http.StatusForbidden {
		t.Errorf("the proposer's token: %d", status)
	}
	third := done[apitypes.MadeToken](o, "third", http.MethodPost, "/v1/tokens", "", apitypes.NewToken{Name: "x", Scope: []string{"read-cases", "work-on-cases"}, Days: 1})
	o.token["third's token"] = third.Text
	if status, _ := approve("third's token", first); status != http.StatusForbidden {
		t.Errorf("somebody else's token: %d", status)
	}
	for _, scope := range []string{"approve", "approve-policy", "approve-exemption", "decide-link", "record-filing", "reveal-personal-data"} {
		if status, text := o.ask("third", http.MethodPost, "/v1/tokens", "", apitypes.NewToken{Name: "x", Scope: []string{scope}, Days: 1}); status != http.StatusUnprocessableEntity || !strings.Contains(string(text), "never for a token") {
			t.Errorf("a token may %s: %d %s", scope, status, text)
		}
	}
	// The second account is known to be of the same human: now, and for what was
	// proposed before that was known.
	done[any](o, "root", http.MethodPost, "/v1/users/"+second+"/changes", "", map[string]any{"same_person_as": both, "reason": "both are Ana"})
	if status, text := approve("second", first); status != http.StatusForbidden || !strings.Contains(text, approval.ErrSelf.Error()) {
		t.Errorf("the second account: %d %s", status, text)
	}
	// What a token proposes is its maker's proposal.
	byToken := propose("both's token", "fnd_00000004")
	if !slices.Equal(byToken.Decision.ProposedBy, []string{both}) {
		t.Errorf("proposed by %q", byToken.Decision.ProposedBy)
	}
	for _, who := range []string{"both", "second"} {
		if status, text := approve(who, byToken); status != http.StatusForbidden || !strings.Contains(text, approval.ErrSelf.Error()) {
			t.Errorf("%s, of what their token proposed: %d %s", who, status, text)
		}
	}
	for _, c := range []apitypes.Case{first, byToken} {
		if status, text := approve("third", c); status/100 != 2 {
			t.Errorf("another human: %d %s", status, text)
		}
	}
	// And of a policy.
	policy := done[apitypes.Policy](o, "both", http.MethodPost, "/v1/policies", "", map[string]string{"kind": "pack", "file": "lines.yaml", "text": linesPack(t)})
	done[any](o, "both", http.MethodPost, "/v1/policies/"+policy.ID+"/simulations", "", map[string]any{})
	o.eventually("the simulation", func() bool {
		policy = done[apitypes.Policy](o, "both", http.MethodGet, "/v1/policies/"+policy.ID, "", nil)
		return policy.Simulation != ""
	})
	policy = done[apitypes.Policy](o, "both", http.MethodPost, "/v1/policies/"+policy.ID+"/proposals", strconv.FormatInt(policy.Version, 10), map[string]string{"reason": "our line"})
	ask := func(who string) (int, []byte) {
		return o.ask(who, http.MethodPost, "/v1/policies/"+policy.ID+"/approvals", strconv.FormatInt(policy.Version, 10), map[string]string{"digest": policy.Proposal})
	}
	for _, who := range []string{"both", "second", "both's token"} {
		if status, text := ask(who); status != http.StatusForbidden {
			t.Errorf("policy by %s: %d %s", who, status, text)
		}
	}
	// Another human, who signed in too long ago, and then anew.
	o.clock.set(o.clock.now().Add(approval.FreshSignIn + time.Second))
	if status, text := ask("third"); status != http.StatusForbidden || !bytes.Contains(text, []byte(approval.ErrSignIn.Error())) {
		t.Errorf("an old sign-in: %d %s", status, text)
	}
	o.token["third"] = o.sessionOf("third")
	if status, text := ask("third"); status/100 != 2 {
		t.Errorf("another human: %d %s", status, text)
	}
}

func TestTokensOfTheCollector(t *testing.T) {
	o := openOffice(t, time.Now().Truncate(time.Second))
	o.hire("analyst", "admin")
	o.signIn("analyst", "admin")
	made := done[apitypes.MadeToken](o, "analyst", http.MethodPost, "/v1/tokens", "", apitypes.NewToken{Name: "nightly", Scope: []string{"read-cases", "read-aggregates"}, Days: 90})
	if made.State != "active" || made.Expires.Sub(made.Made) != permission.MaxTokenLife {
		t.Errorf("%+v", made)
	}
	o.token["token"] = made.Text
	for path, want := range map[string]int{"/v1/cases": 200, "/v1/me": 200, "/v1/reports": 404, "/v1/policies": 403, "/v1/tokens": 403} {
		if status, text := o.ask("token", http.MethodGet, path, "", nil); status != want {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	mine := done[apitypes.List[apitypes.Token]](o, "analyst", http.MethodGet, "/v1/tokens", "", nil).Items
	if len(mine) != 1 || mine[0].Used.IsZero() {
		t.Errorf("%+v", mine)
	}
	for _, bad := range []apitypes.NewToken{{Name: "x", Scope: []string{"administer"}, Days: 1}, {Name: "x", Scope: []string{"read-cases"}, Days: 91}, {Name: "x", Scope: []string{"read-cases"}, Days: 1, From: []string{"192.0.2.7/24"}}, {Name: "x", Scope: []string{"everything"}, Days: 1}, {Name: "", Scope: []string{"read-cases"}, Days: 1}} {
		if status, _ := o.ask("analyst", http.MethodPost, "/v1/tokens", "", bad); status != http.StatusUnprocessableEntity {
			t.Errorf("%+v: %d", bad, status)
		}
	}
	if all := done[apitypes.List[apitypes.Token]](o, "admin", http.MethodGet, "/v1/tokens?all=true", "", nil).Items; len(all) != 1 {
		t.Errorf("%d tokens of everybody", len(all))
	}
	if status, _ := o.ask("analyst", http.MethodGet, "/v1/tokens?all=true", "", nil); status != http.StatusForbidden {
		t.Errorf("an analyst sees everybody's: %d", status)
	}
	// One for another network is refused here, and its maker is told.
	bound := done[apitypes.MadeToken](o, "analyst", http.MethodPost, "/v1/tokens", "", apitypes.NewToken{Name: "at home", Scope: []string{"read-cases"}, Days: 1, From: []string{"192.0.2.0/24"}})
	o.token["bound"] = bound.Text
	for range 3 {
		if status, text := o.ask("bound", http.MethodGet, "/v1/cases", "", nil); status != http.StatusUnauthorized {
			t.Errorf("from elsewhere: %d %s", status, text)
		}
	}
	for _, shown := range done[apitypes.List[apitypes.Token]](o, "analyst", http.MethodGet, "/v1/tokens", "", nil).Items {
		if shown.ID == bound.ID && (shown.Elsewhere != 3 || shown.ElsewhereLast.IsZero() || !slices.Equal(shown.From, []string{"192.0.2.0/24"}) || !shown.Used.IsZero()) {
			t.Errorf("%+v", shown)
		}
	}
	here := done[apitypes.MadeToken](o, "analyst", http.MethodPost, "/v1/tokens", "", apitypes.NewToken{Name: "here", Scope: []string{"read-cases"}, Days: 1, From: []string{"127.0.0.0/8", "::1"}})
	o.token["here"] = here.Text
	if status, text := o.ask("here", http.MethodGet, "/v1/cases", "", nil); status != http.StatusOK {
		t.Errorf("from here: %d %s", status, text)
	}
	done[any](o, "admin", http.MethodPost, "/v1/tokens/"+made.ID+"/revocations", "", nil)
	if status, _ := o.ask("token", http.MethodGet, "/v1/cases", "", nil); status != http.StatusUnauthorized {
		t.Errorf("revoked: %d", status)
	}
	o.clock.set(o.clock.now().Add(approval.FreshSignIn + time.Second))
	if status, _ := o.ask("analyst", http.MethodPost, "/v1/tokens", "", apitypes.NewToken{Name: "x", Scope: []string{"read-cases"}, Days: 1}); status != http.StatusForbidden {
		t.Errorf("a token without a fresh sign-in: %d", status)
	}
	// A reset of the second factor ends the sessions, and asks for a new one.
	users := done[apitypes.List[apitypes.User]](o, "admin", http.MethodGet, "/v1/users", "", nil).Items
	at := slices.IndexFunc(users, func(u apitypes.User) bool { return u.Login == "analyst" })
	if !users[at].SecondFactor {
		t.Errorf("%+v", users[at])
	}
	done[any](o, "admin", http.MethodPost, "/v1/users/"+users[at].ID+"/changes", "", map[string]any{"reset_second_factor": true, "reason": "lost the app"})
	if status, _ := o.ask("analyst", http.MethodGet, "/v1/me", "", nil); status != http.StatusUnauthorized {
		t.Errorf("after a reset: %d", status)
	}
	if status, text := o.ask("", http.MethodPost, "/v1/sessions", "", map[string]string{"login": "analyst", "password": testPassword}); status != http.StatusForbidden || !bytes.Contains(text, []byte(apitypes.ProblemEnrolment)) {
		t.Errorf("%d %s", status, text)
	}
}

func TestAccountsFollowTheGroupsOfTheProvider(t *testing.T) {
	s, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "flopwatch.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	o := outsiders{s, time.Now}
	admit := func(subject, login string, roles ...permission.Role) permission.User {
		t.Helper()
		u, _, err := o.Admit(context.Background(), oidc.Identity{Issuer: "https://id.example", Subject: subject, Login: login, Roles: roles})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if u := admit("0", "nobody"); u.ID != "" {
		t.Errorf("an account without a role: %+v", u)
	}
	ana := admit("1", "Ana.Analyst@example.test", permission.Analyst)
	if ana.Login != "ana.analyst" || !slices.Equal(ana.Roles, []permission.Role{permission.Analyst}) {
		t.Errorf("%+v", ana)
	}
	if u := admit("1", "another name", permission.Viewer); u.ID != ana.ID || u.Login != "ana.analyst" || !slices.Equal(u.Roles, []permission.Role{permission.Viewer}) {
		t.Errorf("%+v", u)
	}
	if u := admit("1", ""); u.ID != ana.ID || len(u.Roles) != 0 {
		t.Errorf("%+v", u)
	}
	if u, _, err := s.User(t.Context(), ana.ID); err != nil || len(u.Roles) != 0 {
		t.Errorf("kept %+v, %v", u, err)
	}
	// The same name is not the same person.
	if u := admit("2", "ana.analyst@elsewhere.test", permission.Viewer); u.ID == ana.ID || !strings.HasPrefix(u.Login, "ana.analyst-") {
		t.Errorf("%+v", u)
	}
	for _, name := range []string{"", "@", "名前", "1", "--", strings.Repeat("x", 300)} {
		if u := admit("3"+name, name, permission.Viewer); u.Login == "" || len(u.Login) > 40 {
			t.Errorf("%q: %+v", name, u)
		}
	}
}
