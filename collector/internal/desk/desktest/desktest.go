// Package desktest is a desk.Reader over canned views, for tests and for looking
// at pages without a collector.
package desktest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Reader answers from its fields. Err, if set, is returned by every method. It
// may be used from many goroutines; change the fields before the first use and
// then only by Advance.
type Reader struct {
	StatusView   desk.Status
	TenantList   []desk.Tenant
	CustomerList []desk.Customer
	RunList      []desk.Run
	DayViews     map[string][]desk.RunDay
	TotalsView   desk.Totals
	CoverageList []desk.Coverage
	EvidenceView desk.Evidence
	PowerList    []desk.PowerSlot
	HostList     []desk.Host
	FindingList  []desk.Finding
	EventList    []desk.Event
	AllocList    []desk.Allocation
	CorrectList  []desk.Correction
	AuditList    []desk.AuditEntry
	AuditView    desk.AuditCheck
	CheckView    desk.Check
	CaseList     []desk.Case
	ReportList   []desk.Report
	WorkView     map[string]desk.FindingWork
	PartyViews
	LinkList     []desk.Link
	UltimateView desk.Ultimate
	Policing
	Err           error
	mu            sync.Mutex
	spans         [][2]int64
	statusQueries int
}

var _ desk.Reader = (*Reader)(nil)

// Advance grows the revision, as a commit does.
func (r *Reader) Advance() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.StatusView.Revision++
	r.StatusView.Watermark += int64(10 * time.Second)
}

// Spans are the arguments of the Totals calls so far.
func (r *Reader) Spans() [][2]int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.spans)
}

// Status returns StatusView.
func (r *Reader) Status(context.Context) (desk.Status, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.statusQueries++
	return r.StatusView, r.Err
}

// StatusQueries is how often Status was called.
func (r *Reader) StatusQueries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.statusQueries
}

// Cases returns CaseList.
func (r *Reader) Cases(context.Context) ([]desk.Case, error) { return r.CaseList, r.Err }

// Case returns the case of an id.
func (r *Reader) Case(_ context.Context, id string) (desk.Case, bool, error) {
	for _, c := range r.CaseList {
		if c.ID == id {
			return c, true, r.Err
		}
	}
	return desk.Case{}, false, r.Err
}

// CaseFileContent returns a file of a case; its content is its name.
func (r *Reader) CaseFileContent(_ context.Context, caseID, id string) (desk.CaseFile, []byte, bool, error) {
	for _, c := range r.CaseList {
		for _, f := range c.Files {
			if c.ID == caseID && f.ID == id {
				return f, []byte(f.Name), true, r.Err
			}
		}
	}
	return desk.CaseFile{}, nil, false, r.Err
}

// FindingWork returns WorkView.
func (r *Reader) FindingWork(context.Context, []string) (map[string]desk.FindingWork, error) {
	return r.WorkView, r.Err
}

// Tenants returns TenantList.
func (r *Reader) Tenants(context.Context) ([]desk.Tenant, error) { return r.TenantList, r.Err }

// Customers returns CustomerList.
func (r *Reader) Customers(context.Context) ([]desk.Customer, error) { return r.CustomerList, r.Err }

// Runs returns the runs of a query.
func (r *Reader) Runs(_ context.Context, q desk.RunQuery) ([]desk.Run, error) {
	all, err := behind(r.RunList, q.After, func(run desk.Run) string { return run.ID })
	if err != nil || r.Err != nil {
		return nil, errors.Join(err, r.Err)
	}
	var out []desk.Run
	for _, run := range all {
		if (q.Tenant == "" || run.Tenant == q.Tenant) && (q.IDs == nil || slices.Contains(q.IDs, run.ID)) && (q.Customer == "" || run.CustomerID == q.Customer) && strings.HasPrefix(run.ID, q.Prefix) {
			out = append(out, run)
		}
	}
	return head(out, q.Limit), nil
}

// behind is what follows an item of a list.
func behind[T any](all []T, after string, id func(T) string) ([]T, error) {
	if after == "" {
		return all, nil
	}
	i := slices.IndexFunc(all, func(t T) bool { return id(t) == after })
	if i < 0 {
		return nil, desk.ErrGone
	}
	return all[i+1:], nil
}

// RunDays returns DayViews of a run.
func (r *Reader) RunDays(_ context.Context, id string) ([]desk.RunDay, error) {
	return r.DayViews[id], r.Err
}

// Totals returns TotalsView with the span that was asked for.
func (r *Reader) Totals(_ context.Context, fromNS, toNS int64) (desk.Totals, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.spans = append(r.spans, [2]int64{fromNS, toNS})
	t := r.TotalsView
	t.FromNS, t.ToNS = fromNS, toNS
	return t, r.Err
}

// Coverage returns CoverageList.
func (r *Reader) Coverage(context.Context) ([]desk.Coverage, error) { return r.CoverageList, r.Err }

