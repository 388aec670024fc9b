package collector

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/programme"
	"github.com/flopwatch/flopwatch/collector/internal/screening"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// one records the change that f makes of how it is now.
func (p parties) one(ctx context.Context, id string, f func(now party.Snapshot) (party.Object, error)) (apitypes.Recorded, error) {
	_, err := p.decide(ctx, func(now party.Snapshot) ([]party.Change, error) {
		o, err := f(now)
		return []party.Change{{Object: o}}, err
	}, false)
	var no *httpapi.Refusal
	if errors.As(err, &no) {
		return apitypes.Recorded{}, no
	}
	return apitypes.Recorded{ID: id}, err
}

// ActOnReseller records what happened with a reseller.
func (p parties) ActOnReseller(ctx context.Context, id string, act apitypes.ResellerAct) (apitypes.Recorded, error) {
	return p.one(audit.Because(ctx, "reseller."+act.Act, act.Reason), id, func(now party.Snapshot) (party.Object, error) {
		r, known := now.Resellers[id]
		at := act.At.UTC()
		switch {
		case !known:
			return r, refused(http.StatusNotFound, "there is no such reseller")
		case at.IsZero() || at.After(now.Known):
			return r, refused(http.StatusUnprocessableEntity, "at: must be a time that is not in the future")
		case !r.Ended.IsZero():
			return r, refused(http.StatusConflict, "the relationship has ended")
		}
		switch act.Act {
		case "attest":
			r.Attested = at
		case "hold_copy":
			r.CopyHeld = at
		case "request_copy":
			r.Requested, r.Produced = at, time.Time{}
		case "produce_copy":
			r.Produced = at
		case "find_failing":
			r.Failing, r.FailReason = at, act.Reason
		case "report":
			r.Reported = at
		case "end":
			r.Ended = at
		}
		return r, nil
	})
}

// ProposeExemption records an exemption that waits for two approvers.
func (p parties) ProposeExemption(ctx context.Context, n apitypes.NewExemption) (apitypes.Recorded, error) {
	id := store.NewID("exm_")
	return p.one(audit.Because(ctx, "exemption.propose", n.Basis), id, func(now party.Snapshot) (party.Object, error) {
		e := party.Exemption{ID: id, Basis: n.Basis, Scope: n.Scope, Of: n.Of, IssuedBy: n.IssuedBy, From: n.From.UTC(), To: n.To.UTC(), Evidence: n.Evidence, Authors: []string{permission.Of(ctx).ID}}
		_, customer := now.Contracts[n.Of]
		_, account := now.Accounts[n.Of]
		switch {
		case !n.To.After(n.From):
			return e, refused(http.StatusUnprocessableEntity, "to: is not after from")
		case n.Scope == "customer" && !customer || n.Scope == "account" && !account:
			return e, refused(http.StatusUnprocessableEntity, "of: there is no such "+n.Scope)
		}
		return e, nil
	})
}

// ApproveExemption adds the word of one of the two approvers.
func (p parties) ApproveExemption(ctx context.Context, id, digest string) (apitypes.Recorded, error) {
	return p.one(audit.Because(ctx, "exemption.approve", ""), id, func(now party.Snapshot) (party.Object, error) {
		e, known := now.Exemptions[id]
		switch {
		case !known:
			return e, refused(http.StatusNotFound, "there is no such exemption")
		case e.Withdrawn != "":
			return e, refused(http.StatusConflict, "it was withdrawn")
		}
		is, err := store.ExemptionDigest(e)
		if err != nil {
			return e, err
		}
		var want, shown approval.Digest
		n, err := hex.Decode(shown[:], []byte(digest))
		if _, err2 := hex.Decode(want[:], []byte(is)); err != nil || err2 != nil || n != len(shown) {
			return e, refused(http.StatusUnprocessableEntity, "digest: must be 64 hexadecimal digits")
		}
		authors := slices.Clone(e.Authors)
		for _, a := range e.Approvals {
			authors = append(authors, a.By) // two approvers are two people
		}
		who := permission.Of(ctx)
		given, err := approval.Proposal{Digest: want, Authors: authors}.Approve(approverOf(who), shown, now.Known)
		if err != nil {
			return e, refusalOf(err)
		}
		e.Approvals = append(slices.Clone(e.Approvals), party.Approval{By: given.By, At: given.At, Digest: is})
		return e, nil
	})
}

// WithdrawExemption ends an exemption for good.
func (p parties) WithdrawExemption(ctx context.Context, id, reason string) (apitypes.Recorded, error) {
	return p.one(audit.Because(ctx, "exemption.withdraw", reason), id, func(now party.Snapshot) (party.Object, error) {
		e, known := now.Exemptions[id]
		if !known {
			return e, refused(http.StatusNotFound, "there is no such exemption")
		}
		e.Withdrawn = reason
		return e, nil
	})
}

// HoldCustomer puts a customer under legal hold.
func (p parties) HoldCustomer(ctx context.Context, customer, reason string) (apitypes.Recorded, error) {
	id := store.NewID("hld_")
	return p.one(audit.Because(ctx, "hold.place", reason), id, func(now party.Snapshot) (party.Object, error) {
		if _, known := now.Contracts[customer]; !known {
			return party.Hold{}, refused(http.StatusNotFound, "there is no such customer")
		}
		return party.Hold{ID: id, Customer: customer, Reason: reason, By: permission.Of(ctx).ID}, nil
	})
}

