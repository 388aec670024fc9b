package collector

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/oidc"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// openProvider reads the identity provider of a file, nil for none.
func openProvider(path string, now func() time.Time) (access.Provider, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read identity provider: %w", err)
	}
	c, err := oidc.Read(path, data)
	if err != nil {
		return nil, err
	}
	return oidc.New(c, now)
}

// outsiders keeps the accounts of people whom an identity provider knows.
type outsiders struct {
	store *store.Store
	now   func() time.Time
}

// Admit gives a person's account the roles that their groups give them now.
func (o outsiders) Admit(ctx context.Context, id oidc.Identity) (permission.User, bool, error) {
	account, err := o.store.Identity(ctx, id.Issuer, id.Subject)
	if errors.Is(err, store.ErrNoIdentity) {
		if len(id.Roles) == 0 {
			return permission.User{}, false, nil
		}
		account, err = o.add(ctx, id)
	}
	if err != nil {
		return permission.User{}, false, err
	}
	u, ok, err := o.store.User(ctx, account)
	if err != nil || !ok || u.Disabled || slices.Equal(u.Roles, id.Roles) {
		return u, ok, err
	}
	act := audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: account}, Action: "user.sign_in", Reason: "groups of the identity provider"}
	err = o.store.ChangeUser(audit.With(ctx, act), account, func(a *store.Account) error {
		a.Roles = id.Roles
		return nil
	})
	u.Roles = id.Roles
	return u, true, err
}

// add makes an account. A login that is taken, or none, gets a part of the subject's
// hash: two people never share an account because they share a name.
func (o outsiders) add(ctx context.Context, id oidc.Identity) (account string, err error) {
	sum := sha256.Sum256([]byte(id.Issuer + "\x00" + id.Subject))
	short := hex.EncodeToString(sum[:4])
	login := loginOf(id.Login)
	logins := []string{login, login + "-" + short}
	if login == "" {
		logins = []string{"sso-" + short, "sso-" + hex.EncodeToString(sum[:8])}
	}
	account = store.NewID("usr_")
	act := audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: account}, Action: "user.sign_in", Reason: "first sign-in with the identity provider"}
	for _, login := range logins {
		if err = o.store.AddIdentity(audit.With(ctx, act), account, login, id.Issuer, id.Subject, id.Roles, o.now()); !errors.Is(err, store.ErrLoginTaken) {
			break
		}
	}
	return account, err
}

var notLogin = regexp.MustCompile(`[^a-z0-9._-]+`)

// loginOf makes a login of the name that a provider gives a person: what stands before
// an @, in the letters that logins have.
func loginOf(name string) string {
	name, _, _ = strings.Cut(strings.ToLower(name), "@")
	name = strings.TrimLeft(notLogin.ReplaceAllString(name, ""), "0123456789._-")
	if len(name) > 30 {
		name = name[:30]
	}
	if len(name) < 2 {
		return ""
	}
	return name
}
