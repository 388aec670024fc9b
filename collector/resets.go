package collector

import (
	"context"
	"errors"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// Errors of resets. With somebody's password and without their second factor one
// could act as that person, so that no one does both where there is another.
var (
	errBothAtOnce = errors.New("password and second factor are not reset with one act: a reset of the password leaves the second factor as it is, and taking that away is an act of its own")
	errBothAlone  = errors.New("whoever reset the password does not take the second factor away until its owner has set their own, nor the other way round: another administrator does it")
)

// actionOf is what a change of an account is called in the audit log.
func actionOf(who permission.Principal, id string, roles []permission.Role, c apitypes.UserChange) string {
	switch {
	case c.ResetSecondFactor:
		return "user.second_factor_away"
	case c.Password != "" && who.ID != id:
		return "user.password_reset"
	case len(roles) > 0 && who.Local():
		return "user.roles_local"
	}
	return "user.change"
}

// hash returns what is kept of a password: of one's own its hash, of another's that it
// is for one sign-in, in which they set their own.
func (a accounts) hash(who permission.Principal, id, password string) (string, error) {
	if who.ID == id {
		return access.HashPassword(password)
	}
	return access.HashOneTime(password, who.ID, a.now().Add(access.OneTimeLife))
}

// mayReset refuses to one person what takes two: to reset a password and to take the
// second factor of the same account away. It is asked in the transaction of the change.
// On the collector's own machine, and where there is no other administrator, one is
// enough; the audit log has both acts.
func (a accounts) mayReset(ctx context.Context, who permission.Principal, u *store.Account, c apitypes.UserChange) error {
	if who.Local() {
		return nil
	}
	var by string
	if c.ResetSecondFactor {
		if o, is := access.OneTimeOf(u.Password); is {
			by = o.By
		}
	} else {
		var err error
		if by, err = a.store.DroppedBy(ctx, u.ID); err != nil {
			return err
		}
	}
	if by == "" || !isOf(who, by) {
		return nil
	}
	all, err := a.store.Accounts(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(all, func(o store.Account) bool {
		return !o.Disabled && o.ID != u.ID && !isOf(who, o.ID) && slices.Contains(o.Roles, permission.Admin)
	}) {
		return errBothAlone
	}
	return nil
}
