package httpapi

import (
	"cmp"
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// PageQuery is exported because the router fills embedded structs only then. It holds
// the parameters of every list.
type PageQuery struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"100" doc:"Most items of one page"`
	Cursor string `query:"cursor" maxLength:"400" doc:"The next of the page before"`
}

type runsQuery struct {
	PageQuery
	Tenant string `query:"tenant" maxLength:"200" doc:"Only runs of this tenant"`
}

type list[T any] struct {
	Body apitypes.List[T]
}

func (s *server) registerLists(api huma.API) {
	get(api, "/v1/tenants", "list-tenants", "Tenants with their totals, most operations first", func(ctx context.Context, q *PageQuery) (*list[apitypes.Tenant], error) {
		all, err := s.Reader.Tenants(ctx)
		if err != nil {
			return nil, s.failed(ctx, "tenants", err)
		}
		return page(all, *q, apitypes.FromTenant, func(t apitypes.Tenant) string { return t.ID })
	})
	get(api, "/v1/customers", "list-customers", "Customers with their tenants", func(ctx context.Context, q *PageQuery) (*list[apitypes.Customer], error) {
		all, err := s.Reader.Customers(ctx)
		if err != nil {
			return nil, s.failed(ctx, "customers", err)
		}
		return page(all, *q, apitypes.FromCustomer, func(c apitypes.Customer) string { return c.ID })
	})
	get(api, "/v1/runs", "list-runs", "Training runs, most operations first", func(ctx context.Context, q *runsQuery) (*list[apitypes.Run], error) {
		all, err := s.Reader.Runs(ctx, measure.TenantID(q.Tenant), 0)
		if err != nil {
			return nil, s.failed(ctx, "runs", err)
		}
		return page(all, q.PageQuery, apitypes.FromRun, func(r apitypes.Run) string { return r.ID })
	})
	get(api, "/v1/findings", "list-findings", "Findings with the work on them, newest first", s.listFindings)
	get(api, "/v1/hosts", "list-hosts", "Reporting hosts by name", func(ctx context.Context, q *PageQuery) (*list[apitypes.Host], error) {
		all, err := s.Reader.Hosts(ctx)
		if err != nil {
			return nil, s.failed(ctx, "hosts", err)
		}
		return page(all, *q, apitypes.FromHost, func(h apitypes.Host) string { return h.ID })
	})
	get(api, "/v1/coverage", "list-coverage", "Where each host's devices were blind", func(ctx context.Context, q *PageQuery) (*list[apitypes.Coverage], error) {
		all, err := s.Reader.Coverage(ctx)
		if err != nil {
			return nil, s.failed(ctx, "coverage", err)
		}
		return page(all, *q, apitypes.FromCoverage, func(c apitypes.Coverage) string { return c.Host })
	})
}

type findingsQuery struct {
	PageQuery
	State string `query:"state" enum:"open,triaged,attached,dismissed,suppressed" doc:"Only findings on which the work stands so"`
}

func (s *server) listFindings(ctx context.Context, q *findingsQuery) (*list[apitypes.Finding], error) {
	all, err := s.Reader.Findings(ctx, 0)
	if err != nil {
		return nil, s.failed(ctx, "findings", err)
	}
	work, err := s.Reader.FindingWork(ctx)
	if err != nil {
		return nil, s.failed(ctx, "work on findings", err)
	}
	state := func(f desk.Finding) string { return cmp.Or(work[f.ID].State, "open") }
	if q.State != "" {
		all = slices.DeleteFunc(slices.Clone(all), func(f desk.Finding) bool { return state(f) != q.State })
	}
	return page(all, q.PageQuery, func(f desk.Finding) apitypes.Finding {
		return apitypes.FromFinding(f, work[f.ID])
	}, func(f apitypes.Finding) string { return f.ID })
}

// page cuts one page out of an ordered list. The cursor holds the id of the last
// item sent, so items that arrive in front of it shift nothing; a list whose
// order moves meanwhile may show an item twice or not until the next reading.
func page[D, T any](all []D, q PageQuery, convert func(D) T, id func(T) string) (*list[T], error) {
	start := 0
	if q.Cursor != "" {
		after, ok := cursorID(q.Cursor)
		if !ok {
			return nil, badCursor()
		}
		found := false
		for i, d := range all {
			if id(convert(d)) == after {
				start, found = i+1, true
				break
			}
		}
		if !found {
			return nil, apitypes.NewProblem(http.StatusGone, "the list no longer has the item after which to go on; start again without a cursor")
		}
	}
	end := min(start+q.Limit, len(all))
	out := &list[T]{Body: apitypes.List[T]{Items: apitypes.Each(all[start:end], convert)}}
	if end < len(all) {
		out.Body.Next = cursorAfter(id(out.Body.Items[end-start-1]))
	}
	return out, nil
}

const cursorPrefix = "after:"

func cursorAfter(id string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(cursorPrefix + id))
}

func cursorID(cursor string) (id string, ok bool) {
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	id, ok = strings.CutPrefix(string(raw), cursorPrefix)
	return id, ok && err == nil
}

func badCursor() error {
	return apitypes.NewProblem(http.StatusBadRequest, "the cursor is not one of this API", "cursor: must be the next of an earlier page")
}
