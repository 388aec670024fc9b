package webui

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// UserAdmin keeps the accounts of people. What may not be done is an error with a
// method Refused, as of a Caseworker.
type UserAdmin interface {
	Users(ctx context.Context) ([]apitypes.User, error)
	AddUser(ctx context.Context, u apitypes.NewUser) (apitypes.User, error)
	ChangeUser(ctx context.Context, id string, c apitypes.UserChange) (apitypes.User, error)
	ApproveGrant(ctx context.Context, id, digest string) (apitypes.RoleGrant, error)
	RefuseGrant(ctx context.Context, id, reason string) (apitypes.RoleGrant, error)
}

// Registrar keeps the inventory of hosts. What may not be done is an error with a
// method Refused.
type Registrar interface {
	Inventory(ctx context.Context) ([]apitypes.InventoryHost, error)
	Invite(ctx context.Context, in apitypes.Invitation) (apitypes.Invited, error)
	DecideHost(ctx context.Context, host string, d apitypes.HostDecision) (apitypes.InventoryHost, error)
}

// Messenger tells by which channels people are told, and how those fare.
type Messenger interface {
	Channels(ctx context.Context) ([]apitypes.Channel, error)
}

type adminView struct {
	Accounts bool // this desk keeps accounts
	Users    []apitypes.User
	Roles    []roleRow
	People   []permission.Role // that a person can be given
	Actions  []permission.Action
	Me       string
	Mine     []string             // every account of who looks
	Grants   []apitypes.RoleGrant // roles that wait for a second person

	Enrolment bool                     // this desk takes hosts from elsewhere
	Waiting   []apitypes.InventoryHost // invited, or locked until a person decides
	Hosts     []hostState
	Versions  []versionSpread
	Reporting int
	Settled   []apitypes.InventoryHost
	MoreHosts bool
	Now       time.Time

	Told     bool // this desk tells people outside it
	Channels []apitypes.Channel
}

// roleRow is what one role may do, in the order of Actions.
type roleRow struct {
	Role permission.Role
	May  []bool
}

// hostState is how many hosts of the inventory stand so.
type hostState struct {
	State string
	Hosts int
}

// admin shows who may do what, which hosts belong to the fleet and how people are
// told. It shows no case and nobody's data: an administrator has no right to them.
func (s *site) admin(ctx context.Context, _ *http.Request) (any, error) {
	v := adminView{People: permission.People, Actions: permission.Actions, Me: permission.Of(ctx).ID, Accounts: s.UserAdmin != nil, Enrolment: s.Registrar != nil, Told: s.Messenger != nil, Now: time.Now()}
	var err error
	if v.Accounts {
		if v.Users, err = s.UserAdmin.Users(ctx); err != nil {
			return nil, err
		}
		v.Mine = append([]string{v.Me}, permission.Of(ctx).Accounts...)
		for _, u := range v.Users {
			v.Grants = append(v.Grants, u.Grants...)
		}
	}
	for _, role := range permission.People {
		row := roleRow{Role: role}
		for _, a := range permission.Actions {
			row.May = append(row.May, role.Allows(a))
		}
		v.Roles = append(v.Roles, row)
	}
	if v.Enrolment {
		all, err := s.Registrar.Inventory(ctx)
		if err != nil {
			return nil, err
		}
		v.sort(all)
	}
	hosts, err := s.Reader.Hosts(ctx)
	if err != nil {
		return nil, err
	}
	v.Versions, v.Reporting = spread(hosts), len(hosts)
	if v.Told {
		v.Channels, err = s.Messenger.Channels(ctx)
	}
	return v, err
}

// sort puts what waits for a person before what stands.
func (v *adminView) sort(all []apitypes.InventoryHost) {
	count := map[string]int{}
	for _, h := range all {
		count[h.State]++
		if h.Suspicion != "" || h.State == "invited" {
			v.Waiting = append(v.Waiting, h)
		} else {
			v.Settled = append(v.Settled, h)
		}
	}
	var more bool
	v.Waiting, more = cut(v.Waiting, maxRows)
	v.Settled, v.MoreHosts = cut(v.Settled, maxRows/2)
	v.MoreHosts = v.MoreHosts || more
	for _, state := range []string{"invited", "enrolled", "revoked", "retired"} {
		v.Hosts = append(v.Hosts, hostState{state, count[state]})
	}
}

// What an account and a host may be called, as the API takes it.
var (
	loginForm  = regexp.MustCompile(`^[a-z][a-z0-9._-]{1,38}$`)
	hostIDForm = regexp.MustCompile(`^[a-z2-7]{26}$`)
)

