package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// TokenKeeper keeps API tokens. Faults of what was asked for are a Refusal.
type TokenKeeper interface {
	// Tokens returns the tokens of who asks, or all, the last made first.
	Tokens(ctx context.Context, all bool) ([]apitypes.Token, error)
	MakeToken(ctx context.Context, n apitypes.NewToken) (apitypes.MadeToken, error)
	// RevokeToken ends a token at once; another person's is not there for who does not
	// administer.
	RevokeToken(ctx context.Context, id string) error
}

type tokenQuery struct {
	PageQuery
	All bool `query:"all" doc:"Those of everybody; for who administers"`
}

type newTokenInput struct {
	Body apitypes.NewToken
}

type tokenInput struct {
	ID string `path:"id" pattern:"^tok_[a-z0-9]{1,40}$"`
}

func noTokens() error {
	return apitypes.NewProblem(http.StatusNotImplemented, "this collector keeps no API tokens")
}

// What programs may not do whatever their rights are.
const (
	noToken   = 1 + iota // an API token: it makes no accounts, no links and no other tokens
	noProgram            // nor does the token of the data directory, behind which is no person
)

var programs = map[string]int{"list-tokens": noProgram, "make-token": noProgram, "revoke-token": noProgram,
	"add-user": noToken, "change-user": noToken, "propose-grant": noToken, "refuse-grant": noToken, "approve-grant": noProgram, "create-login-link": noToken, "make-calendar-link": noToken, "end-calendar-link": noToken}

func (s *server) registerTokens(api huma.API) {
	get(api, "/v1/tokens", "list-tokens", "Your API tokens, the last made first", func(ctx context.Context, q *tokenQuery) (*list[apitypes.Token], error) {
		if s.TokenKeeper == nil {
			return nil, noTokens()
		}
		if q.All && !permission.Of(ctx).May(permission.Administer) {
			return nil, apitypes.NewProblem(http.StatusForbidden, "your roles do not allow this: it needs the right to "+string(permission.Administer))
		}
		all, err := s.TokenKeeper.Tokens(ctx, q.All)
		if err != nil {
			return nil, s.failed(ctx, "tokens", err)
		}
		return page(all, q.PageQuery, func(t apitypes.Token) apitypes.Token { return t }, func(t apitypes.Token) string { return t.ID })
	})
	act(api, http.MethodPost, "/v1/tokens", "make-token", "Make an API token of yours; its text is told this once", func(ctx context.Context, in *newTokenInput) (*answer[apitypes.MadeToken], error) {
		if s.TokenKeeper == nil {
			return nil, noTokens()
		}
		t, err := s.TokenKeeper.MakeToken(ctx, in.Body)
		if err != nil {
			return nil, s.acted(ctx, "make token", err)
		}
		return &answer[apitypes.MadeToken]{t}, nil
	})
	act(api, http.MethodPost, "/v1/tokens/{id}/revocations", "revoke-token", "End an API token, at once and for good", func(ctx context.Context, in *tokenInput) (*struct{}, error) {
		if s.TokenKeeper == nil {
			return nil, noTokens()
		}
		if err := s.TokenKeeper.RevokeToken(ctx, in.ID); err != nil {
			return nil, s.acted(ctx, "revoke token", err)
		}
		return nil, nil
	})
}
