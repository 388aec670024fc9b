package collector

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// granting is the accounts of a collector on a clock of the test: usr_a, usr_b and usr_c
// administer, usr_t only looks.
type granting struct {
	*testing.T
	accounts
	clock *shifted
}

func openGranting(t *testing.T) granting {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flopwatch.db")
	s, err := store.Open(t.Context(), path, store.Options{Postgres: storetest.Database(t, path, func(url string) error { return store.Migrate(t.Context(), url, "") })})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	g := granting{t, accounts{store: s}, &shifted{kept: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}}
	g.now = g.clock.now
	for id, role := range map[string]permission.Role{"usr_a": permission.Admin, "usr_b": permission.Admin, "usr_c": permission.Admin, "usr_t": permission.Viewer} {
		if err := s.AddUser(t.Context(), id, "login-"+id[4:], []permission.Role{role}, "x", g.now()); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

// as is a request by an administrator who has just signed in.
func (g granting) as(id string) context.Context {
	return g.by(permission.Principal{ID: id, Roles: []permission.Role{permission.Admin}, SignedIn: g.now()})
}

func (g granting) by(p permission.Principal) context.Context {
	return audit.With(permission.With(g.Context(), p), audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: p.ID}})
}

// propose proposes a role and returns the grant as it is shown.
func (g granting) propose(by, account, role string) apitypes.RoleGrant {
	g.Helper()
	u, err := g.ProposeGrant(g.as(by), account, apitypes.NewRoleGrant{Roles: []string{role}, Reason: "holidays"})
	at := slices.IndexFunc(u.Grants, func(x apitypes.RoleGrant) bool { return slices.Equal(x.Roles, []string{role}) })
	if err != nil || at < 0 {
		g.Fatalf("%s for %s by %s: %+v %v", role, account, by, u, err)
	}
	return u.Grants[at]
}

func (g granting) change(by, account string, c apitypes.UserChange) apitypes.User {
	g.Helper()
	c.Reason = "because"
	u, err := g.ChangeUser(g.as(by), account, c)
	if err != nil {
		g.Fatal(err)
	}
	return u
}

// has holds the roles of an account against what it is to have.
func (g granting) has(account string, want ...string) {
	g.Helper()
	u, _, err := g.store.User(g.Context(), account)
	if err != nil || !slices.Equal(names(u.Roles), want) {
		g.Errorf("%s has %v, want %v, %v", account, u.Roles, want, err)
	}
}

// refusal holds an error against why something must not be done, and with what status.
func (g granting) refusal(what string, err error, status int, why error) {
	g.Helper()
	var no *httpapi.Refusal
	if !errors.As(err, &no) || no.Status != status || !strings.Contains(no.Why, why.Error()) {
		g.Errorf("%s: %v, want %d %v", what, err, status, why)
	}
}

