package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type newGrantInput struct {
	ID   string `path:"id" pattern:"^usr_[a-z0-9]{1,40}$"`
	Body apitypes.NewRoleGrant
}

type grantApprovalInput struct {
	ID   string `path:"id" pattern:"^grt_[a-z0-9]{1,40}$"`
	Body apitypes.DigestApproval
}

type grantRefusalInput struct {
	ID   string `path:"id" pattern:"^grt_[a-z0-9]{1,40}$"`
	Body apitypes.Reasoned
}

// registerGrants registers what is done about roles that wait for a second person.
func (s *server) registerGrants(api huma.API) {
	get(api, "/v1/grants", "list-grants", "Roles that were proposed for accounts, and what became of them, the last proposed first", func(ctx context.Context, q *PageQuery) (*list[apitypes.RoleGrant], error) {
		if s.UserAdmin == nil {
			return &list[apitypes.RoleGrant]{Body: apitypes.List[apitypes.RoleGrant]{Items: []apitypes.RoleGrant{}}}, nil
		}
		all, err := s.UserAdmin.Grants(ctx)
		if err != nil {
			return nil, s.failed(ctx, "grants", err)
		}
		return page(all, *q, func(g apitypes.RoleGrant) apitypes.RoleGrant { return g }, func(g apitypes.RoleGrant) string { return g.ID })
	})
	act(api, http.MethodPost, "/v1/users/{id}/grants", "propose-grant", "Propose roles for an account, which a second person approves; on the collector's own machine they are given at once", func(ctx context.Context, in *newGrantInput) (*answer[apitypes.User], error) {
		if s.UserAdmin == nil {
			return nil, noAccounts()
		}
		u, err := s.UserAdmin.ProposeGrant(ctx, in.ID, in.Body)
		if err != nil {
			return nil, s.acted(ctx, "propose grant", err)
		}
		return &answer[apitypes.User]{u}, nil
	})
	act(api, http.MethodPost, "/v1/grants/{id}/approvals", "approve-grant", "Give the roles that another person proposed, by the digest of what was shown; who approves has just signed in", func(ctx context.Context, in *grantApprovalInput) (*answer[apitypes.RoleGrant], error) {
		if s.UserAdmin == nil {
			return nil, noAccounts()
		}
		g, err := s.UserAdmin.ApproveGrant(ctx, in.ID, in.Body.Digest)
		if err != nil {
			return nil, s.acted(ctx, "approve grant", err)
		}
		return &answer[apitypes.RoleGrant]{g}, nil
	})
	act(api, http.MethodPost, "/v1/grants/{id}/refusals", "refuse-grant", "End a grant that waits", func(ctx context.Context, in *grantRefusalInput) (*answer[apitypes.RoleGrant], error) {
		if s.UserAdmin == nil {
			return nil, noAccounts()
		}
		g, err := s.UserAdmin.RefuseGrant(ctx, in.ID, in.Body.Reason)
		if err != nil {
			return nil, s.acted(ctx, "refuse grant", err)
		}
		return &answer[apitypes.RoleGrant]{g}, nil
	})
}
