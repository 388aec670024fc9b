package collector

import (
	"net/http"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// To act as somebody takes their password and their second factor: no administrator
// resets both where there is another, in whatever order.
func TestPasswordAndSecondFactorTakeTwoPeople(t *testing.T) {
	factor := permission.SecondFactor{Sealed: []byte("x"), Step: 1}
	open := func(t *testing.T) granting {
		g := openGranting(t)
		if err := g.store.PutSecondFactor(g.Context(), "usr_t", factor); err != nil {
			t.Fatal(err)
		}
		return g
	}
	password := apitypes.UserChange{Password: testPassword, Reason: "forgotten"}
	away := apitypes.UserChange{ResetSecondFactor: true, Reason: "lost"}
	has := func(g granting, want bool) {
		t.Helper()
		if _, has, err := g.store.SecondFactor(g.Context(), "usr_t"); has != want || err != nil {
			t.Errorf("a second factor: %v, want %v: %v", has, want, err)
		}
	}
	both := password
	both.ResetSecondFactor = true
	for name, c := range map[string]struct{ first, second apitypes.UserChange }{"password first": {password, away}, "second factor first": {away, password}} {
		t.Run(name, func(t *testing.T) {
			g := open(t)
			_, err := g.ChangeUser(g.as("usr_a"), "usr_t", both)
			g.refusal("both at once", err, http.StatusUnprocessableEntity, errBothAtOnce)
			g.change("usr_a", "usr_t", c.first)
			has(g, !c.first.ResetSecondFactor)
			_, err = g.ChangeUser(g.as("usr_a"), "usr_t", c.second)
			g.refusal("the other by the same", err, http.StatusForbidden, errBothAlone)
			has(g, !c.first.ResetSecondFactor)
			g.change("usr_b", "usr_t", c.second)
			has(g, false)
		})
	}
	t.Run("once their own password is set", func(t *testing.T) {
		g := open(t)
		g.change("usr_a", "usr_t", password)
		_, kept, _, err := g.store.Credential(g.Context(), "login-t")
		o, is := access.OneTimeOf(kept)
		if err != nil || !is || o.By != "usr_a" || !o.Expires.Equal(g.now().Add(access.OneTimeLife)) {
			t.Fatalf("%.30s is kept: %v", kept, err)
		}
		hash, err := access.HashPassword("a password of their own")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []bool{true, false} {
			if ok, err := g.store.SetPassword(g.Context(), "usr_t", kept, hash); ok != want || err != nil {
				t.Errorf("set: %v, want %v: %v", ok, want, err)
			}
		}
		g.change("usr_a", "usr_t", away)
	})
	t.Run("once they enrolled anew", func(t *testing.T) {
		g := open(t)
		g.change("usr_a", "usr_t", away)
		if ok, err := g.store.AddSecondFactor(g.Context(), "usr_t", factor); !ok || err != nil {
			t.Fatal(ok, err)
		}
		g.change("usr_a", "usr_t", password)
		has(g, true)
	})
	t.Run("where there is no other", func(t *testing.T) {
		g := open(t)
		barred := true
		for _, other := range []string{"usr_b", "usr_c"} {
			g.change("usr_a", other, apitypes.UserChange{Disabled: &barred})
		}
		g.change("usr_a", "usr_t", password)
		g.change("usr_a", "usr_t", away)
		has(g, false)
	})
	t.Run("one's own password is one's own", func(t *testing.T) {
		g := open(t)
		g.change("usr_a", "usr_a", apitypes.UserChange{Password: testPassword})
		all, err := g.store.Accounts(g.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range all {
			if u.ID == "usr_a" && !strings.HasPrefix(u.Password, "$argon2id$") {
				t.Errorf("%.20s", u.Password)
			}
		}
	})
}
