package collector

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// locally is why one person alone gave roles, as the audit log holds it.
const locally = "roles given on the collector's own machine, by one alone"

// alone is what to do where no second person can approve a grant.
const alone = "nobody else here can approve it: that takes a second person with the role admin, neither who proposed it nor who gets the role. " +
	"On the collector's own machine, signed out, \"flopwatchctl users add LOGIN --role admin\" makes one, and \"flopwatchctl users grant\" gives a role without a second person; the audit log says so of both"

// Errors of grants.
var (
	errGrantWaits   = errors.New("a grant of one of these roles to this account waits already: approve or refuse that one")
	errHasRoles     = errors.New("the account has these roles already")
	errGrantOver    = errors.New("the grant was decided before")
	errOwnGrant     = errors.New("nobody approves a role for themselves")
	errOwnRole      = errors.New("nobody proposes a role for themselves")
	errGrantBarred  = errors.New("the account is barred: a role is given to who may sign in")
	errProposerGone = errors.New("who proposed it may no longer give roles: propose it again")
	errNoMoreAdmin  = errors.New("you may no longer give roles")
	errNoPerson     = errors.New("people approve, and no program: sign in")
)

func refusedGrant(err error) error {
	for _, r := range []struct {
		err    error
		status int
	}{
		{store.ErrNoUser, http.StatusNotFound}, {store.ErrNoGrant, http.StatusNotFound}, {errGrantWaits, http.StatusConflict}, {errHasRoles, http.StatusConflict},
		{errGrantOver, http.StatusConflict}, {errOwnGrant, http.StatusForbidden}, {errOwnRole, http.StatusForbidden}, {errGrantBarred, http.StatusConflict},
		{errProposerGone, http.StatusConflict}, {errNoMoreAdmin, http.StatusForbidden}, {errNoPerson, http.StatusForbidden},
		{errBothAtOnce, http.StatusUnprocessableEntity}, {errBothAlone, http.StatusForbidden},
	} {
		if errors.Is(err, r.err) {
			return refuse(r.status, r.err)
		}
	}
	return refusalOf(err)
}

// isOf reports whether an account is one of the asker's.
func isOf(who permission.Principal, account string) bool {
	return who.ID == account || slices.Contains(who.Accounts, account)
}

func newGrant(who permission.Principal, account string, roles []permission.Role, reason string, now time.Time) permission.Grant {
	return permission.Grant{ID: store.NewID("grt_"), Account: account, Roles: roles, Reason: reason, By: who.ID, At: now.UTC()}
}

// regrade gives an account the roles that it is to have, all of them: what is taken
// away goes at once, and what is added is proposed, or given where one alone may.
func (a accounts) regrade(who permission.Principal, u *store.Account, roles []permission.Role, before []permission.Grant, reason string) ([]permission.Grant, error) {
	added, kept := permission.Added(u.Roles, roles)
	if who.Local() {
		u.Roles = roles
		return nil, nil
	}
	u.Roles = kept
	if len(added) == 0 {
		return nil, nil
	}
	return a.propose(who, u.ID, added, before, reason)
}

// propose makes the grant of roles that an account does not have, unless one of them
// waits already.
func (a accounts) propose(who permission.Principal, account string, added []permission.Role, before []permission.Grant, reason string) ([]permission.Grant, error) {
	now := a.now()
	for _, g := range before {
		if g.State(now) == permission.GrantProposed && slices.ContainsFunc(g.Roles, func(r permission.Role) bool { return slices.Contains(added, r) }) {
			return nil, errGrantWaits
		}
	}
	return []permission.Grant{newGrant(who, account, added, reason, now)}, nil
}