// ReleaseHold proposes the release of a hold; a second person who may approve
// then releases it.
func (p parties) ReleaseHold(ctx context.Context, id, reason string) (apitypes.Recorded, error) {
	who := permission.Of(ctx)
	return p.one(audit.Because(ctx, "hold.release", reason), id, func(now party.Snapshot) (party.Object, error) {
		h, known := now.Holds[id]
		switch {
		case !known:
			return h, refused(http.StatusNotFound, "there is no such legal hold, or it was released")
		case h.ReleaseBy == "":
			h.ReleaseBy = who.ID
			return h, nil
		case !who.May(permission.Approve):
			return h, refused(http.StatusForbidden, "its release waits for a second person who may approve")
		}
		if _, err := (approval.Proposal{Authors: []string{h.ReleaseBy}}).Approve(approverOf(who), approval.Digest{}, now.Known); err != nil {
			return h, refusalOf(err)
		}
		h.ReleasedBy, h.Released = who.ID, reason
		return h, nil
	})
}

// NoteReview records that something was looked at again.
func (p parties) NoteReview(ctx context.Context, n apitypes.NewReview) (apitypes.Recorded, error) {
	id := store.NewID("rvw_")
	return p.one(audit.Because(ctx, "review.note", ""), id, func(now party.Snapshot) (party.Object, error) {
		r := party.Review{ID: id, Of: n.Of, What: n.What, Note: n.Note, At: now.Known, By: permission.Of(ctx).ID}
		_, customer := now.Contracts[n.Of]
		_, exemption := now.Exemptions[n.Of]
		statement := false
		var names []string
		for _, s := range programme.Shipped().Certification.Statements {
			statement = statement || s.ID == n.What
			names = append(names, s.ID)
		}
		switch {
		case n.Of == "programme" && !statement:
			return r, refused(http.StatusUnprocessableEntity, "what: must be one of "+strings.Join(names, ", "))
		case n.Of != "programme" && !customer && !exemption:
			return r, refused(http.StatusNotFound, "there is no such customer or exemption")
		}
		return r, nil
	})
}

// DecideHit decides whether a hit is the same person.
func (p parties) DecideHit(ctx context.Context, id string, d apitypes.HitDecision) (apitypes.Recorded, error) {
	return p.one(audit.Because(ctx, "list_hit.decide", d.Reason), id, func(now party.Snapshot) (party.Object, error) {
		h, known := now.ListHits[id]
		if !known {
			return h, refused(http.StatusNotFound, "there is no such hit")
		}
		h.Disposition, h.Reason, h.By = d.Disposition, d.Reason, permission.Of(ctx).ID
		return h, nil
	})
}

// Screen holds parties against the lists of the server. Their names go there and
// nowhere else; each read is logged.
func (p parties) Screen(ctx context.Context, ask apitypes.Screening) (apitypes.Screened, error) {
	if p.screen == nil {
		return apitypes.Screened{}, refused(http.StatusNotImplemented, "no screening server is named: start the collector with --screening-url")
	}
	now := p.now()
	s, err := p.store.Parties(ctx, now, now)
	if err != nil {
		return apitypes.Screened{}, err
	}
	ids := ask.Parties
	if len(ids) == 0 {
		ids = party.Ordered(s.Parties)
	}
	out := apitypes.Screened{}
	for _, id := range ids {
		subject, ok, err := p.subject(ctx, s, id)
		if err != nil {
			return out, err
		}
		if !ok {
			continue
		}
		hits, err := p.screen.Search(ctx, subject)
		if err != nil {
			return out, refused(http.StatusBadGateway, err.Error())
		}
		out.Parties++
		var changes []party.Change
		for _, hit := range hits {
			h := party.ListHit{ID: hitID(id, hit), Party: id, List: hit.List, Version: hit.Version, Entry: hit.Entry, Score: int(hit.Score * 1000), Explanation: hit.Explanation, At: now.UTC()}
			if _, known := s.ListHits[h.ID]; !known {
				changes = append(changes, party.Change{Object: h, Source: "screening"})
			}
		}
		if _, err := p.record(audit.Because(ctx, "party.screen", ""), changes, false); err != nil {
			return out, err
		}
		out.Hits += len(changes)
	}
	return out, nil
}

// hitID is of one entry in one version of a list: a decision on a hit holds until
// the list changes.
func hitID(id string, h screening.Hit) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{id, h.List, h.Version, h.Entry}, "\x00")))
	return "hit_" + hex.EncodeToString(sum[:10])
}

// subject unseals what a server of lists is asked for.
func (p parties) subject(ctx context.Context, s party.Snapshot, id string) (screening.Subject, bool, error) {
	who, known := s.Parties[id]
	if !known {
		return screening.Subject{}, false, refused(http.StatusNotFound, "one of the parties is not there")
	}
	if _, erased := s.Erasures[id]; erased || who.Sealed == "" {
		return screening.Subject{}, false, nil
	}
	if err := p.store.LogReveal(ctx, id, []string{"name", "birth_date"}, "held against watch lists"); err != nil {
		return screening.Subject{}, false, err
	}
	items, _, err := p.vault.Unseal(ctx, []string{who.Sealed})
	fields := items[who.Sealed]
	subject := screening.Subject{Person: who.Form == party.Person, BirthDate: fields["birth_date"]}
	for _, name := range []string{"name", "name_original", "trade_name"} {
		if fields[name] != "" {
			subject.Names = append(subject.Names, fields[name])
		}
	}
	if c := who.Country(); c != "" {
		subject.Countries = []string{c}
	}
	return subject, len(subject.Names) > 0, err
}

var _ httpapi.PartyKeeper = parties{}
