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
	// end ends every session of a person but the named one. It is set once the server
	// is there.
	end func(ctx context.Context, user, but string) (int, error)
}

// Users returns every account, by login.
func (a accounts) Users(ctx context.Context) ([]apitypes.User, error) {
	all, err := a.store.Accounts(ctx)
	out := make([]apitypes.User, 0, len(all))
	for _, u := range all {
		view, err := a.show(ctx, u)
		if err != nil {
			return nil, err
		}
		out = append(out, view)
	}
	return out, err
}

// show adds what is known of an account besides its row.
func (a accounts) show(ctx context.Context, u store.Account) (apitypes.User, error) {
	view := userOf(u)
	known, _, err := a.store.User(ctx, u.ID)
	if err == nil {
		view.Accounts = known.Accounts
		_, view.SecondFactor, err = a.store.SecondFactor(ctx, u.ID)
	}
	return view, err
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
	if c.SamePersonAs == id {
		return apitypes.User{}, &httpapi.Refusal{Status: http.StatusUnprocessableEntity, Why: "same_person_as: must be another account"}
	}
	if c.ResetSecondFactor && permission.Of(ctx).ID == id {
		return apitypes.User{}, &httpapi.Refusal{Status: http.StatusForbidden, Why: "nobody resets their own second factor"}
	}
	var after store.Account
	because := audit.Because(ctx, "user.change", c.Reason)
	err = a.store.ChangeUser(because, id, func(u *store.Account) error {
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
	if err == nil && c.ResetSecondFactor {
		err = a.store.DropSecondFactor(because, id)
	}
	if err == nil && c.SamePersonAs != "" {
		err = a.store.SamePerson(because, id, c.SamePersonAs)
	}
	if errors.Is(err, store.ErrNoUser) {
		return apitypes.User{}, refuse(http.StatusNotFound, store.ErrNoUser)
	}
	if err != nil {
		return apitypes.User{}, err
	}
	if a.end != nil && (hash != "" || c.ResetSecondFactor || after.Disabled) {
		// Those in the store ended with the change; what is in memory is left.
		if _, err := a.end(ctx, id, permission.Of(ctx).Session); err != nil {
			return apitypes.User{}, err
		}
	}
	return a.show(ctx, after)
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
