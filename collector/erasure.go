package collector

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/programme"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// earlyErasure is what the review says by which one person proposes an early
// erasure; it waits so long for a second one.
const (
	earlyErasure  = "early_erasure"
	earlyProposal = 7 * 24 * time.Hour
)

// EraseParty destroys the key of a party, once its data need no longer be kept,
// and records the proof. Done again it goes on where it was interrupted. Before
// that time one person proposes and another one erases; open accounts, open
// cases, reports and legal holds keep the data from them too.
func (p parties) EraseParty(ctx context.Context, id string, ask apitypes.EraseRequest) (apitypes.ErasureCertificate, error) {
	book, s, err := p.reader.Programme(ctx, desk.PartyQuery{})
	if err != nil {
		return apitypes.ErasureCertificate{}, err
	}
	if e, done := s.Erasures[id]; done {
		return certificate(e), nil
	}
	if _, known := s.Parties[id]; !known {
		return apitypes.ErasureCertificate{}, refused(http.StatusNotFound, "there is no such party")
	}
	err = book.MayErase(id)
	switch {
	case err == nil:
	case ask.Early && errors.Is(err, programme.ErrKept):
		if waits, err := p.early(ctx, s, id, ask.Reason); err != nil || waits {
			return apitypes.ErasureCertificate{Party: id, Proposed: waits, Basis: ask.Reason, By: permission.Of(ctx).ID, At: p.now().UTC()}, err
		}
	case errors.Is(err, programme.ErrKept):
		return apitypes.ErasureCertificate{}, refused(http.StatusConflict, err.Error()+"; two people may erase them early")
	default:
		return apitypes.ErasureCertificate{}, refused(http.StatusConflict, err.Error())
	}
	return p.erase(ctx, id, ask)
}

// erase judges again in the transaction that records the erasure, in which nobody
// else places a hold, and destroys the key there: a hold that was placed since the
// first look keeps the data.
func (p parties) erase(ctx context.Context, id string, ask apitypes.EraseRequest) (out apitypes.ErasureCertificate, err error) {
	_, err = p.decide(audit.Because(ctx, "party.erase", ask.Reason), func(now party.Snapshot) ([]party.Change, error) {
		if e, done := now.Erasures[id]; done {
			out = certificate(e)
			return nil, nil
		}
		book, err := p.reader.ProgrammeOf(ctx, now)
		if err != nil {
			return nil, err
		}
		if err := book.MayErase(id); err != nil && (!ask.Early || !errors.Is(err, programme.ErrKept)) {
			return nil, refused(http.StatusConflict, err.Error())
		}
		done, err := p.vault.Erase(ctx, id)
		if err != nil {
			return nil, err
		}
		e := party.Erasure{ID: id, At: p.now().UTC(), By: permission.Of(ctx).ID, Basis: ask.Reason, KeyDigest: done.KeyDigest, Sealed: done.Sealed}
		out = certificate(e)
		return []party.Change{{Object: e}}, nil
	}, false)
	var no *httpapi.Refusal
	if errors.As(err, &no) {
		return apitypes.ErasureCertificate{}, no
	}
	return out, err
}

// early reports whether an early erasure waits for a second person still. The
// first one proposes it; the second one must be somebody else and have just
// signed in.
func (p parties) early(ctx context.Context, s party.Snapshot, id, reason string) (waits bool, err error) {
	who, now := permission.Of(ctx), p.now().UTC()
	if who.SignedIn.IsZero() {
		return false, refused(http.StatusForbidden, "people erase early, and no program: sign in")
	}
	var proposal party.Review
	for _, key := range party.Ordered(s.Reviews) {
		if r := s.Reviews[key]; r.Of == "party:"+id && r.What == earlyErasure && r.At.After(proposal.At) {
			proposal = r
		}
	}
	if proposal.ID == "" || !now.Before(proposal.At.Add(earlyProposal)) || proposal.By == who.ID {
		r := party.Review{ID: store.NewID("rvw_"), Of: "party:" + id, What: earlyErasure, Note: reason, At: now, By: who.ID}
		_, err := p.record(audit.Because(ctx, "party.erase_early", reason), []party.Change{{Object: r}}, false)
		return true, err
	}
	given := approval.Proposal{Authors: []string{proposal.By}, At: proposal.At, Lapses: proposal.At.Add(earlyProposal)}
	if _, err := given.Approve(approverOf(who), approval.Digest{}, now); err != nil {
		return false, refusalOf(err)
	}
	return false, nil
}

func certificate(e party.Erasure) apitypes.ErasureCertificate {
	return apitypes.ErasureCertificate{Party: e.ID, At: e.At, By: e.By, Basis: e.Basis, KeyDigest: e.KeyDigest, Sealed: e.Sealed}
}
