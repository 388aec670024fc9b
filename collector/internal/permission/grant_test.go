package permission_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

func TestStateOfAGrant(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	end := at.Add(permission.GrantLife)
	for name, c := range map[string]struct {
		outcome string
		now     time.Time
		want    string
	}{
		"new": {"", at, permission.GrantProposed}, "to the last instant": {"", end.Add(-1), permission.GrantProposed}, "after seven days": {"", end, permission.GrantLapsed},
		"given": {permission.GrantGiven, end, permission.GrantGiven}, "refused": {permission.GrantRefused, at, permission.GrantRefused},
	} {
		if got := (permission.Grant{At: at, Outcome: c.outcome}).State(c.now); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

// Whatever an account has and is to have, what is kept it had, what is added it had
// not, and both together are what is wanted.
func TestAddedAndKept(t *testing.T) {
	roles := rapid.SliceOfDistinct(rapid.SampledFrom(permission.People), func(r permission.Role) permission.Role { return r })
	rapid.Check(t, func(t *rapid.T) {
		had, wanted := roles.Draw(t, "had"), roles.Draw(t, "wanted")
		added, kept := permission.Added(had, wanted)
		for _, r := range permission.People {
			is, was, asked := slices.Contains(added, r), slices.Contains(had, r), slices.Contains(wanted, r)
			if is != (asked && !was) || slices.Contains(kept, r) != (asked && was) {
				t.Fatalf("%s: added %v, kept %v of %v to %v", r, added, kept, had, wanted)
			}
		}
		if len(added)+len(kept) != len(wanted) {
			t.Fatalf("added %v, kept %v of %v to %v", added, kept, had, wanted)
		}
	})
}

func TestWhoIsLocal(t *testing.T) {
	for name, c := range map[string]struct {
		p    permission.Principal
		want bool
	}{
		"nobody": {permission.Principal{}, false}, "an administrator": {permission.Principal{ID: "usr_a", Roles: []permission.Role{permission.Admin}}, false},
		"the token of the data directory": {permission.Principal{ID: "api-token", Roles: []permission.Role{permission.Machine}}, true},
		"the owner of a trial":            {permission.Principal{ID: permission.Owner, Roles: permission.People}, true},
		"an API token":                    {permission.Principal{ID: permission.Owner, Token: "tok_1"}, false},
	} {
		if got := c.p.Local(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
