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
	r, err := a.readGrants(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]apitypes.User, 0, len(r.accounts))
	for _, u := range r.accounts {
		view, err := a.show(ctx, u, r)
		if err != nil {
			return nil, err
		}
		out = append(out, view)
	}
	return out, nil
}

// show adds what is known of an account besides its row.
func (a accounts) show(ctx context.Context, u store.Account, r grantReading) (apitypes.User, error) {
	view := userOf(u)
	known, _, err := a.store.User(ctx, u.ID)
	if err == nil {
		view.Accounts = known.Accounts
		view.Grants, err = r.waiting(u.ID)
	}
	if err == nil {
		_, view.SecondFactor, err = a.store.SecondFactor(ctx, u.ID)
	}
	return view, err
}

// after shows an account as it is once something was done about it.
func (a accounts) after(ctx context.Context, id string) (apitypes.User, error) {
	r, err := a.readGrants(ctx)
	if err != nil {
		return apitypes.User{}, err
	}
	u, ok := r.byID[id]
	if !ok {
		return apitypes.User{}, refuse(http.StatusNotFound, store.ErrNoUser)
	}
	return a.show(ctx, u, r)
}

// AddUser makes an account. On the collector's own machine it has its roles at once;
// else it has none until a second person approves them.
func (a accounts) AddUser(ctx context.Context, u apitypes.NewUser) (apitypes.User, error) {
	roles, err := permission.ParseRoles(u.Roles)
	if err != nil {
		return apitypes.User{}, refuse(http.StatusUnprocessableEntity, err)
	}
	hash, err := access.HashPassword(u.Password)
	if err != nil {
		return apitypes.User{}, refuse(http.StatusUnprocessableEntity, err)
	}
	id, now, who := store.NewID("usr_"), a.now(), permission.Of(ctx)
	if who.Local() {
		err = a.store.AddUser(audit.Because(ctx, "user.add_local", locally), id, u.Login, roles, hash, now)
	} else {
		err = a.store.AddUser(ctx, id, u.Login, nil, hash, now, newGrant(who, id, roles, "as the account was made", now))
	}
	if errors.Is(err, store.ErrLoginTaken) {
		return apitypes.User{}, refuse(http.StatusConflict, store.ErrLoginTaken)
	} else if err != nil {
		return apitypes.User{}, err
	}
	return a.after(ctx, id)
}

// ChangeUser changes an account. Nobody gives themselves a role. A role that is taken
// away is gone at once, as who is barred is; one that is added waits for a second
// person, except on the collector's own machine.
func (a accounts) ChangeUser(ctx context.Context, id string, c apitypes.UserChange) (apitypes.User, error) {
	roles, err := permission.ParseRoles(c.Roles)
	if err != nil {
		return apitypes.User{}, refuse(http.StatusUnprocessableEntity, err)
	}
	who := permission.Of(ctx)
	var hash string
	if c.Password != "" {
		if hash, err = a.hash(who, id, c.Password); err != nil {
			return apitypes.User{}, refuse(http.StatusUnprocessableEntity, err)
		}
	}
	if len(roles) > 0 && isOf(who, id) {
		return apitypes.User{}, &httpapi.Refusal{Status: http.StatusForbidden, Why: "nobody changes their own roles"}
	}
	if c.SamePersonAs == id {
		return apitypes.User{}, &httpapi.Refusal{Status: http.StatusUnprocessableEntity, Why: "same_person_as: must be another account"}
	}
	if c.ResetSecondFactor && who.ID == id {
		return apitypes.User{}, &httpapi.Refusal{Status: http.StatusForbidden, Why: "nobody resets their own second factor"}
	}
	if c.ResetSecondFactor && hash != "" {
		return apitypes.User{}, refusedGrant(errBothAtOnce)
	}
	var after store.Account
	because := audit.Because(ctx, actionOf(who, id, roles, c), c.Reason)
	err = a.store.ChangeUserProposing(because, id, func(u *store.Account, before []permission.Grant) (grants []permission.Grant, err error) {
		if len(roles) > 0 {
			grants, err = a.regrade(who, u, roles, before, c.Reason)
		}
		if err == nil && (hash != "" || c.ResetSecondFactor) && who.ID != id {
			err = a.mayReset(ctx, who, u, c)
		}
		if hash != "" {
			u.Password = hash
		}
		u.DropFactor = c.ResetSecondFactor
		if c.Disabled != nil {
			u.Disabled = *c.Disabled
		}
		after = *u
		return grants, err
	})
	if err == nil && c.SamePersonAs != "" {
		err = a.store.SamePerson(because, id, c.SamePersonAs)
	}
	if err != nil {
		return apitypes.User{}, refusedGrant(err)
	}
	if a.end != nil && (hash != "" || c.ResetSecondFactor || after.Disabled) {
		// Those in the store ended with the change; what is in memory is left.
		if _, err := a.end(ctx, id, permission.Of(ctx).Session); err != nil {
			return apitypes.User{}, err
		}
	}
	return a.after(ctx, id)
}

func userOf(a store.Account) apitypes.User {
	return apitypes.User{ID: a.ID, Login: a.Login, Disabled: a.Disabled, Created: apitypes.Time(a.CreatedNS), Roles: names(a.Roles)}
}

// refuse is an act that is not done, for a reason that names nothing submitted.
func refuse(status int, why error) *httpapi.Refusal {
	return &httpapi.Refusal{Status: status, Why: why.Error()}
}