func TestARoleTakesTwoPeople(t *testing.T) {
	g := openGranting(t)
	waits := g.propose("usr_a", "usr_t", "analyst")
	g.has("usr_t", "viewer")
	if waits.State != "proposed" || waits.Approvers != 2 || waits.Advice != "" || !slices.Equal(waits.Has, []string{"viewer"}) || !slices.Equal(waits.Roles, []string{"analyst"}) || !waits.Lapses.Equal(g.now().Add(permission.GrantLife)) {
		t.Errorf("%+v", waits)
	}
	_, err := g.ProposeGrant(g.as("usr_b"), "usr_t", apitypes.NewRoleGrant{Roles: []string{"analyst", "auditor"}, Reason: "x"})
	g.refusal("the same role again", err, http.StatusConflict, errGrantWaits)
	_, err = g.ProposeGrant(g.as("usr_b"), "usr_t", apitypes.NewRoleGrant{Roles: []string{"viewer"}, Reason: "x"})
	g.refusal("a role that it has", err, http.StatusConflict, errHasRoles)
	_, err = g.ProposeGrant(g.as("usr_b"), "usr_b", apitypes.NewRoleGrant{Roles: []string{"auditor"}, Reason: "x"})
	g.refusal("for oneself", err, http.StatusForbidden, errOwnRole)
	_, err = g.ProposeGrant(g.as("usr_b"), "usr_none", apitypes.NewRoleGrant{Roles: []string{"auditor"}, Reason: "x"})
	g.refusal("for nobody", err, http.StatusNotFound, store.ErrNoUser)

	admin := []permission.Role{permission.Admin}
	for name, c := range map[string]struct {
		by     permission.Principal
		digest string
		status int
		why    error
	}{
		"who proposed":                     {permission.Principal{ID: "usr_a", Roles: admin, SignedIn: g.now()}, waits.Digest, http.StatusForbidden, approval.ErrSelf},
		"another digest":                   {permission.Principal{ID: "usr_b", Roles: admin, SignedIn: g.now()}, strings.Repeat("0", 64), http.StatusConflict, approval.ErrEdited},
		"no digest":                        {permission.Principal{ID: "usr_b", Roles: admin, SignedIn: g.now()}, "", http.StatusConflict, approval.ErrEdited},
		"an old sign-in":                   {permission.Principal{ID: "usr_b", Roles: admin, SignedIn: g.now().Add(-approval.FreshSignIn - 1)}, waits.Digest, http.StatusForbidden, approval.ErrSignIn},
		"a token":                          {permission.Principal{ID: "usr_b", Roles: admin, SignedIn: g.now(), Token: "tok_1", Scope: []permission.Action{permission.Administer}}, waits.Digest, http.StatusForbidden, errNoPerson},
		"the local program":                {permission.Principal{ID: "api-token", Roles: []permission.Role{permission.Machine}}, waits.Digest, http.StatusForbidden, errNoPerson},
		"who gets it":                      {permission.Principal{ID: "usr_t", Roles: admin, SignedIn: g.now()}, waits.Digest, http.StatusForbidden, errOwnGrant},
		"another account of who gets it":   {permission.Principal{ID: "usr_b", Roles: admin, SignedIn: g.now(), Accounts: []string{"usr_b", "usr_t"}}, waits.Digest, http.StatusForbidden, errOwnGrant},
		"another account of who proposed":  {permission.Principal{ID: "usr_b", Roles: admin, SignedIn: g.now(), Accounts: []string{"usr_a", "usr_b"}}, waits.Digest, http.StatusForbidden, approval.ErrSelf},
		"who has no account of this store": {permission.Principal{ID: "usr_none", Roles: admin, SignedIn: g.now()}, waits.Digest, http.StatusForbidden, errNoMoreAdmin},
	} {
		_, err := g.ApproveGrant(g.by(c.by), waits.ID, c.digest)
		g.refusal(name, err, c.status, c.why)
	}
	g.has("usr_t", "viewer")
	given, err := g.ApproveGrant(g.as("usr_b"), waits.ID, waits.Digest)
	if err != nil || given.State != "granted" || given.Decider != "usr_b" || given.Digest != "" {
		t.Errorf("%+v %v", given, err)
	}
	g.has("usr_t", "viewer", "analyst")
	_, err = g.ApproveGrant(g.as("usr_c"), waits.ID, waits.Digest)
	g.refusal("again", err, http.StatusConflict, errGrantOver)
	_, err = g.RefuseGrant(g.as("usr_c"), waits.ID, "late")
	g.refusal("refused afterwards", err, http.StatusConflict, errGrantOver)
	_, err = g.ApproveGrant(g.as("usr_c"), "grt_none", waits.Digest)
	g.refusal("no grant", err, http.StatusNotFound, store.ErrNoGrant)

	// A role is taken away, and somebody barred, by one at once; what is added by the
	// same change waits.
	u := g.change("usr_a", "usr_t", apitypes.UserChange{Roles: []string{"analyst", "auditor"}})
	g.has("usr_t", "analyst")
	if len(u.Grants) != 1 || !slices.Equal(u.Grants[0].Roles, []string{"auditor"}) {
		t.Errorf("%+v", u)
	}
	barred := true
	if u := g.change("usr_b", "usr_t", apitypes.UserChange{Disabled: &barred}); !u.Disabled {
		t.Errorf("%+v", u)
	}
	if over, err := g.RefuseGrant(g.as("usr_a"), u.Grants[0].ID, "not needed"); err != nil || over.State != "refused" || over.Why != "not needed" {
		t.Errorf("%+v %v", over, err)
	}
	g.has("usr_t", "analyst")

	// An account that is made has no role until a second person approves.
	made, err := g.AddUser(g.as("usr_a"), apitypes.NewUser{Login: "ben", Password: testPassword, Roles: []string{"analyst", "admin"}})
	if err != nil || len(made.Roles) != 0 || len(made.Grants) != 1 {
		t.Fatalf("%+v %v", made, err)
	}
	if _, err := g.ApproveGrant(g.as("usr_c"), made.Grants[0].ID, made.Grants[0].Digest); err != nil {
		t.Error(err)
	}
	g.has(made.ID, "analyst", "admin")
}