// ProposeGrant proposes roles for an account besides those that it has. On the
// collector's own machine it gives them.
func (a accounts) ProposeGrant(ctx context.Context, id string, in apitypes.NewRoleGrant) (apitypes.User, error) {
	roles, err := permission.ParseRoles(in.Roles)
	if err != nil {
		return apitypes.User{}, refuse(http.StatusUnprocessableEntity, err)
	}
	who, action := permission.Of(ctx), "role_grant.propose"
	if isOf(who, id) {
		return apitypes.User{}, refusedGrant(errOwnRole)
	}
	if who.Local() {
		action = "user.roles_local"
	}
	err = a.store.ChangeUserProposing(audit.Because(ctx, action, in.Reason), id, func(u *store.Account, before []permission.Grant) ([]permission.Grant, error) {
		added, _ := permission.Added(u.Roles, roles)
		if len(added) == 0 {
			return nil, errHasRoles
		}
		if who.Local() {
			u.Roles, _ = permission.ParseRoles(append(names(u.Roles), in.Roles...)) // both were read before
			return nil, nil
		}
		return a.propose(who, u.ID, added, before, in.Reason)
	})
	if err != nil {
		return apitypes.User{}, refusedGrant(err)
	}
	return a.after(ctx, id)
}

// ApproveGrant gives the account the roles that another person proposed, if they and
// the account are what the approver was shown.
func (a accounts) ApproveGrant(ctx context.Context, id, digest string) (apitypes.RoleGrant, error) {
	who := permission.Of(ctx)
	if who.SignedIn.IsZero() || who.Token != "" || who.Local() {
		return apitypes.RoleGrant{}, refusedGrant(errNoPerson)
	}
	g, err := a.store.Grant(ctx, id)
	if err != nil {
		return apitypes.RoleGrant{}, refusedGrant(err)
	}
	act := audit.Of(ctx)
	act.Action, act.Reason, act.Approvals = "role_grant.approve", g.Reason, []string{who.ID}
	err = a.store.DecideGrant(audit.With(ctx, act), id, who.ID, func(g *permission.Grant, p *store.GrantPeople) error {
		return a.approve(who, digest, g, p)
	})
	if err != nil {
		return apitypes.RoleGrant{}, refusedGrant(err)
	}
	return a.grant(ctx, id)
}

// approve holds the approver's word against grant and accounts as they are.
func (a accounts) approve(who permission.Principal, digest string, g *permission.Grant, p *store.GrantPeople) error {
	now := a.now()
	if g.Outcome != "" {
		return errGrantOver
	}
	// What is known of the humans now counts, and not what was when the request began.
	by := approverOf(who)
	by.Accounts = append(slices.Clone(by.Accounts), p.Decider.Accounts...)
	self := approval.Proposal{Authors: []string{g.Account}}
	is, err := digestOfGrant(*g, p.Account)
	if err != nil {
		return err
	}
	if _, err := self.Approve(by, approval.Digest{}, now); errors.Is(err, approval.ErrSelf) {
		return errOwnGrant
	}
	var shown approval.Digest
	if raw, err := hex.DecodeString(digest); err != nil || copy(shown[:], raw) != len(shown) {
		return approval.ErrEdited
	}
	given, err := approval.Proposal{Digest: is, Authors: []string{g.By, g.Account}, At: g.At, Lapses: g.At.Add(permission.GrantLife)}.Approve(by, shown, now)
	switch {
	case err != nil:
		return err
	case p.Account.Disabled:
		return errGrantBarred
	case !mayGrant(p.Proposer):
		return errProposerGone
	case !mayGrant(p.Decider):
		return errNoMoreAdmin
	}
	g.Outcome, g.Decider, g.Decided = permission.GrantGiven, given.By, given.At
	p.Account.Roles, err = permission.ParseRoles(append(names(p.Account.Roles), names(g.Roles)...))
	return err
}

// RefuseGrant ends a grant that waits. Who proposed it withdraws it so.
func (a accounts) RefuseGrant(ctx context.Context, id, reason string) (apitypes.RoleGrant, error) {
	who := permission.Of(ctx)
	err := a.store.DecideGrant(audit.Because(ctx, "role_grant.refuse", reason), id, who.ID, func(g *permission.Grant, _ *store.GrantPeople) error {
		if g.Outcome != "" {
			return errGrantOver
		}
		g.Outcome, g.Decider, g.Decided, g.Why = permission.GrantRefused, who.ID, a.now().UTC(), reason
		return nil
	})
	if err != nil {
		return apitypes.RoleGrant{}, refusedGrant(err)
	}
	return a.grant(ctx, id)
}

// Grants returns every grant of a role, the last proposed first.
func (a accounts) Grants(ctx context.Context) ([]apitypes.RoleGrant, error) {
	r, err := a.readGrants(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]apitypes.RoleGrant, 0, len(r.grants))
	for _, g := range r.grants {
		view, err := r.show(g)
		if err != nil {
			return nil, err
		}
		out = append(out, view)
	}
	return out, nil
}

