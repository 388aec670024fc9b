package collector

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/oidc/oidctest"
)

// visitor is a browser, as far as redirects, cookies and forms go.
type visitor struct {
	*office
	http *http.Client
	idp  string // host of the provider
}

func (o *office) visitor(idp *oidctest.Provider) *visitor {
	o.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		o.Fatal(err)
	}
	data, err := os.ReadFile(idp.CA)
	if err != nil {
		o.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(data)
	return &visitor{o, &http.Client{Jar: jar, Timeout: 5 * time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}, idp.URL}
}

// get follows redirects, and pages that go on by themselves.
func (v *visitor) get(path string) (int, string) {
	v.Helper()
	for range 5 {
		answer, err := v.http.Get(v.url + path)
		if err != nil {
			v.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		if err = errorsOf(err, answer.Body.Close()); err != nil {
			v.Fatal(err)
		}
		next := regexp.MustCompile(`http-equiv="refresh" content="0; url=([^"]*)"`).FindSubmatch(text)
		if next == nil {
			return answer.StatusCode, string(text)
		}
		path = string(next[1])
	}
	v.Fatalf("%s goes round in circles", path)
	return 0, ""
}

// post sends a form of the desk.
func (v *visitor) post(path string, form url.Values) (int, string) {
	v.Helper()
	r, err := http.NewRequest(http.MethodPost, v.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		v.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", v.url)
	answer, err := v.http.Do(r)
	if err != nil {
		v.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	if err = errorsOf(err, answer.Body.Close()); err != nil {
		v.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

// People of an identity provider, from its page to an approval: what their groups give
// them, what they lose with a group, and what a fresh sign-in is.
func TestPeopleOfAnIdentityProvider(t *testing.T) {
	start := time.Now().Truncate(time.Second)
	clock := &shifted{kept: start}
	idp := oidctest.New(t, clock.now)
	idp.Change(func(p *oidctest.Provider) {
		p.Subject, p.Login, p.Groups, p.AMR = "sub-ben", "ben@example.test", []string{"approvers"}, []string{"mfa"}
	})
	file := filepath.Join(t.TempDir(), "oidc.yaml")
	if err := os.WriteFile(file, []byte(idp.Config()), 0o600); err != nil {
		t.Fatal(err)
	}
	o := openOffice(t, start, func(c *serveCommand) { c.OIDC = file })
	pass := func(d time.Duration) {
		clock.set(clock.now().Add(d))
		o.clock.set(clock.now())
	}
	o.hire("policy-author", "admin")
	o.signIn("policy-author", "admin")
	policy := done[apitypes.Policy](o, "policy-author", http.MethodPost, "/v1/policies", "", map[string]string{"kind": "pack", "file": "lines.yaml", "text": linesPack(t)})
	done[any](o, "policy-author", http.MethodPost, "/v1/policies/"+policy.ID+"/simulations", "", map[string]any{})
	o.eventually("the simulation", func() bool {
		policy = done[apitypes.Policy](o, "policy-author", http.MethodGet, "/v1/policies/"+policy.ID, "", nil)
		return policy.Simulation != ""
	})
	propose := map[string]string{"reason": "our line"}
	policy = done[apitypes.Policy](o, "policy-author", http.MethodPost, "/v1/policies/"+policy.ID+"/proposals", fmt.Sprint(policy.Version), propose)

	ben := o.visitor(idp)
	if status, page := ben.get("/sign-in"); status != http.StatusOK || !strings.Contains(page, "Sign in with Example Ltd") {
		t.Fatalf("%d %s", status, page)
	}
	if status, page := ben.get("/sign-in/provider?next=/account"); status != http.StatusOK || !strings.Contains(page, "Your account") || !strings.Contains(page, "senior-reviewer") {
		t.Fatalf("%d %s", status, page)
	}
	users := func() apitypes.User {
		t.Helper()
		all := done[apitypes.List[apitypes.User]](o, "admin", http.MethodGet, "/v1/users", "", nil).Items
		at := slices.IndexFunc(all, func(u apitypes.User) bool { return u.Login == "ben" })
		if at < 0 {
			t.Fatalf("no account: %+v", all)
		}
		return all[at]
	}
	account := users()
	approve := func() (int, string) {
		return ben.post("/policies/"+policy.ID+"/approve", url.Values{"version": {fmt.Sprint(policy.Version)}, "digest": {policy.Proposal}})
	}
	// Six minutes after he proved who he is, he is not the second person; nor by going
	// to the provider, where he is signed in, without proving it again.
	pass(approval.FreshSignIn + time.Minute)
	if status, page := approve(); status != http.StatusForbidden || !strings.Contains(page, approval.ErrSignIn.Error()) {
		t.Errorf("an old sign-in: %d %.300s", status, page)
	}
	idp.Change(func(p *oidctest.Provider) { p.SignedIn = start })
	if status, page := ben.get("/sign-in/provider"); status != http.StatusForbidden {
		t.Errorf("the provider vouches for what was before: %d %.300s", status, page)
	}
	idp.Change(func(p *oidctest.Provider) { p.SignedIn = time.Time{} })
	if status, page := ben.get("/sign-in/provider?next=/policies/" + policy.ID); status != http.StatusOK || !strings.Contains(page, "Approve exactly this") {
		t.Fatalf("%d %.300s", status, page)
	}
	if status, page := approve(); status != http.StatusOK || strings.Contains(page, "Not done") {
		t.Errorf("after a fresh sign-in: %d %.500s", status, page)
	}
	if p := done[apitypes.Policy](o, "policy-author", http.MethodGet, "/v1/policies/"+policy.ID, "", nil); p.ApprovedBy != account.ID {
		t.Errorf("approved by %q, want %s", p.ApprovedBy, account.ID)
	}

	// With his group he loses the role, at the next sign-in and in every session.
	idp.Change(func(p *oidctest.Provider) { p.Groups = []string{"looking"} })
	if status, _ := ben.get("/cases"); status != http.StatusOK {
		t.Errorf("before the next sign-in: %d", status)
	}
	other := o.visitor(idp)
	if status, _ := other.get("/sign-in/provider"); status != http.StatusOK {
		t.Errorf("as a viewer: %d", status)
	}
	if got := users(); got.ID != account.ID || !slices.Equal(got.Roles, []string{"viewer"}) {
		t.Errorf("%+v", got)
	}
	for name, v := range map[string]*visitor{"the session before": ben, "the session after": other} {
		if status, _ := v.get("/cases"); status != http.StatusNotFound {
			t.Errorf("cases in %s: %d", name, status)
		}
	}
	// A disabled account is out at once, and stays out.
	done[any](o, "admin", http.MethodPost, "/v1/users/"+account.ID+"/changes", "", map[string]any{"disabled": true, "reason": "left"})
	if _, page := other.get("/"); !strings.Contains(page, `name="password"`) {
		t.Errorf("disabled: %.300s", page)
	}
	if status, _ := other.get("/sign-in/provider"); status != http.StatusForbidden {
		t.Errorf("disabled, and signing in: %d", status)
	}
	// Nobody signs in to such an account with a password.
	if status, _ := o.ask("", http.MethodPost, "/v1/sessions", "", map[string]string{"login": "ben", "password": ""}); status != http.StatusForbidden {
		t.Errorf("without a password: %d", status)
	}
}