// addUser makes an account.
func (s *site) addUser(w http.ResponseWriter, r *http.Request) {
	form, ok := s.formOf(w, r, permission.Administer, permission.Administer, s.UserAdmin != nil)
	if !ok {
		return
	}
	in := apitypes.NewUser{Login: form("login"), Password: form("password"), Roles: r.PostForm["role"]}
	switch {
	case !loginForm.MatchString(in.Login):
		s.problem(w, r, http.StatusUnprocessableEntity, "Not done: a login has 2 to 39 lower-case letters, digits, dots and dashes, and begins with a letter.")
		return
	case len(in.Roles) == 0 || len(in.Roles) > len(permission.People):
		s.problem(w, r, http.StatusUnprocessableEntity, "Not done: an account has at least one role.")
		return
	}
	_, err := s.UserAdmin.AddUser(r.Context(), in)
	s.acted(w, r, "/admin", err)
}

// changeUser changes the roles or the password of an account, or bars it.
func (s *site) changeUser(w http.ResponseWriter, r *http.Request) {
	form, ok := s.formOf(w, r, permission.Administer, permission.Administer, s.UserAdmin != nil)
	if !ok {
		return
	}
	in := apitypes.UserChange{Password: form("password"), Roles: r.PostForm["role"], Reason: form("reason"), ResetSecondFactor: form("second-factor") == "reset", SamePersonAs: form("same-person")}
	if in.Reason == "" || len(in.Reason) > maxReason {
		s.problem(w, r, http.StatusUnprocessableEntity, needsReason)
		return
	}
	if state := form("state"); state != "" {
		disabled := state == "disabled"
		in.Disabled = &disabled
	}
	_, err := s.UserAdmin.ChangeUser(r.Context(), r.PathValue("id"), in)
	s.acted(w, r, "/admin", err)
}

// actOnGrant approves or refuses roles that another person proposed.
func (s *site) actOnGrant(w http.ResponseWriter, r *http.Request) {
	form, ok := s.formOf(w, r, permission.Administer, permission.Administer, s.UserAdmin != nil)
	if !ok {
		return
	}
	var err error
	switch reason := form("reason"); r.PathValue("act") {
	case "approve":
		_, err = s.UserAdmin.ApproveGrant(r.Context(), r.PathValue("id"), form("digest"))
	case "refuse":
		if reason == "" || len(reason) > 1000 {
			s.problem(w, r, http.StatusUnprocessableEntity, "Not done: say why, in no more than 1,000 characters.")
			return
		}
		_, err = s.UserAdmin.RefuseGrant(r.Context(), r.PathValue("id"), reason)
	default:
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's.")
		return
	}
	s.acted(w, r, "/admin", err)
}

// Texts of reasons, as the API takes them.
const (
	maxReason   = 2000
	needsReason = "Not done: say why, in no more than 2,000 characters."
)

type invitedView struct{ apitypes.Invited }

// invite makes a join token and shows it, once.
func (s *site) invite(w http.ResponseWriter, r *http.Request) {
	form, ok := s.formOf(w, r, permission.Administer, permission.Administer, s.Registrar != nil)
	if !ok {
		return
	}
	in := apitypes.Invitation{Host: form("host"), Name: form("name"), Site: form("site"), Network: form("network")}
	if in.Administered = form("administered"); !slices.Contains([]string{"", "provider", "tenant"}, in.Administered) || in.Host != "" && !hostIDForm.MatchString(in.Host) ||
		len(in.Name) > 256 || len(in.Site) > 256 || len(in.Network) > 64 {
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's.")
		return
	}
	if minutes, err := strconv.Atoi(form("minutes")); err == nil {
		in.Seconds = int64(min(max(minutes, 1), 24*60)) * 60
	}
	if count, err := strconv.Atoi(form("devices")); err == nil && count > 0 {
		in.Devices = []apitypes.ExpectedDevices{{Count: min(count, 64), Model: form("model")}}
	}
	made, err := s.Registrar.Invite(r.Context(), in)
	if err != nil {
		s.acted(w, r, "", err)
		return
	}
	status, err := s.Reader.Status(r.Context())
	if err != nil {
		s.acted(w, r, "", err)
		return
	}
	s.render(w, r, http.StatusOK, "invited", layout{Title: "Join token", Status: status, View: invitedView{made}, still: true})
}

// decideHost clears, revokes or retires a host.
func (s *site) decideHost(w http.ResponseWriter, r *http.Request) {
	form, ok := s.formOf(w, r, permission.Administer, permission.Administer, s.Registrar != nil)
	if !ok {
		return
	}
	act, reason := form("act"), form("reason")
	if !slices.Contains([]string{"clear", "revoke", "retire"}, act) {
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's.")
		return
	}
	if reason == "" || len(reason) > 256 {
		s.problem(w, r, http.StatusUnprocessableEntity, "Not done: say why, in no more than 256 characters.")
		return
	}
	_, err := s.Registrar.DecideHost(r.Context(), r.PathValue("id"), apitypes.HostDecision{Act: act, Reason: reason})
	s.acted(w, r, "/admin", err)
}