// Evidence returns EvidenceView.
func (r *Reader) Evidence(context.Context, measure.TenantID, int64, int64) (desk.Evidence, error) {
	return r.EvidenceView, r.Err
}

// Power returns PowerList.
func (r *Reader) Power(_ context.Context, host string, limit int) ([]desk.PowerSlot, error) {
	var out []desk.PowerSlot
	for _, p := range r.PowerList {
		if host == "" || p.Host == host {
			out = append(out, p)
		}
	}
	return head(out, limit), r.Err
}

// Hosts returns HostList.
func (r *Reader) Hosts(context.Context) ([]desk.Host, error) { return r.HostList, r.Err }

// Findings returns the findings of a query.
func (r *Reader) Findings(_ context.Context, q desk.FindingQuery) ([]desk.Finding, error) {
	all, err := behind(r.FindingList, q.After, func(f desk.Finding) string { return f.ID })
	if err != nil || r.Err != nil {
		return nil, errors.Join(err, r.Err)
	}
	var out []desk.Finding
	for _, f := range all {
		if (q.IDs == nil || slices.Contains(q.IDs, f.ID)) && (q.State == "" || cmp.Or(r.WorkView[f.ID].State, "open") == q.State) &&
			(q.By == "" || r.WorkView[f.ID].By == q.By) && strings.HasPrefix(f.ID, q.Prefix) &&
			(q.About == nil || slices.Contains(q.About, f.Subject) || slices.Contains(q.About, f.CustomerID)) {
			out = append(out, f)
		}
	}
	return head(out, q.Limit), nil
}

// HighestFindings returns the first with the highest threshold of each subject.
func (r *Reader) HighestFindings(_ context.Context, subjects []string) (map[string]desk.Finding, error) {
	out := map[string]desk.Finding{}
	for _, f := range r.FindingList {
		if slices.Contains(subjects, f.Subject) && f.Threshold > out[f.Subject].Threshold {
			out[f.Subject] = desk.Finding{ID: f.ID, Subject: f.Subject, Threshold: f.Threshold, Pack: f.Pack, PackStatus: f.PackStatus}
		}
	}
	return out, r.Err
}

// Events returns what the filter lets through of EventList.
func (r *Reader) Events(_ context.Context, filter desk.EventFilter) ([]desk.Event, error) {
	var out []desk.Event
	for _, e := range r.EventList {
		if (filter.Host == "" || e.Host == filter.Host) && (filter.Kind == "" || string(e.Kind) == filter.Kind) &&
			(filter.AfterID == 0 || int64(e.ID) < filter.AfterID) {
			out = append(out, e)
		}
	}
	return head(out, filter.Rows()), r.Err
}

// Check returns CheckView.
func (r *Reader) Check(context.Context) (desk.Check, error) { return r.CheckView, r.Err }

func head[T any](in []T, limit int) []T {
	if limit > 0 && len(in) > limit {
		return in[:limit]
	}
	return in
}

// Allocations returns AllocList.
func (r *Reader) Allocations(context.Context) ([]desk.Allocation, error) { return r.AllocList, r.Err }

// AuditEntries returns what of AuditList comes after the given one.
func (r *Reader) AuditEntries(_ context.Context, before desk.AuditID, limit int) ([]desk.AuditEntry, error) {
	var out []desk.AuditEntry
	for _, e := range r.AuditList {
		if (before == 0 || e.ID < before) && (limit <= 0 || len(out) < limit) {
			out = append(out, e)
		}
	}
	return out, r.Err
}

// CheckAudit returns AuditView.
func (r *Reader) CheckAudit(context.Context) (desk.AuditCheck, error) { return r.AuditView, r.Err }

// Corrections returns what of CorrectList comes after the given one.
func (r *Reader) Corrections(_ context.Context, before desk.CorrectionID, limit int) ([]desk.Correction, error) {
	var out []desk.Correction
	for _, c := range r.CorrectList {
		if (before == 0 || c.ID < before) && (limit <= 0 || len(out) < limit) {
			out = append(out, c)
		}
	}
	return out, r.Err
}

// Reports returns ReportList without what only a single report has.
func (r *Reader) Reports(context.Context) ([]desk.Report, error) {
	out := slices.Clone(r.ReportList)
	for i := range out {
		out[i].Sections, out[i].History, out[i].Files = nil, nil, nil
	}
	return out, r.Err
}

// Report returns the report of an id.
func (r *Reader) Report(_ context.Context, id string) (desk.Report, bool, error) {
	for _, one := range r.ReportList {
		if one.ID == id {
			return one, true, r.Err
		}
	}
	return desk.Report{}, false, r.Err
}

// ReportFileContent returns a file of a report; its content is its name.
func (r *Reader) ReportFileContent(_ context.Context, report, id string) (desk.CaseFile, []byte, bool, error) {
	for _, one := range r.ReportList {
		for _, f := range one.Files {
			if one.ID == report && f.ID == id {
				return f, []byte(f.Name), true, r.Err
			}
		}
	}
	return desk.CaseFile{}, nil, false, r.Err
}
