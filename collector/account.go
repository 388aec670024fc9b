package collector

import (
	"context"
	"net/http"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/httpd"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// ownAccount keeps what people have of their own, for the desk.
type ownAccount struct {
	tokens
	server func() *httpd.Server // once it is there
}

// Account returns the account of who asks.
func (o ownAccount) Account(ctx context.Context) (apitypes.Account, error) {
	who := permission.Of(ctx)
	u, _, err := o.store.User(ctx, who.ID)
	if err != nil {
		return apitypes.Account{}, err
	}
	f, has, err := o.store.SecondFactor(ctx, who.ID)
	if err != nil {
		return apitypes.Account{}, err
	}
	_, hash, _, err := o.store.Credential(ctx, u.Login)
	if err != nil {
		return apitypes.Account{}, err
	}
	out := apitypes.Account{Login: u.Login, Accounts: u.Accounts, SecondFactor: has, Recovery: len(f.Recovery), Required: permission.NeedSecondFactor(u.Roles), Outside: hash == ""}
	if has {
		out.Since = f.Made.UTC()
	}
	open, err := o.server().Sessions(ctx, who.ID)
	if err != nil {
		return apitypes.Account{}, err
	}
	for _, s := range open {
		out.Sessions = append(out.Sessions, apitypes.OpenSession{Name: s.Name, Made: s.Made.UTC(), Used: s.Used.UTC(), This: s.Name == who.Session})
	}
	return out, nil
}

// RenewRecovery makes new recovery codes for somebody who has just signed in.
func (o ownAccount) RenewRecovery(ctx context.Context) ([]string, error) {
	who := permission.Of(ctx)
	if !isFresh(who, o.now()) {
		return nil, &httpapi.Refusal{Status: http.StatusForbidden, Why: "sign in again to make recovery codes"}
	}
	if _, has, err := o.store.SecondFactor(ctx, who.ID); err != nil {
		return nil, err
	} else if !has {
		return nil, &httpapi.Refusal{Status: http.StatusConflict, Why: "there is no second factor"}
	}
	return o.server().RenewRecovery(ctx, who.ID)
}

// EndOthers ends the other sessions of who asks.
func (o ownAccount) EndOthers(ctx context.Context) error {
	who := permission.Of(ctx)
	_, err := o.server().EndSessions(ctx, who.ID, who.Session)
	return err
}

// isFresh reports whether a person has just proved who they are.
func isFresh(who permission.Principal, now time.Time) bool {
	return who.Token == "" && !who.SignedIn.IsZero() && !who.SignedIn.After(now) && now.Sub(who.SignedIn) <= approval.FreshSignIn
}
