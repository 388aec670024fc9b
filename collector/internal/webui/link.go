package webui

import (
	"context"
	"net/http"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// Linker takes what people say of links. What may not be done is an error with a
// method Refused, as of a Caseworker.
type Linker interface {
	DecideLinks(ctx context.Context, v apitypes.LinkVerdict) ([]apitypes.Link, error)
	ApproveLink(ctx context.Context, id string, a apitypes.LinkApproval) (apitypes.Link, error)
}

type linksView struct {
	Waiting  []desk.Link // for a person
	Decided  []desk.Link
	Cut      bool
	Graph    *linkGraph     // of what waits or counts; nil where there is nothing
	Clusters []desk.Cluster // of several customers under one control
	Decide   bool           // the reader may accept, reject and split
	Approve  bool           // the reader may be the second person
}

func (s *site) links(ctx context.Context, _ *http.Request) (any, error) {
	all, err := s.Reader.Links(ctx, time.Time{}, time.Time{})
	if err != nil {
		return nil, err
	}
	clusters, err := s.Reader.Clusters(ctx, resolve.ByControl, time.Time{}, time.Time{})
	if err != nil {
		return nil, err
	}
	who := permission.Of(ctx)
	v := linksView{Decide: s.Linker != nil && who.May(permission.DecideLink), Approve: s.Linker != nil && who.May(permission.Approve)}
	all, v.Cut = cut(all, maxRows)
	for _, l := range all {
		if l.State == resolve.Proposed || l.State == resolve.Pending {
			v.Waiting = append(v.Waiting, l)
		} else {
			v.Decided = append(v.Decided, l)
		}
	}
	if g, ok := newLinkGraph("Parties and what links them", "", tiesOf(all, nil)); ok {
		v.Graph = &g
	}
	for _, c := range clusters {
		if len(c.Customers) > 1 {
			v.Clusters = append(v.Clusters, c)
		}
	}
	return v, nil
}

// actOnLink takes what somebody says of a link.
func (s *site) actOnLink(w http.ResponseWriter, r *http.Request) {
	id, act := r.PathValue("id"), r.PathValue("act")
	need := permission.DecideLink
	if act == "approve" {
		need = permission.Approve
	}
	form, ok := s.form(w, r, need, s.Linker != nil)
	if !ok {
		return
	}
	var err error
	switch act {
	case "approve":
		_, err = s.Linker.ApproveLink(r.Context(), id, apitypes.LinkApproval{Digest: form("digest"), Reason: form("reason")})
	case "decide":
		_, err = s.Linker.DecideLinks(r.Context(), apitypes.LinkVerdict{Links: []string{id}, Verdict: form("verdict"), Reason: form("reason")})
	default:
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's.")
		return
	}
	s.acted(w, r, "/links", err)
}
