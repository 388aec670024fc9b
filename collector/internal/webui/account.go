package webui

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// AccountKeeper keeps what people have of their own here: second factor, sessions and
// API tokens, always those of who asks. What may not be done is an error with a method
// Refused.
type AccountKeeper interface {
	Account(ctx context.Context) (apitypes.Account, error)
	// RenewRecovery returns new recovery codes; those before are worth nothing.
	RenewRecovery(ctx context.Context) ([]string, error)
	// EndOthers ends the other sessions of who asks.
	EndOthers(ctx context.Context) error
	Tokens(ctx context.Context, all bool) ([]apitypes.Token, error)
	MakeToken(ctx context.Context, n apitypes.NewToken) (apitypes.MadeToken, error)
	RevokeToken(ctx context.Context, id string) error
}

type accountView struct {
	Kept    bool // this desk keeps accounts, and who asks has one
	Account apitypes.Account
	Me      permission.Principal
	Tokens  []apitypes.Token
	Scope   []scopeRow
	Made    *apitypes.MadeToken // just made, shown this once
	Codes   []string            // just made, shown this once
}

// scopeRow is something that a token can be allowed.
type scopeRow struct {
	Name   string
	Action permission.Action
}

// account shows somebody their own account.
func (s *site) account(ctx context.Context, _ *http.Request) (any, error) {
	v := accountView{Me: permission.Of(ctx)}
	if s.AccountKeeper == nil || v.Me.Session == "" || v.Me.ID == "owner" {
		return v, nil
	}
	v.Kept = true
	for _, a := range permission.Actions {
		if permission.Delegable(a) && v.Me.May(a) {
			v.Scope = append(v.Scope, scopeRow{permission.ScopeName(a), a})
		}
	}
	var err error
	if v.Account, err = s.AccountKeeper.Account(ctx); err == nil {
		v.Tokens, err = s.AccountKeeper.Tokens(ctx, false)
	}
	return v, err
}

// accountForm reads a form of the page of an account, of somebody who has one.
func (s *site) accountForm(w http.ResponseWriter, r *http.Request) (value func(string) string, ok bool) {
	who := permission.Of(r.Context())
	return s.formOf(w, r, permission.ReadAggregates, permission.ReadAggregates, s.AccountKeeper != nil && who.Session != "" && who.ID != "owner")
}

// showAccount shows the page with what was just made.
func (s *site) showAccount(w http.ResponseWriter, r *http.Request, with func(*accountView)) {
	view, err := s.account(r.Context(), r)
	status, err2 := s.Reader.Status(r.Context())
	if err != nil || err2 != nil {
		s.problem(w, r, http.StatusInternalServerError, "The account could not be read. The collector's log says why.")
		return
	}
	v := view.(accountView) // account returns nothing else
	with(&v)
	s.render(w, r, http.StatusCreated, "account", layout{Title: "Your account", Status: status, View: v})
}

// makeToken makes an API token and shows its text this once.
func (s *site) makeToken(w http.ResponseWriter, r *http.Request) {
	form, ok := s.accountForm(w, r)
	if !ok {
		return
	}
	days, err := strconv.Atoi(form("days"))
	if err != nil || form("name") == "" || len(form("name")) > 100 {
		s.problem(w, r, http.StatusUnprocessableEntity, "Not done: the token needs a name and how many days it holds, 1 to 90.")
		return
	}
	made, err := s.AccountKeeper.MakeToken(r.Context(), apitypes.NewToken{Name: form("name"), Service: form("service") == "yes", Scope: r.PostForm["scope"], Days: days, From: networksOf(form("from"))})
	if err != nil {
		s.acted(w, r, "/account", err)
		return
	}
	s.showAccount(w, r, func(v *accountView) { v.Made = &made })
}

// networksOf splits what somebody wrote of networks; what they are is looked at later.
func networksOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ';' || unicode.IsSpace(r) })
}

// revokeToken ends an API token.
func (s *site) revokeToken(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.accountForm(w, r); ok {
		s.acted(w, r, "/account", s.AccountKeeper.RevokeToken(r.Context(), r.PathValue("id")))
	}
}

// renewRecovery makes new recovery codes and shows them this once.
func (s *site) renewRecovery(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.accountForm(w, r); !ok {
		return
	}
	codes, err := s.AccountKeeper.RenewRecovery(r.Context())
	if err != nil {
		s.acted(w, r, "/account", err)
		return
	}
	s.showAccount(w, r, func(v *accountView) { v.Codes = codes })
}

// endSessions ends the other sessions of who asks.
func (s *site) endSessions(w http.ResponseWriter, r *http.Request) {
	if _, ok := s.accountForm(w, r); ok {
		s.acted(w, r, "/account", s.AccountKeeper.EndOthers(r.Context()))
	}
}

// Fresh reports whether what needs a fresh sign-in can be done now.
func (v accountView) Fresh() bool {
	return !v.Me.SignedIn.IsZero() && time.Since(v.Me.SignedIn) <= 5*time.Minute
}
