package access_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/totp"
)

const (
	givenPassword = "given by the administrator"
	ownPassword   = "a password of my own"
)

// given sets a one-time password, as an administrator does.
func (b *bench) given() {
	b.Helper()
	kept, err := access.HashOneTime(givenPassword, "usr_root", b.now.Add(access.OneTimeLife))
	if err != nil {
		b.Fatal(err)
	}
	b.users.hash = kept
}

// A password that somebody else set opens one sign-in, in which its owner presents
// their second factor as ever and sets their own; nobody opens the desk with it.
func TestAOneTimePasswordIsReplaced(t *testing.T) {
	b, _ := withFactors(t)
	half := cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
	secret := secretOn(t, b.ask("GET", "/sign-in/enrol", "Cookie", half).Body.String())
	b.form("/sign-in/enrol", half, "code", totp.Code(secret, totp.Step(b.now)))
	b.now = b.now.Add(time.Minute)
	b.given()
	shut := func(cookie string) {
		t.Helper()
		for _, path := range []string{"/", "/v1/me"} {
			if w := b.ask("GET", path, "Cookie", cookie); w.Code == 418 {
				t.Errorf("%s is open before the password is replaced", path)
			}
		}
	}
	goesTo := func(w *httptest.ResponseRecorder, page string) string {
		t.Helper()
		if w.Code != 303 || w.Header().Get("Location") != page {
			t.Fatalf("%d to %q, want %s: %s", w.Code, w.Header().Get("Location"), page, w.Body)
		}
		return cookieOf(t, w)
	}
	half = goesTo(b.form("/sign-in", "", "login", "ana", "password", givenPassword, "next", "/cases"), "/sign-in/code")
	if w := b.form("/sign-in/password", half, "password", ownPassword); w.Code != 303 || b.users.hash == "" || w.Header().Get("Location") != "/sign-in" {
		t.Errorf("a password was set without the second factor: %d", w.Code)
	}
	shut(half)
	half = goesTo(b.form("/sign-in/code", half, "code", totp.Code(secret, totp.Step(b.now))), "/sign-in/password")
	shut(half)
	if page := b.ask("GET", "/sign-in/password", "Cookie", half); page.Code != 200 || !strings.Contains(page.Body.String(), "Set your own password") {
		t.Errorf("%d %s", page.Code, page.Body)
	}
	for _, bad := range []string{"", "short", givenPassword, strings.Repeat("x", 201)} {
		if w := b.form("/sign-in/password", half, "password", bad); w.Code != 422 {
			t.Errorf("%.20q was taken: %d", bad, w.Code)
		}
	}
	other := half // somebody else who has come as far
	w := b.form("/sign-in/password", half, "password", ownPassword)
	full := cookieOf(t, w)
	if w.Code != 200 || !strings.Contains(w.Body.String(), "/cases") || b.ask("GET", "/", "Cookie", full).Code != 418 {
		t.Errorf("with a password of their own: %d %s", w.Code, w.Body)
	}
	if w := b.form("/sign-in/password", other, "password", "yet another password"); w.Code != 303 {
		t.Errorf("set again: %d", w.Code)
	}
	if w := b.form("/sign-in", "", "login", "ana", "password", givenPassword); w.Code != 403 {
		t.Errorf("the given password opens a second sign-in: %d", w.Code)
	}
	goesTo(b.form("/sign-in", "", "login", "ana", "password", ownPassword), "/sign-in/code")

	b.given()
	b.now = b.now.Add(access.OneTimeLife)
	if w := b.form("/sign-in", "", "login", "ana", "password", givenPassword); w.Code != 403 {
		t.Errorf("one that expired: %d", w.Code)
	}
}

// Two who hold the same one-time password set one password between them.
func TestAOneTimePasswordIsUsedOnce(t *testing.T) {
	b, _ := withFactors(t)
	b.users.user.Roles = []permission.Role{permission.Viewer}
	b.given()
	first := cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", givenPassword))
	second := cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", givenPassword))
	if w := b.form("/sign-in/password", first, "password", ownPassword); w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	kept := b.users.hash
	if w := b.form("/sign-in/password", second, "password", "yet another password"); w.Code != 403 || b.users.hash != kept {
		t.Errorf("the second one: %d", w.Code)
	}
}

func TestAProgramSetsItsOwnPassword(t *testing.T) {
	b, _ := withFactors(t)
	b.given()
	ask := func(pairs ...string) (status int, kind string, answer map[string]any) {
		t.Helper()
		body := map[string]any{"login": "ana", "password": givenPassword}
		for i := 0; i+1 < len(pairs); i += 2 {
			body[pairs[i]] = pairs[i+1]
			if pairs[i] == "enrol" {
				body[pairs[i]] = true
			}
		}
		return b.signInBy(body)
	}
	if status, kind, _ := ask(); status != 403 || kind != apitypes.ProblemNewPassword {
		t.Errorf("%d %s", status, kind)
	}
	if status, _, _ := ask("new_password", givenPassword); status != 422 {
		t.Errorf("the same password: %d", status)
	}
	if status, kind, _ := ask("new_password", ownPassword); status != 403 || kind != apitypes.ProblemEnrolment {
		t.Errorf("%d %s", status, kind)
	}
	_, _, offered := ask("new_password", ownPassword, "enrol", "")
	secret := secretOn(t, "<code>"+offered["secret"].(string)+"</code>")
	if status, _, s := ask("new_password", ownPassword, "enrol", "", "code", totp.Code(secret, totp.Step(b.now))); status != 201 || len(s["recovery_codes"].([]any)) != 10 {
		t.Fatalf("%d %v", status, s)
	}
	if status, kind, _ := ask("new_password", ownPassword); status != 403 || kind == apitypes.ProblemNewPassword {
		t.Errorf("the one-time password again: %d %s", status, kind)
	}
	b.now = b.now.Add(time.Minute)
	if status, _, _ := ask("password", ownPassword, "new_password", "a third password", "code", totp.Code(secret, totp.Step(b.now))); status != 422 {
		t.Errorf("a new password without a one-time one: %d", status)
	}
	if status, _, _ := ask("password", ownPassword, "code", totp.Code(secret, totp.Step(b.now))); status != 201 {
		t.Errorf("their own: %d", status)
	}
}
