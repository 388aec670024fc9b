package webui_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
)

// owner keeps one account.
type owner struct {
	word   string
	refuse error
	said   []string
}

func (o *owner) note(what string) { o.said = append(o.said, what) }

func (o *owner) Account(context.Context) (apitypes.Account, error) {
	return apitypes.Account{Login: "ana", Accounts: []string{"usr_a", "usr_a2"}, SecondFactor: true, Since: desktest.Noon, Recovery: 8, Required: true,
		Sessions: []apitypes.OpenSession{{Name: "ses_1122", Made: desktest.Noon, Used: desktest.Noon, This: true}, {Name: "ses_3344", Made: desktest.Noon, Used: desktest.Noon}}}, nil
}

func (o *owner) RenewRecovery(context.Context) ([]string, error) {
	o.note("renew")
	return []string{"abcd-efgh-2345", "bcde-fghi-3456"}, o.refuse
}

func (o *owner) EndOthers(context.Context) error {
	o.note("end")
	return o.refuse
}

func (o *owner) Tokens(context.Context, bool) ([]apitypes.Token, error) {
	t := apitypes.Token{ID: "tok_1", User: "usr_a", Name: "nightly export" + o.word, Service: true, Scope: []string{"read-cases", "read-aggregates"}, Made: desktest.Noon, Expires: desktest.Noon.AddDate(0, 3, 0), State: "active", From: []string{"192.0.2.0/24", "2001:db8::/32"}, Elsewhere: 3, ElsewhereLast: desktest.Noon}
	old := t
	old.ID, old.State, old.Used, old.Revoked = "tok_2", "revoked", desktest.Noon, desktest.Noon
	return []apitypes.Token{t, old}, nil
}

func (o *owner) MakeToken(_ context.Context, n apitypes.NewToken) (apitypes.MadeToken, error) {
	o.note("make " + n.Name + " " + strings.Join(append(n.Scope, n.From...), "+"))
	return apitypes.MadeToken{Token: apitypes.Token{ID: "tok_3"}, Text: "fwt_shownonce"}, o.refuse
}

func (o *owner) RevokeToken(_ context.Context, id string) error {
	o.note("revoke " + id)
	return o.refuse
}

// byOwner asks as somebody who has signed in, or through a token.
func byOwner(h http.Handler, p permission.Principal, method, path, form string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(form))
	if form != "" || method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r.WithContext(permission.With(r.Context(), p)))
	return w
}

var analyst = permission.Principal{ID: "usr_a", Session: "ses_1122", Roles: []permission.Role{permission.Analyst}, SignedIn: desktest.Noon}

func TestGalleryOfTheAccount(t *testing.T) {
	for name, word := range map[string]string{"full": "", "hostile": desktest.Hostile} {
		o := &owner{word: word}
		h := webui.New(webui.Deps{Reader: desktest.New(), AccountKeeper: o})
		for path, form := range map[string]string{"/account": "", "/account/tokens": "name=x&days=90&scope=read-cases", "/account/recovery": "-"} {
			method := http.MethodGet
			if form != "" {
				method = http.MethodPost
			}
			w := byOwner(h, analyst, method, path, form)
			if w.Code/100 != 2 {
				t.Errorf("%s: %d", path, w.Code)
			}
			structure(t, w.Body.String())
			keep(t, name, path, w.Body.Bytes())
		}
	}
	w := byOwner(webui.New(webui.Deps{Reader: desktest.New()}), permission.Principal{ID: "owner", Session: "ses_1", Roles: permission.People}, http.MethodGet, "/account", "")
	structure(t, w.Body.String())
	keep(t, "states", "/account", w.Body.Bytes())
}

func TestTheAccountIsOnesOwn(t *testing.T) {
	o := &owner{}
	h := webui.New(webui.Deps{Reader: desktest.New(), AccountKeeper: o})
	page := byOwner(h, analyst, http.MethodGet, "/account", "").Body.String()
	for _, want := range []string{"nightly export", "tok_1", "8 recovery codes", `value="read-cases"`, "ses_3344", "usr_a2", "only from 192.0.2.0/24, 2001:db8::/32", "tried from elsewhere 3 times"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, never := range []string{`value="approve"`, `value="reveal-personal-data"`, `value="record-filing"`, `value="administer"`} {
		if strings.Contains(page, never) {
			t.Errorf("the page offers %s", never)
		}
	}
	w := byOwner(h, analyst, http.MethodPost, "/account/tokens", "name=x&days=90&scope=read-cases&scope=work-on-cases&from=192.0.2.0/24,+10.0.0.0/8")
	if w.Code != http.StatusCreated || !strings.Contains(w.Body.String(), "fwt_shownonce") {
		t.Errorf("%d", w.Code)
	}
	if strings.Contains(byOwner(h, analyst, http.MethodGet, "/account", "").Body.String(), "fwt_") {
		t.Error("the token is shown again")
	}
	byOwner(h, analyst, http.MethodPost, "/account/tokens/tok_1/revoke", "")
	byOwner(h, analyst, http.MethodPost, "/account/sessions", "")
	if got := strings.Join(o.said, ", "); got != "make x read-cases+work-on-cases+192.0.2.0/24+10.0.0.0/8, revoke tok_1, end" {
		t.Error(got)
	}
	o.said = nil
	for path, form := range map[string]string{"/account/tokens": "name=x&days=90&scope=read-cases", "/account/tokens/tok_1/revoke": "", "/account/recovery": "", "/account/sessions": ""} {
		token := permission.Principal{ID: "usr_a", Token: "tok_9", Roles: []permission.Role{permission.Analyst}, Scope: []permission.Action{permission.ReadAggregates}}
		if w := byOwner(h, token, http.MethodPost, path, form); w.Code != http.StatusForbidden {
			t.Errorf("%s by a token: %d", path, w.Code)
		}
		if w := byOwner(h, permission.Principal{ID: "owner", Session: "ses_1", Roles: permission.People}, http.MethodPost, path, form); w.Code != http.StatusForbidden {
			t.Errorf("%s by the owner of a trial: %d", path, w.Code)
		}
	}
	if len(o.said) > 0 {
		t.Errorf("%q was done", o.said)
	}
	for _, form := range []string{"", "name=x", "name=&days=1", "name=x&days=many", "name=" + strings.Repeat("x", 101) + "&days=1"} {
		if w := byOwner(h, analyst, http.MethodPost, "/account/tokens", form); w.Code != http.StatusUnprocessableEntity {
			t.Errorf("%.20q: %d", form, w.Code)
		}
	}
	o.refuse = errors.New("no database")
	if w := byOwner(h, analyst, http.MethodPost, "/account/recovery", ""); w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "abcd-efgh") {
		t.Errorf("%d", w.Code)
	}
	recent := analyst
	recent.SignedIn = time.Now()
	if page := byOwner(h, recent, http.MethodGet, "/account", "").Body.String(); strings.Contains(page, "needs a fresh sign-in") {
		t.Error("somebody who has just signed in is told to do it again")
	}
}
