package collector

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// tokens keeps API tokens for API and desk.
type tokens struct {
	store *store.Store
	now   func() time.Time
}

// mostTokens is how many tokens of one person may hold at a time.
const mostTokens = 50

// Tokens returns the tokens of who asks, or of everybody for who administers.
func (k tokens) Tokens(ctx context.Context, all bool) ([]apitypes.Token, error) {
	of := permission.Of(ctx).ID
	if all {
		of = ""
	}
	rows, err := k.store.Tokens(ctx, of)
	now := k.now()
	return apitypes.Each(rows, func(t permission.Token) apitypes.Token { return tokenOf(t, now) }), err
}

// MakeToken makes a token of who asks. They must have signed in just before: a session
// that was left open is not to become a token that holds for months.
func (k tokens) MakeToken(ctx context.Context, n apitypes.NewToken) (apitypes.MadeToken, error) {
	who, now := permission.Of(ctx), k.now()
	if !isFresh(who, now) {
		return apitypes.MadeToken{}, &httpapi.Refusal{Status: http.StatusForbidden, Why: "sign in again to make a token"}
	}
	scope, err := permission.ParseScope(who, n.Scope)
	if err != nil {
		return apitypes.MadeToken{}, refuse(http.StatusUnprocessableEntity, err)
	}
	life := time.Duration(n.Days) * 24 * time.Hour
	if life <= 0 || life > permission.MaxTokenLife {
		return apitypes.MadeToken{}, &httpapi.Refusal{Status: http.StatusUnprocessableEntity, Why: "days: must be 1 to 90"}
	}
	from, err := permission.ParseNetworks(n.From)
	if err != nil {
		return apitypes.MadeToken{}, refuse(http.StatusUnprocessableEntity, err)
	}
	have, err := k.store.Tokens(ctx, who.ID)
	if err != nil {
		return apitypes.MadeToken{}, err
	}
	holding := 0
	for _, t := range have {
		if t.Holds(now) {
			holding++
		}
	}
	if holding >= mostTokens {
		return apitypes.MadeToken{}, &httpapi.Refusal{Status: http.StatusConflict, Why: "you have 50 tokens that hold: revoke one first"}
	}
	if _, known, err := k.store.User(ctx, who.ID); err != nil || !known {
		return apitypes.MadeToken{}, errors.Join(err, &httpapi.Refusal{Status: http.StatusConflict, Why: "tokens are made by people with accounts"})
	}
	text, hash := access.NewToken()
	t := permission.Token{ID: store.NewID("tok_"), User: who.ID, Name: n.Name, Service: n.Service, Scope: scope, Made: now, Expires: now.Add(life), From: from}
	if err := k.store.AddToken(ctx, t, hash); err != nil {
		return apitypes.MadeToken{}, err
	}
	return apitypes.MadeToken{Token: tokenOf(t, now), Text: text}, nil
}

// RevokeToken ends a token of who asks, or of anybody for who administers. Somebody
// else's is answered as if there were none.
func (k tokens) RevokeToken(ctx context.Context, id string) error {
	who := permission.Of(ctx)
	of := who.ID
	if who.May(permission.Administer) {
		of = ""
	}
	err := k.store.RevokeToken(ctx, id, of, k.now())
	if errors.Is(err, store.ErrNoToken) {
		return refuse(http.StatusNotFound, store.ErrNoToken)
	}
	return err
}

func tokenOf(t permission.Token, now time.Time) apitypes.Token {
	out := apitypes.Token{ID: t.ID, User: t.User, Name: t.Name, Service: t.Service, Scope: []string{}, Made: t.Made.UTC(), Expires: t.Expires.UTC(), Used: t.Used, Revoked: t.Revoked,
		State: apitypes.TokenState(t.Revoked, t.Expires, now), From: t.From.Texts(), Elsewhere: t.Elsewhere, ElsewhereLast: t.ElsewhereLast}
	for _, a := range t.Scope {
		out.Scope = append(out.Scope, permission.ScopeName(a))
	}
	return out
}
