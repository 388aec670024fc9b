package collector

import (
	"context"
	"encoding/hex"
	"errors"
	"net/http"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// links takes what people say of links, for the API.
type links struct {
	store   *store.Store
	deriver *store.Deriver
}

// DecideLinks records a verdict on links. Totals and findings follow within a second.
func (l links) DecideLinks(ctx context.Context, v apitypes.LinkVerdict) ([]apitypes.Link, error) {
	from := int64(0)
	if v.From != nil {
		from = v.From.UnixNano()
	}
	all, err := l.store.DecideLinks(ctx, v.Links, resolve.Verdict(v.Verdict), permission.Of(ctx).ID, v.Reason, from)
	if err != nil {
		return nil, refusedLink(err)
	}
	l.deriver.CustomersChanged()
	out := make([]apitypes.Link, 0, len(all))
	for _, x := range all {
		shown, err := linkOf(x)
		if err != nil {
			return nil, err
		}
		out = append(out, shown)
	}
	return out, nil
}

// ApproveLink records the second word on a bridge.
func (l links) ApproveLink(ctx context.Context, id string, a apitypes.LinkApproval) (apitypes.Link, error) {
	shown, err := store.ParseDigest(a.Digest)
	if err != nil {
		return apitypes.Link{}, refuse(http.StatusUnprocessableEntity, err)
	}
	who := permission.Of(ctx)
	out, err := l.store.ApproveLink(ctx, id, approverOf(who), shown, a.Reason)
	if err != nil {
		return apitypes.Link{}, refusedLink(err)
	}
	l.deriver.CustomersChanged()
	return linkOf(out)
}

func linkOf(l resolve.Link) (apitypes.Link, error) {
	out := desk.Link{Link: l}
	if l.State == resolve.Pending {
		digest, err := store.LinkDigest(l)
		if err != nil {
			return apitypes.Link{}, err
		}
		out.Digest = hex.EncodeToString(digest[:])
	}
	return apitypes.FromLink(out), nil
}

// refusedLink says what was understood and not done.
func refusedLink(err error) error {
	for why, status := range map[error]int{store.ErrNoLink: http.StatusNotFound, store.ErrLinkState: http.StatusConflict, approval.ErrSelf: http.StatusForbidden,
		approval.ErrSignIn: http.StatusForbidden, approval.ErrEdited: http.StatusPreconditionFailed, approval.ErrLapsed: http.StatusConflict} {
		if errors.Is(err, why) {
			return refuse(status, why)
		}
	}
	return err
}
