package httpapi

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
)

// Linker takes what people say of links. What may not be done is a Refusal.
type Linker interface {
	DecideLinks(ctx context.Context, v apitypes.LinkVerdict) ([]apitypes.Link, error)
	ApproveLink(ctx context.Context, id string, a apitypes.LinkApproval) (apitypes.Link, error)
}

// AsOf is exported because the router fills embedded structs only then.
type AsOf struct {
	At      string `query:"at" format:"date-time" doc:"How it was at this time; now if absent"`
	KnownAt string `query:"known_at" format:"date-time" doc:"By what was recorded up to this time; now if absent"`
}

func (q AsOf) times() (valid, known time.Time, err error) {
	for _, t := range []struct {
		text string
		into *time.Time
	}{{q.At, &valid}, {q.KnownAt, &known}} {
		if t.text == "" {
			continue
		}
		if *t.into, err = apitypes.ParseTime(t.text); err != nil {
			return valid, known, apitypes.NewProblem(http.StatusUnprocessableEntity, "at and known_at must be times such as 2026-11-23T12:00:00Z")
		}
	}
	return valid, known, nil
}

type linksQuery struct {
	PageQuery
	AsOf
	State string `query:"state" enum:"proposed,automatic,pending,accepted,rejected,split,withdrawn"`
	Class string `query:"class" enum:"identity,control,coordination"`
}

type linkPath struct {
	PageQuery
	ID string `path:"id" pattern:"^lnk_[a-z0-9]{1,40}$"`
}

type linkVerdictInput struct{ Body apitypes.LinkVerdict }

type linkApprovalInput struct {
	ID   string `path:"id" pattern:"^lnk_[a-z0-9]{1,40}$"`
	Body apitypes.LinkApproval
}

type clustersQuery struct {
	PageQuery
	AsOf
	Level string `query:"level" enum:"account,customer,identity,control,coordination,reseller" default:"control"`
}

type ultimateQuery struct {
	AsOf
	ID string `path:"id" minLength:"1" maxLength:"200"`
}

func (s *server) registerLinks(api huma.API) {
	get(api, "/v1/links", "list-links", "Links of parties as they stand, strongest first", func(ctx context.Context, q *linksQuery) (*list[apitypes.Link], error) {
		valid, known, err := q.times()
		if err != nil {
			return nil, err
		}
		all, err := s.Reader.Links(ctx, valid, known)
		if err != nil {
			return nil, s.failed(ctx, "links", err)
		}
		var kept []desk.Link
		for _, l := range all {
			if (q.State == "" || q.State == string(l.State)) && (q.Class == "" || q.Class == string(l.Class)) {
				kept = append(kept, l)
			}
		}
		return page(kept, q.PageQuery, apitypes.FromLink, func(l apitypes.Link) string { return l.ID })
	})
	get(api, "/v1/links/{id}", "list-link-history", "All states of a link, first recorded first", func(ctx context.Context, q *linkPath) (*list[apitypes.Link], error) {
		all, err := s.Reader.LinkHistory(ctx, q.ID)
		if err != nil {
			return nil, s.failed(ctx, "history of a link", err)
		}
		if len(all) == 0 {
			return nil, apitypes.NewProblem(http.StatusNotFound, "there is no such link")
		}
		return page(all, q.PageQuery, apitypes.FromLink, func(l apitypes.Link) string { return l.Recorded.String() + l.State })
	})
	get(api, "/v1/clusters", "list-clusters", "What is taken together at a level, most operations first", func(ctx context.Context, q *clustersQuery) (*list[apitypes.Cluster], error) {
		valid, known, err := q.times()
		if err != nil {
			return nil, err
		}
		all, err := s.Reader.Clusters(ctx, resolve.Level(q.Level), valid, known)
		if err != nil {
			return nil, s.failed(ctx, "clusters", err)
		}
		return page(all, q.PageQuery, apitypes.FromCluster, func(c apitypes.Cluster) string { return c.ID })
	})
	get(api, "/v1/clusters/{id}", "show-cluster", "Who is behind an account, customer or cluster: totals by level, links, what is left without each, owners",
		func(ctx context.Context, q *ultimateQuery) (*answer[apitypes.Ultimate], error) {
			valid, known, err := q.times()
			if err != nil {
				return nil, err
			}
			u, ok, err := s.Reader.UltimateCustomer(ctx, q.ID, valid, known)
			if err != nil {
				return nil, s.failed(ctx, "ultimate customer", err)
			}
			if !ok {
				return nil, apitypes.NewProblem(http.StatusNotFound, "nothing is taken together under this id at that time")
			}
			return &answer[apitypes.Ultimate]{apitypes.FromUltimate(u)}, nil
		})
	act(api, http.MethodPost, "/v1/links/decisions", "decide-links", "Accept, reject or take apart links, all or none", func(ctx context.Context, in *linkVerdictInput) (*answer[apitypes.List[apitypes.Link]], error) {
		if s.Linker == nil {
			return nil, noLinks()
		}
		all, err := s.Linker.DecideLinks(ctx, in.Body)
		if err != nil {
			return nil, s.acted(ctx, "decide on links", err)
		}
		return &answer[apitypes.List[apitypes.Link]]{apitypes.List[apitypes.Link]{Items: all}}, nil
	})
	act(api, http.MethodPost, "/v1/links/{id}/approvals", "approve-link", "Approve a bridge by its digest, as a second person", func(ctx context.Context, in *linkApprovalInput) (*answer[apitypes.Link], error) {
		if s.Linker == nil {
			return nil, noLinks()
		}
		l, err := s.Linker.ApproveLink(ctx, in.ID, in.Body)
		if err != nil {
			return nil, s.acted(ctx, "approve link", err)
		}
		return &answer[apitypes.Link]{l}, nil
	})
}

func noLinks() error {
	return apitypes.NewProblem(http.StatusNotImplemented, "this collector keeps no links")
}