func (a accounts) grant(ctx context.Context, id string) (apitypes.RoleGrant, error) {
	r, err := a.readGrants(ctx)
	if err != nil {
		return apitypes.RoleGrant{}, err
	}
	at := slices.IndexFunc(r.grants, func(g permission.Grant) bool { return g.ID == id })
	if at < 0 {
		return apitypes.RoleGrant{}, refusedGrant(store.ErrNoGrant)
	}
	return r.show(r.grants[at])
}

// grantReading is all that the grants of roles are shown by.
type grantReading struct {
	now      time.Time
	accounts []store.Account
	byID     map[string]store.Account
	persons  map[string]string // account → the one that stands for the human, where there are several
	grants   []permission.Grant
}

func (a accounts) readGrants(ctx context.Context) (r grantReading, err error) {
	r.now, r.byID = a.now(), map[string]store.Account{}
	if r.accounts, err = a.store.Accounts(ctx); err != nil {
		return r, err
	}
	for _, u := range r.accounts {
		r.byID[u.ID] = u
	}
	if r.persons, err = a.store.Persons(ctx); err != nil {
		return r, err
	}
	r.grants, err = a.store.Grants(ctx)
	return r, err
}

// waiting shows the grants to an account that wait.
func (r grantReading) waiting(account string) (out []apitypes.RoleGrant, err error) {
	for _, g := range r.grants {
		if g.Account != account || g.State(r.now) != permission.GrantProposed {
			continue
		}
		view, err := r.show(g)
		if err != nil {
			return nil, err
		}
		out = append(out, view)
	}
	return out, nil
}

func (r grantReading) show(g permission.Grant) (apitypes.RoleGrant, error) {
	u := r.byID[g.Account]
	view := apitypes.RoleGrant{ID: g.ID, User: g.Account, Login: u.Login, Has: names(u.Roles), Roles: names(g.Roles), Reason: g.Reason, By: g.By, Proposed: g.At,
		Lapses: g.At.Add(permission.GrantLife), State: g.State(r.now), Decider: g.Decider, Decided: g.Decided, Why: g.Why}
	if view.State != permission.GrantProposed {
		return view, nil
	}
	digest, err := digestOfGrant(g, u)
	if err != nil {
		return view, err
	}
	view.Digest = hex.EncodeToString(digest[:])
	if view.Approvers = r.approvers(g); view.Approvers == 0 {
		view.Advice = alone
	}
	return view, nil
}

// approvers counts the humans who can approve a grant.
func (r grantReading) approvers(g permission.Grant) int {
	human := func(account string) string {
		if p, ok := r.persons[account]; ok {
			return p
		}
		return account
	}
	able := map[string]bool{}
	for _, u := range r.accounts {
		if mayGrant(u) && human(u.ID) != human(g.By) && human(u.ID) != human(g.Account) {
			able[human(u.ID)] = true
		}
	}
	return len(able)
}

// mayGrant reports whether somebody may propose and approve grants of roles.
func mayGrant(u store.Account) bool {
	return u.ID != "" && !u.Disabled && permission.Principal{ID: u.ID, Roles: u.Roles}.May(permission.Administer)
}

// digestOfGrant is of what an approver sees: the grant, and the account as it is. A
// role that the account gets or loses meanwhile, and its being barred, change it.
func digestOfGrant(g permission.Grant, u store.Account) (approval.Digest, error) {
	sum, err := canonical.Digest(map[string]any{"grant": g.ID, "account": g.Account, "login": u.Login, "has": names(u.Roles), "barred": u.Disabled,
		"roles": names(g.Roles), "reason": g.Reason, "by": g.By, "at": g.At.UTC().Format(time.RFC3339Nano)})
	if err != nil {
		return approval.Digest{}, fmt.Errorf("digest of grant %s: %w", g.ID, err)
	}
	return approval.Digest(sum), nil
}

func names(roles []permission.Role) []string {
	out := make([]string, 0, len(roles))
	for _, r := range roles {
		out = append(out, string(r))
	}
	return out
}

var _ httpapi.UserAdmin = accounts{}
