package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// UserAdmin keeps the accounts of people. Faults of what was asked for are a
// Refusal.
type UserAdmin interface {
	Users(ctx context.Context) ([]apitypes.User, error)
	AddUser(ctx context.Context, u apitypes.NewUser) (apitypes.User, error)
	ChangeUser(ctx context.Context, id string, c apitypes.UserChange) (apitypes.User, error)
	// Grants of roles: what one person proposes another one approves by its digest.
	Grants(ctx context.Context) ([]apitypes.RoleGrant, error)
	ProposeGrant(ctx context.Context, user string, g apitypes.NewRoleGrant) (apitypes.User, error)
	ApproveGrant(ctx context.Context, id, digest string) (apitypes.RoleGrant, error)
	RefuseGrant(ctx context.Context, id, reason string) (apitypes.RoleGrant, error)
}

// Refusal is an act that was understood and not done, with the status of the answer.
type Refusal struct {
	Status int
	Why    string // repeats nothing of what was submitted
}

func (r *Refusal) Error() string { return r.Why }

// Refused returns the status and why, for the desk.
func (r *Refusal) Refused() (status int, why string) { return r.Status, r.Why }

// acted turns the error of an act into the answer.
func (s *server) acted(ctx context.Context, what string, err error) error {
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return apitypes.NewProblem(refusal.Status, refusal.Why)
	}
	s.Log.LogAttrs(ctx, slog.LevelError, "api: act failed", slog.String("act", what), slog.String("error", err.Error()))
	return apitypes.NewProblem(http.StatusInternalServerError, "it could not be done; the collector's log says why")
}

// act registers a route that changes something.
func act[I, O any](api huma.API, method, path, id, summary string, handler func(context.Context, *I) (*O, error)) {
	huma.Register(api, huma.Operation{
		OperationID: id, Method: method, Path: path, Summary: summary,
		Errors: actErrors,
	}, handler)
}

// actErrors are the statuses with which an act is refused.
var actErrors = []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusConflict,
	http.StatusPreconditionFailed, http.StatusUnprocessableEntity, http.StatusNotImplemented}

type newUserInput struct {
	Body apitypes.NewUser
}

type userChangeInput struct {
	ID   string `path:"id" pattern:"^usr_[a-z0-9]{1,40}$"`
	Body apitypes.UserChange
}

func (s *server) registerUsers(api huma.API) {
	s.registerGrants(api)
	get(api, "/v1/me", "show-me", "Who asks, and what their roles allow", func(ctx context.Context, _ *struct{}) (*answer[apitypes.Me], error) {
		return &answer[apitypes.Me]{me(permission.Of(ctx))}, nil
	})
	get(api, "/v1/users", "list-users", "People with accounts, by login", func(ctx context.Context, q *PageQuery) (*list[apitypes.User], error) {
		if s.UserAdmin == nil {
			return &list[apitypes.User]{Body: apitypes.List[apitypes.User]{Items: []apitypes.User{}}}, nil
		}
		all, err := s.UserAdmin.Users(ctx)
		if err != nil {
			return nil, s.failed(ctx, "users", err)
		}
		return page(all, *q, func(u apitypes.User) apitypes.User { return u }, func(u apitypes.User) string { return u.ID })
	})
	act(api, http.MethodPost, "/v1/users", "add-user", "Make an account", func(ctx context.Context, in *newUserInput) (*answer[apitypes.User], error) {
		if s.UserAdmin == nil {
			return nil, noAccounts()
		}
		u, err := s.UserAdmin.AddUser(ctx, in.Body)
		if err != nil {
			return nil, s.acted(ctx, "add user", err)
		}
		return &answer[apitypes.User]{u}, nil
	})
	act(api, http.MethodPost, "/v1/users/{id}/changes", "change-user", "Change roles or password of an account, disable or enable it", func(ctx context.Context, in *userChangeInput) (*answer[apitypes.User], error) {
		if s.UserAdmin == nil {
			return nil, noAccounts()
		}
		u, err := s.UserAdmin.ChangeUser(ctx, in.ID, in.Body)
		if err != nil {
			return nil, s.acted(ctx, "change user", err)
		}
		return &answer[apitypes.User]{u}, nil
	})
}

func me(p permission.Principal) apitypes.Me {
	out := apitypes.Me{ID: p.ID, SignedIn: p.SignedIn, Roles: []string{}, Actions: []string{}}
	for _, r := range p.Roles {
		out.Roles = append(out.Roles, string(r))
	}
	for _, a := range permission.Actions {
		if p.May(a) {
			out.Actions = append(out.Actions, string(a))
		}
	}
	return out
}

// noAccounts answers acts on accounts where there are none.
func noAccounts() error {
	return apitypes.NewProblem(http.StatusNotImplemented, "this collector keeps no accounts")
}