func TestAGrantLapses(t *testing.T) {
	g := openGranting(t)
	waits := g.propose("usr_a", "usr_t", "analyst")
	start := g.now()
	g.clock.set(start.Add(permission.GrantLife - time.Nanosecond))
	_, err := g.ProposeGrant(g.as("usr_b"), "usr_t", apitypes.NewRoleGrant{Roles: []string{"analyst"}, Reason: "x"})
	g.refusal("it waits still", err, http.StatusConflict, errGrantWaits)
	g.clock.set(start.Add(permission.GrantLife))
	_, err = g.ApproveGrant(g.as("usr_b"), waits.ID, waits.Digest)
	g.refusal("after seven days", err, http.StatusConflict, approval.ErrLapsed)
	g.has("usr_t", "viewer")
	anew := g.propose("usr_a", "usr_t", "analyst")
	all, err := g.Grants(g.Context())
	if err != nil || len(all) != 2 || all[0].ID != anew.ID || all[1].State != "lapsed" || all[1].Digest != "" {
		t.Errorf("%+v %v", all, err)
	}
	if _, err := g.ApproveGrant(g.as("usr_b"), anew.ID, anew.Digest); err != nil {
		t.Error(err)
	}
	g.has("usr_t", "viewer", "analyst")
}

// What changes between the page and the approval voids the approval.
func TestAGrantIsApprovedAsItWasShown(t *testing.T) {
	barred, back := true, false
	for name, c := range map[string]struct {
		meanwhile func(granting, apitypes.RoleGrant)
		status    int
		why       error
	}{
		"the account lost a role": {func(g granting, _ apitypes.RoleGrant) {
			g.change("usr_c", "usr_t", apitypes.UserChange{Roles: []string{"policy-author"}})
		}, http.StatusConflict, approval.ErrEdited},
		"the account got another role": {func(g granting, _ apitypes.RoleGrant) {
			other := g.propose("usr_a", "usr_t", "policy-approver")
			if _, err := g.ApproveGrant(g.as("usr_c"), other.ID, other.Digest); err != nil {
				g.Error(err)
			}
		}, http.StatusConflict, approval.ErrEdited},
		"the account was barred": {func(g granting, _ apitypes.RoleGrant) {
			g.change("usr_c", "usr_t", apitypes.UserChange{Disabled: &barred})
		}, http.StatusConflict, approval.ErrEdited},
		"who proposed was barred": {func(g granting, _ apitypes.RoleGrant) {
			g.change("usr_c", "usr_a", apitypes.UserChange{Disabled: &barred})
		}, http.StatusConflict, errProposerGone},
		"who proposed administers no more": {func(g granting, _ apitypes.RoleGrant) {
			g.change("usr_c", "usr_a", apitypes.UserChange{Roles: []string{"viewer"}})
		}, http.StatusConflict, errProposerGone},
		"who approves was barred": {func(g granting, _ apitypes.RoleGrant) {
			g.change("usr_c", "usr_b", apitypes.UserChange{Disabled: &barred})
		}, http.StatusForbidden, errNoMoreAdmin},
		"who approves is known to be who proposed": {func(g granting, _ apitypes.RoleGrant) {
			g.change("usr_c", "usr_b", apitypes.UserChange{SamePersonAs: "usr_a"})
		}, http.StatusForbidden, approval.ErrSelf},
		"who approves is known to be who gets it": {func(g granting, _ apitypes.RoleGrant) {
			g.change("usr_c", "usr_b", apitypes.UserChange{SamePersonAs: "usr_t"})
		}, http.StatusForbidden, errOwnGrant},
		"it was withdrawn": {func(g granting, waits apitypes.RoleGrant) {
			if _, err := g.RefuseGrant(g.as("usr_a"), waits.ID, "a mistake"); err != nil {
				g.Error(err)
			}
		}, http.StatusConflict, errGrantOver},
		"nothing that counts": {func(g granting, _ apitypes.RoleGrant) {
			g.change("usr_c", "usr_t", apitypes.UserChange{Disabled: &barred})
			g.change("usr_c", "usr_t", apitypes.UserChange{Disabled: &back, Password: testPassword})
		}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			g := openGranting(t)
			if err := g.store.ChangeUser(t.Context(), "usr_t", func(a *store.Account) error {
				a.Roles = []permission.Role{permission.Viewer, permission.PolicyAuthor}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			waits := g.propose("usr_a", "usr_t", "auditor")
			request := g.as("usr_b") // as it was let in before
			c.meanwhile(g, waits)
			_, err := g.ApproveGrant(request, waits.ID, waits.Digest)
			if c.why == nil {
				if err != nil {
					t.Error(err)
				}
				g.has("usr_t", "viewer", "policy-author", "auditor")
				return
			}
			g.refusal(name, err, c.status, c.why)
			u, _, err := g.store.User(t.Context(), "usr_t")
			if err != nil || slices.Contains(u.Roles, permission.Auditor) {
				t.Errorf("%+v %v", u, err)
			}
		})
	}
}

// atOnce does the same from many sides and returns how often it was done.
func atOnce(acts ...func() error) (done int, refused []error) {
	errs, start := make([]error, len(acts)), make(chan struct{})
	var all sync.WaitGroup
	for i, act := range acts {
		all.Go(func() {
			<-start
			errs[i] = act()
		})
	}
	close(start)
	all.Wait()
	for _, err := range errs {
		if err == nil {
			done++
		} else {
			refused = append(refused, err)
		}
	}
	return done, refused
}

func TestGrantsAtOnce(t *testing.T) {
	g := openGranting(t)
	propose := func(by string) func() error {
		return func() error {
			_, err := g.ProposeGrant(g.as(by), "usr_t", apitypes.NewRoleGrant{Roles: []string{"analyst"}, Reason: "x"})
			return err
		}
	}
	done, refused := atOnce(propose("usr_a"), propose("usr_a"), propose("usr_a"), propose("usr_a"))
	if done != 1 {
		t.Errorf("one role was proposed %d times at once: %v", done, refused)
	}
	for _, err := range refused {
		g.refusal("proposed at once", err, http.StatusConflict, errGrantWaits)
	}
	all, err := g.Grants(t.Context())
	if err != nil || len(all) != 1 {
		t.Fatalf("%+v %v", all, err)
	}
	// Two grants to one account, both shown before: the second must be looked at anew.
	one, two := all[0], g.propose("usr_a", "usr_t", "auditor")
	approve := func(by string, x apitypes.RoleGrant) func() error {
		return func() error {
			_, err := g.ApproveGrant(g.as(by), x.ID, x.Digest)
			return err
		}
	}
	done, refused = atOnce(approve("usr_b", one), approve("usr_c", two))
	if done != 1 {
		t.Fatalf("%d of two grants held at once: %v", done, refused)
	}
	g.refusal("the other", refused[0], http.StatusConflict, approval.ErrEdited)
	all, err = g.Grants(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	left := all[slices.IndexFunc(all, func(x apitypes.RoleGrant) bool { return x.State == "proposed" })]
	done, refused = atOnce(approve("usr_b", left), approve("usr_c", left), approve("usr_b", left), approve("usr_c", left))
	if done != 1 {
		t.Errorf("one grant was given %d times: %v", done, refused)
	}
	for _, err := range refused {
		g.refusal("given at once", err, http.StatusConflict, errGrantOver)
	}
	g.has("usr_t", "viewer", "analyst", "auditor")
}

// On the collector's own machine, and for the owner of a trial, one is enough; the
// audit log says so. Where one administrator is alone, the answer says what to do.
func TestRolesOfASmallShop(t *testing.T) {
	o := openOffice(t, time.Now().Truncate(time.Second))
	o.hire("admin", "viewer")
	o.signIn("admin", "viewer")
	ids := map[string]string{}
	for _, u := range done[apitypes.List[apitypes.User]](o, "admin", http.MethodGet, "/v1/users", "", nil).Items {
		ids[u.Login] = u.ID
	}
	u := done[apitypes.User](o, "admin", http.MethodPost, "/v1/users/"+ids["viewer"]+"/grants", "", map[string]any{"roles": []string{"auditor"}, "reason": "holidays"})
	if len(u.Grants) != 1 || u.Grants[0].Approvers != 0 || !strings.Contains(u.Grants[0].Advice, "flopwatchctl users add LOGIN --role admin") {
		t.Fatalf("one administrator alone: %+v", u)
	}
	if page := o.desk("admin", http.MethodGet, "/admin", nil); !strings.Contains(page, "On the collector&#39;s own machine") || strings.Contains(page, "/approve") || !strings.Contains(page, "/admin/grants/"+u.Grants[0].ID+"/refuse") {
		t.Errorf("the page of who is alone: %s", page)
	}
	// What the advice says: a second administrator is made on the machine, and approves.
	second := done[apitypes.User](o, "", http.MethodPost, "/v1/users", "", map[string]any{"login": "second", "password": testPassword, "roles": []string{"admin"}})
	if !slices.Equal(second.Roles, []string{"admin"}) {
		t.Errorf("%+v", second)
	}
	o.token["second"] = o.sessionOf("second")
	page := o.desk("second", http.MethodGet, "/admin", nil)
	if !strings.Contains(page, `action="/admin/grants/`+u.Grants[0].ID+`/approve"><input type="hidden" name="digest" value="`+u.Grants[0].Digest+`"`) {
		t.Fatalf("the page of the second: %s", page)
	}
	o.desk("second", http.MethodPost, "/admin/grants/"+u.Grants[0].ID+"/approve", url.Values{"digest": {u.Grants[0].Digest}})
	for _, u := range done[apitypes.List[apitypes.User]](o, "admin", http.MethodGet, "/v1/users", "", nil).Items {
		if u.Login == "viewer" && (!slices.Equal(u.Roles, []string{"viewer", "auditor"}) || len(u.Grants) != 0) {
			t.Errorf("after the approval: %+v", u)
		}
	}
	// A role that is given on the machine holds at once too.
	local := done[apitypes.User](o, "", http.MethodPost, "/v1/users/"+ids["viewer"]+"/grants", "", map[string]any{"roles": []string{"analyst"}, "reason": "nobody else is here"})
	if !slices.Equal(local.Roles, []string{"viewer", "analyst", "auditor"}) || len(local.Grants) != 0 {
		t.Errorf("%+v", local)
	}
	entries := done[apitypes.List[apitypes.AuditEntry]](o, "", http.MethodGet, "/v1/audit/entries?limit=200", "", nil).Items
	for _, want := range []struct {
		action, kind, object, actorKind string
		approvals                       []string
	}{
		{"user.add_local", "user", second.ID, "service", nil}, {"role_grant.propose", "role_grant", u.Grants[0].ID, "person", nil},
		{"role_grant.approve", "role_grant", u.Grants[0].ID, "person", []string{second.ID}}, {"role_grant.approve", "user", ids["viewer"], "person", []string{second.ID}},
		{"user.roles_local", "user", ids["viewer"], "service", nil},
	} {
		if !slices.ContainsFunc(entries, func(e apitypes.AuditEntry) bool {
			return e.Action == want.action && e.ObjectKind == want.kind && e.Object == want.object && e.ActorKind == want.actorKind && slices.Equal(e.Approvals, want.approvals)
		}) {
			t.Errorf("the audit log does not say %+v", want)
		}
	}
	if check := done[apitypes.AuditCheck](o, "", http.MethodGet, "/v1/audit/check", "", nil); !check.Intact {
		t.Errorf("%+v", check)
	}
}

// desk opens a page of the desk, or sends a form without script, as somebody does who
// has signed in, and returns the page to which that leads.
func (o *office) desk(who, method, path string, form url.Values) string {
	o.Helper()
	r, err := http.NewRequestWithContext(o.Context(), method, o.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		o.Fatal(err)
	}
	r.Header.Set("Origin", o.url)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.AddCookie(&http.Cookie{Name: "flopwatch_session_" + r.URL.Port(), Value: strings.TrimPrefix(o.token[who], "fws_")})
	w, err := deskClient.Do(r)
	if err != nil {
		o.Fatal(err)
	}
	text, err := io.ReadAll(w.Body)
	if err = errorsOf(err, w.Body.Close()); err != nil || w.StatusCode != http.StatusOK {
		o.Fatalf("%s %s as %s: %d %v %s", method, path, who, w.StatusCode, err, text)
	}
	return string(text)
}

// The owner of a trial, whom a one-time link let in, makes the first account alone.
func TestTheOwnerOfATrialMakesTheFirstAccount(t *testing.T) {
	g := openGranting(t)
	owner := g.by(permission.Principal{ID: permission.Owner, Roles: permission.People, SignedIn: g.now()})
	made, err := g.AddUser(owner, apitypes.NewUser{Login: "first", Password: testPassword, Roles: []string{"admin"}})
	if err != nil || !slices.Equal(made.Roles, []string{"admin"}) || len(made.Grants) != 0 {
		t.Errorf("%+v %v", made, err)
	}
}
