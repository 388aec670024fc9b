package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
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
		after, err := q.after()
		if err != nil {
			return nil, err
		}
		runs, err := s.Reader.Runs(ctx, desk.RunQuery{Tenant: measure.TenantID(q.Tenant), After: after, Limit: q.Limit + 1})
		if err != nil {
			return nil, s.listFailed(ctx, "runs", err)
		}
		return firstPage(runs, q.Limit, apitypes.FromRun, func(r apitypes.Run) string { return r.ID }), nil
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
	after, err := q.after()
	if err != nil {
		return nil, err
	}
	findings, work, err := s.findingsAfter(ctx, q.State, after, q.Limit+1)
	if err != nil {
		return nil, err
	}
	return firstPage(findings, q.Limit, func(f desk.Finding) apitypes.Finding {
		return apitypes.FromFinding(f, work[f.ID])
	}, func(f apitypes.Finding) string { return f.ID }), nil
}

// findingsAfter reads findings and the work on them.
func (s *server) findingsAfter(ctx context.Context, state, after string, limit int) ([]desk.Finding, map[string]desk.FindingWork, error) {
	findings, err := s.Reader.Findings(ctx, desk.FindingQuery{State: state, After: after, Limit: limit})
	if err != nil {
		return nil, nil, s.listFailed(ctx, "findings", err)
	}
	ids := make([]string, len(findings))
	for i, f := range findings {
		ids[i] = f.ID
	}
	work, err := s.Reader.FindingWork(ctx, ids)
	if err != nil {
		return nil, nil, s.failed(ctx, "work on findings", err)
	}
	return findings, work, nil
}

// after is the item of the cursor, "" for the first page.
func (q PageQuery) after() (id string, err error) {
	if q.Cursor == "" {
		return "", nil
	}
	id, ok := cursorID(q.Cursor)
	if !ok {
		return "", badCursor()
	}
	return id, nil
}

// listFailed answers for a list that could not be read.
func (s *server) listFailed(ctx context.Context, what string, err error) error {
	if errors.Is(err, desk.ErrGone) {
		return cursorGone()
	}
	return s.failed(ctx, what, err)
}

func cursorGone() error {
	return apitypes.NewProblem(http.StatusGone, desk.ErrGone.Error()+"; start again without a cursor")
}

// firstPage is a page of which one item more than fits was read.
func firstPage[D, T any](all []D, limit int, convert func(D) T, id func(T) string) *list[T] {
	out := &list[T]{Body: apitypes.List[T]{Items: apitypes.Each(all[:min(limit, len(all))], convert)}}
	if len(all) > limit {
		out.Body.Next = cursorAfter(id(out.Body.Items[limit-1]))
	}
	return out
}

// page cuts one page out of an ordered list. The cursor holds the id of the last
// item sent, so items that arrive in front of it shift nothing; a list whose
// order moves meanwhile may show an item twice or not until the next reading.
func page[D, T any](all []D, q PageQuery, convert func(D) T, id func(T) string) (*list[T], error) {
	after, err := q.after()
	if err != nil {
		return nil, err
	}
	if after != "" {
		i := slices.IndexFunc(all, func(d D) bool { return id(convert(d)) == after })
		if i < 0 {
			return nil, cursorGone()
		}
		all = all[i+1:]
	}
	return firstPage(all[:min(len(all), q.Limit+1)], q.Limit, convert, id), nil
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
