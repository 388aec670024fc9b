package webui

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

type coverageView struct {
	Check   desk.Check
	Rows    []desk.Coverage // who could hide most first
	Blind   int             // of the hosts
	Next    string          // host behind which the next page begins, "" for none
	NextTen string          // the same of tenants
	Map     *coverMap       // hosts by name; nil without any
	Tenants []desk.Tenant   // whose time was not all seen, least seen first
}

// coverage says where the desk is blind and how much could hide there.
func (s *site) coverage(ctx context.Context, r *http.Request) (any, error) {
	check, err := s.Reader.Check(ctx)
	if err != nil {
		return nil, err
	}
	hosts, err := s.Reader.Coverage(ctx)
	if err != nil {
		return nil, err
	}
	tenants, err := s.Reader.Tenants(ctx)
	if err != nil {
		return nil, err
	}
	v := coverageView{Check: check}
	if m, ok := newCoverMap(hosts); ok {
		v.Map = &m
	}
	hosts = slices.Clone(hosts)
	slices.SortStableFunc(hosts, func(a, b desk.Coverage) int {
		return cmp.Or(cmp.Compare(b.Hidden, a.Hidden), cmp.Compare(b.Unobserved, a.Unobserved))
	})
	for _, h := range hosts {
		if h.Unobserved > 0 {
			v.Blind++
		}
	}
	if v.Rows, v.Next, err = follow(hosts, after(r, afterQuery), func(c desk.Coverage) string { return c.Host }); err != nil {
		return nil, err
	}
	var unseen []desk.Tenant
	for i := range tenants {
		if tenants[i].Figure.Coverage < 1 {
			unseen = append(unseen, tenants[i])
		}
	}
	slices.SortStableFunc(unseen, func(a, b desk.Tenant) int { return cmp.Compare(a.Figure.Coverage, b.Figure.Coverage) })
	v.Tenants, v.NextTen, err = follow(unseen, after(r, tenantQuery), func(t desk.Tenant) string { return string(t.ID) })
	return v, err
}

// Entries of one page of the audit log.
const auditRows = 100

type auditView struct {
	Rows    []desk.AuditEntry
	Older   string // the page of older ones begins behind this entry, "" for none
	Checked bool
	Check   desk.AuditCheck
}

// audit shows the log, and holds the whole of it against its checkpoints when
// asked to: that reads all of it.
func (s *site) audit(ctx context.Context, r *http.Request) (any, error) {
	var before desk.AuditID
	if text := r.URL.Query().Get("before"); text != "" {
		var err error
		if before, err = desk.ParseAuditID(text); err != nil {
			return nil, notFound("There is no such entry of the audit log.")
		}
	}
	rows, err := s.Reader.AuditEntries(ctx, before, auditRows+1)
	if err != nil {
		return nil, err
	}
	var v auditView
	var more bool
	if v.Rows, more = cut(rows, auditRows); more {
		v.Older = v.Rows[auditRows-1].ID.String()
	}
	if r.URL.Query().Get("check") != "" {
		v.Checked = true
		v.Check, err = s.Reader.CheckAudit(ctx)
	}
	return v, err
}

type programmeView struct {
	Gaps          []desk.ProgrammeGap
	Queue         []desk.Reverification
	Cut           bool
	Certification desk.Certification
}

// programmeDays is how far ahead the queue of verifications looks.
const programmeDays = 60

func (s *site) programme(ctx context.Context, _ *http.Request) (any, error) {
	gaps, err := s.Reader.ProgrammeGaps(ctx)
	if err != nil {
		return nil, err
	}
	queue, err := s.Reader.Reverifications(ctx, programmeDays)
	if err != nil {
		return nil, err
	}
	v := programmeView{Gaps: gaps}
	v.Queue, v.Cut = cut(queue, maxRows)
	v.Certification, err = s.Reader.Certification(ctx)
	return v, err
}
