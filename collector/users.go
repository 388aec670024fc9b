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
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// accounts keeps the accounts of people for the API.
type accounts struct {
	store *store.Store
	now   func() time.Time
}

// Users returns every account, by login.
func (a accounts) Users(ctx context.Context) ([]apitypes.User, error) {
	all, err := a.store.Accounts(ctx)
	return apitypes.Each(all, userOf), err
}

// AddUser makes an account.
func (a accounts) AddUser(ctx context.Context, u apitypes.NewUser) (apitypes.User, error) {
	roles, err := permission.ParseRoles(u.Roles)
	if err != nil {
		return apitypes.User{}, refuse(http.StatusUnprocessableEntity, err)
	}
	hash, err := access.HashPassword(u.Password)
	if err != nil {
		return apitypes.User{}, refuse(http.StatusUnprocessableEntity, err)
	}
	id, now := store.NewID("usr_"), a.now()
	if err := a.store.AddUser(ctx, id, u.Login, roles, hash, now); errors.Is(err, store.ErrLoginTaken) {
		return apitypes.User{}, refuse(http.StatusConflict, store.ErrLoginTaken)
	} else if err != nil {
		return apitypes.User{}, err
	}
	return userOf(store.Account{User: permission.User{ID: id, Login: u.Login, Roles: roles}, CreatedNS: now.UnixNano()}), nil
}

// ChangeUser changes an account. Nobody gives themselves a role.
func (a accounts) ChangeUser(ctx context.Context, id string, c apitypes.UserChange) (apitypes.User, error) {
	roles, err := permission.ParseRoles(c.Roles)
	if err != nil {
		return apitypes.User{}, refuse(http.StatusUnprocessableEntity, err)
	}
	var hash string
	if c.Password != "" {
		if hash, err = access.HashPassword(c.Password); err != nil {
			return apitypes.User{}, refuse(http.StatusUnprocessableEntity, err)
		}
	}
	if len(roles) > 0 && permission.Of(ctx).ID == id {
		return apitypes.User{}, &httpapi.Refusal{Status: http.StatusForbidden, Why: "nobody changes their own roles"}
	}
	var after store.Account
	err = a.store.ChangeUser(audit.Because(ctx, "user.change", c.Reason), id, func(u *store.Account) error {
		if len(roles) > 0 {
			u.Roles = roles
		}
		if hash != "" {
			u.Password = hash
		}
		if c.Disabled != nil {
			u.Disabled = *c.Disabled
		}
		after = *u
		return nil
	})
	if errors.Is(err, store.ErrNoUser) {
		return apitypes.User{}, refuse(http.StatusNotFound, store.ErrNoUser)
	}
	return userOf(after), err
}

func userOf(a store.Account) apitypes.User {
	u := apitypes.User{ID: a.ID, Login: a.Login, Disabled: a.Disabled, Created: apitypes.Time(a.CreatedNS), Roles: []string{}}
	for _, r := range a.Roles {
		u.Roles = append(u.Roles, string(r))
	}
	return u
}

// refuse is an act that is not done, for a reason that names nothing submitted.
func refuse(status int, why error) *httpapi.Refusal {
	return &httpapi.Refusal{Status: status, Why: why.Error()}
}
