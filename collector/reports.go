package collector

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/report"
	"github.com/flopwatch/flopwatch/collector/internal/report/output"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// reportwork writes reports for API and desk.
type reportwork struct {
	store   *store.Store
	reader  *store.Reader
	laws    lawbook
	key     ed25519.PrivateKey // of the collector, signs bundles
	parties parties            // who customers are
	now     func() time.Time
}

var (
	errNoForm  = errors.New("there is no such form")
	errAct     = errors.New("there is no such act on a report")
	errWriting = errors.New("your roles do not allow this: it needs the right to propose decision or to record filing")
	errFilings = errors.New("your roles do not allow this: it needs the right to record filing")
	errSecond  = errors.New("your roles do not allow this: it needs the right to approve")
	errPeriod  = errors.New("a summary is of a span of time that is over")
)

// may says what an act on a report takes beyond reading it.
func may(p permission.Principal, act string) error {
	switch act {
	case "approve", "return":
		if !p.May(permission.Approve) {
			return errSecond
		}
	case "file", "answered":
		if !p.May(permission.File) {
			return errFilings
		}
	default:
		if !p.May(permission.ProposeDecision) && !p.May(permission.File) {
			return errWriting
		}
	}
	return nil
}

// OpenReport opens a report and fills in what is known.
func (w reportwork) OpenReport(ctx context.Context, n apitypes.NewReport) (apitypes.Report, error) {
	who := permission.Of(ctx)
	if err := may(who, "open"); err != nil {
		return apitypes.Report{}, refusedReport(err)
	}
	if n.Form == "" {
		n.Form = "us-iaas-7308"
	}
	if n.Chain == "" {
		n.Chain = string(report.Direct)
	}
	f, ok := w.form(n.Form)
	if !ok {
		return apitypes.Report{}, refusedReport(errNoForm)
	}
	subject := "programme"
	if n.Case != "" {
		c, ok, err := w.reader.Case(ctx, n.Case)
		if err == nil && !ok {
			err = store.ErrNoCase
		}
		if err != nil {
			return apitypes.Report{}, refusedReport(err)
		}
		subject = c.Subject
	}
	if f.Internal {
		if !n.From.Before(n.To) || n.To.After(w.now()) {
			return apitypes.Report{}, refusedReport(errPeriod)
		}
		subject = n.From.UTC().Format(time.RFC3339) + "/" + n.To.UTC().Format(time.RFC3339)
	}
	r, err := report.New(store.NewID("rep_"), f, n.Case, subject, report.Chain(n.Chain))
	if err != nil {
		return apitypes.Report{}, refusedReport(err)
	}
	facts, err := w.facts(ctx, r, f)
	if err != nil {
		return apitypes.Report{}, err
	}
	if r, err = r.Fill(f, facts, who.ID, false); err != nil {
		return apitypes.Report{}, refusedReport(err)
	}
	if err := w.store.OpenReport(ctx, r, ""); err != nil {
		return apitypes.Report{}, refusedReport(err)
	}
	return w.show(ctx, r.ID)
}

// ActOnReport does one act.
func (w reportwork) ActOnReport(ctx context.Context, id string, version int64, act apitypes.ReportAct) (apitypes.Report, error) {
	who := permission.Of(ctx)
	if err := may(who, act.Act); err != nil {
		return apitypes.Report{}, refusedReport(err)
	}
	var shown approval.Digest
	if act.Digest != "" {
		if n, err := hex.Decode(shown[:], []byte(act.Digest)); err != nil || n != len(shown) {
			return apitypes.Report{}, &httpapi.Refusal{Status: http.StatusUnprocessableEntity, Why: "digest: must be 64 hexadecimal digits"}
		}
	}
	if act.Receipt != "" {
		if err := w.store.HasReportFile(ctx, id, act.Receipt); err != nil {
			return apitypes.Report{}, refusedReport(err)
		}
	}
	r, f, err := w.reader.ReportVersion(ctx, id, 0)
	if err != nil {
		return apitypes.Report{}, refusedReport(err)
	}
	var facts report.Facts
	if act.Act == "fill" {
		if facts, err = w.facts(ctx, r, f); err != nil {
			return apitypes.Report{}, err
		}
	}
	packs, err := w.laws.latest(ctx)
	if err != nil {
		return apitypes.Report{}, err
	}
	change := func(r report.Report, c casefile.Case, checkpoint string, now time.Time) (report.Report, casefile.Case, error) {
		var err error
		switch act.Act {
		case "set":
			for _, v := range act.Fields {
				said := report.Value{Text: v.Text, NotHeld: v.NotHeld, Source: v.Source}
				if len(v.Columns) > 0 {
					said.Table = &report.Table{Columns: v.Columns, Rows: v.Rows}
				}
				if r, err = r.Set(f, v.Field, report.ByPerson(said, who.ID, now), who.ID); err != nil {
					break
				}
			}
		case "fill":
			r, err = r.Fill(f, facts, who.ID, act.All)
		case "propose":
			r, err = r.Propose(f, who.ID, now)
		case "return":
			r, err = r.Return(who.ID, act.Reason)
		case "approve":
			r, err = r.Approve(approverOf(who), shown, checkpoint, now)
		case "complete":
			r, err = r.Complete(f)
		case "file":
			return w.file(f, r, c, act, who.ID, now)
		case "answered":
			r, err = r.Answered(report.Status(act.Status), act.RegulatorID, act.Receipt, act.Reason, now)
		case "amend":
			if r, err = r.Amend(f, report.Kind(act.Kind), who.ID); err == nil {
				c, err = start(packs, c, f.Clock(r.Kind, r.Chain), act.At, now)
			}
		case "ask":
			if r, err = r.Ask(f, report.Request{Text: act.Text, Received: act.At}, who.ID, now); err == nil {
				c, err = start(packs, c, f.Clock(r.Kind, r.Chain), act.At, now)
			}
		default:
			err = errAct
		}
		return r, c, err
	}
	if _, err := w.store.ActOnReport(ctx, id, store.ReportAct{Name: act.Act, Version: version, Note: act.Reason, Change: change}); err != nil {
		return apitypes.Report{}, refusedReport(err)
	}
	return w.show(ctx, id)
}

// file records a filing, which meets the clock of the case.
func (w reportwork) file(f *report.Form, r report.Report, c casefile.Case, act apitypes.ReportAct, by string, now time.Time) (report.Report, casefile.Case, error) {
	at := act.At
	if at.IsZero() {
		at = now
	}
	next, err := r.File(f, report.Filing{Method: act.Method, At: at, By: by, Receipt: act.Receipt, RegulatorID: act.RegulatorID}, now)
	if err != nil || r.Case == "" {
		return next, c, err
	}
	if r.Kind == report.Initial && c.State != casefile.CaseReportable {
		return next, c, store.ErrUndecided
	}
	if name, ok := c.Running(f.Clock(r.Kind, r.Chain)); ok {
		if c, err = c.Meet(name, at); err != nil {
			return next, c, err
		}
	}
	// What came through a reseller meets the clock that the crossing started too:
	// the longer time is the one that holds.
	if name, ok := c.Running(f.Clock(report.Initial, report.Direct)); ok && r.Kind == report.Initial && r.Chain != report.Direct {
		c, err = c.Meet(name, at)
	}
	return next, c, err
}

// start starts a clock of the case's pack; nothing where the form or the pack has none.
func start(packs map[string]*policy.Pack, c casefile.Case, name string, from, now time.Time) (casefile.Case, error) {
	if name == "" || c.ID == "" {
		return c, nil
	}
	o, ok, err := obligation(packs, c.Obligation, name)
	if err != nil || !ok {
		return c, err
	}
	if from.IsZero() {
		from = now
	}
	return c.StartAgain(o, from, now)
}

// FileOnReport adds a receipt or an attachment.
func (w reportwork) FileOnReport(ctx context.Context, id, name, media string, content []byte) (apitypes.Report, error) {
	if err := may(permission.Of(ctx), "attach"); err != nil {
		return apitypes.Report{}, refusedReport(err)
	}
	if _, err := w.store.AddReportFile(ctx, id, name, media, content); err != nil {
		return apitypes.Report{}, refusedReport(err)
	}
	return w.show(ctx, id)
}

// Output returns a version of a report in a format.
func (w reportwork) Output(ctx context.Context, id string, version int64, format string) (media string, content []byte, err error) {
	r, f, err := w.reader.ReportVersion(ctx, id, version)
	if err != nil {
		return "", nil, refusedReport(err)
	}
	if err := w.NoteRead(ctx, id); err != nil {
		return "", nil, err
	}
	d, err := r.Document(f)
	if err != nil {
		return "", nil, err
	}
	content, err = output.Write(d, format)
	return output.Media[format], content, err
}

// NoteRead notes that a report is read.
func (w reportwork) NoteRead(ctx context.Context, id string) error {
	return w.store.NoteRead(ctx, audit.Object{Kind: "report", ID: id})
}

// Filer returns what the provider says of itself.
func (w reportwork) Filer(ctx context.Context) (apitypes.Filer, error) {
	f, _, err := w.reader.Filer(ctx)
	return apitypes.Filer{Name: f["name"], Address: f["address"], Contact: f["contact"], Email: f["email"], Phone: f["phone"]}, err
}

// SetFiler records what the provider says of itself.
func (w reportwork) SetFiler(ctx context.Context, f apitypes.Filer) (apitypes.Filer, error) {
	err := w.store.SetFiler(ctx, map[string]string{"name": f.Name, "address": f.Address, "contact": f.Contact, "email": f.Email, "phone": f.Phone})
	return f, err
}

func (w reportwork) form(id string) (*report.Form, bool) {
	for _, f := range report.Forms() {
		if f.ID == id {
			return f, true
		}
	}
	return nil, false
}

func (w reportwork) show(ctx context.Context, id string) (apitypes.Report, error) {
	r, ok, err := w.reader.Report(ctx, id)
	if err == nil && !ok {
		err = store.ErrNoReport
	}
	return apitypes.FromReport(r), err
}

// facts gathers what a report can be filled in from.
func (w reportwork) facts(ctx context.Context, r report.Report, f *report.Form) (report.Facts, error) {
	out := report.Facts{AsOf: w.now().UTC().Truncate(time.Second)}
	var err error
	if out.Filer, out.FilerAsOf, err = w.reader.Filer(ctx); err != nil {
		return out, err
	}
	packs, err := w.laws.latest(ctx)
	if err != nil {
		return out, err
	}
	if p, ok := packs[f.Pack]; ok {
		out.Pack = fmt.Sprintf("%s version %d (%s, %s), SHA-256 %x", p.ID, p.Version, p.Status, p.Citation, p.Digest)
	}
	if out.Customers, err = w.reader.Customers(ctx); err != nil {
		return out, err
	}
	if out.Tenants, err = w.reader.Tenants(ctx); err != nil {
		return out, err
	}
	if r.Case == "" {
		if out.Findings, err = w.reader.Findings(ctx, desk.FindingQuery{}); err != nil {
			return out, err
		}
		return out, w.programme(ctx, r, f, &out)
	}
	var ok bool
	if out.Case, ok, err = w.reader.Case(ctx, r.Case); err != nil || !ok {
		return out, errors.Join(err, map[bool]error{false: store.ErrNoCase}[ok])
	}
	for _, c := range out.Customers {
		if c.ID == out.Case.Subject {
			out.Customer = c
		}
	}
	if out.Findings, err = w.reader.Findings(ctx, desk.FindingQuery{IDs: out.Case.Findings}); err != nil {
		return out, err
	}
	if out.Runs, err = w.runsOf(ctx, out.Case.Subject, out.Findings); err != nil {
		return out, err
	}
	for i := range out.Runs {
		x := &out.Runs[i]
		if x.Evidence, err = w.reader.Evidence(ctx, x.Tenant, x.StartNS, x.EndNS); err != nil {
			return out, err
		}
	}
	out.Known, err = w.identify(ctx, r.ID, out)
	return out, err
}

// runsOf returns the runs that findings of a case are about, most operations
// first: those that they name, and all of the subject's where one is about
// everything that the subject did.
func (w reportwork) runsOf(ctx context.Context, subject string, findings []desk.Finding) ([]desk.Run, error) {
	named, whole := []string{}, false
	for _, f := range findings {
		named = append(named, f.Subject)
		whole = whole || !strings.HasPrefix(f.Subject, "run_")
	}
	runs, err := w.reader.Runs(ctx, desk.RunQuery{IDs: named})
	if err != nil || !whole {
		return runs, err
	}
	q := desk.RunQuery{Customer: subject}
	if tenant, ok := strings.CutPrefix(subject, "tenant:"); ok {
		q = desk.RunQuery{Tenant: measure.TenantID(tenant)}
	}
	own, err := w.reader.Runs(ctx, q)
	for _, run := range own {
		if !slices.Contains(named, run.ID) {
			runs = append(runs, run)
		}
	}
	slices.SortStableFunc(runs, func(a, b desk.Run) int {
		return cmp.Or(cmp.Compare(b.Figure.Combined().Best, a.Figure.Combined().Best), cmp.Compare(a.ID, b.ID))
	})
	return runs, err
}

// programme gathers what a report about the programme says.
func (w reportwork) programme(ctx context.Context, r report.Report, f *report.Form, out *report.Facts) error {
	certification, err := w.reader.Certification(ctx)
	if err != nil {
		return err
	}
	out.Known = certified(certification)
	if out.Cases, err = w.reader.Cases(ctx); err != nil || !f.Internal {
		return err
	}
	from, to, _ := strings.Cut(r.Subject, "/")
	if out.From, err = time.Parse(time.RFC3339, from); err != nil {
		return fmt.Errorf("report %s: its span: %w", r.ID, err)
	}
	if out.To, err = time.Parse(time.RFC3339, to); err != nil {
		return fmt.Errorf("report %s: its span: %w", r.ID, err)
	}
	out.Totals, err = w.reader.Totals(ctx, out.From.UnixNano(), out.To.UnixNano())
	return err
}

// refusedReport tells what people may not do from what went wrong.
func refusedReport(err error) error {
	for _, r := range []struct {
		err    error
		status int
	}{
		{store.ErrNoReport, http.StatusNotFound}, {store.ErrNoReceipt, http.StatusUnprocessableEntity}, {store.ErrUndecided, http.StatusConflict},
		{report.ErrVersion, http.StatusPreconditionFailed}, {report.ErrTransition, http.StatusConflict}, {report.ErrReason, http.StatusUnprocessableEntity},
		{report.ErrField, http.StatusUnprocessableEntity}, {report.ErrNotHeld, http.StatusUnprocessableEntity}, {report.ErrIncomplete, http.StatusConflict},
		{report.ErrInput, http.StatusUnprocessableEntity}, {report.ErrKind, http.StatusUnprocessableEntity}, {report.ErrFiling, http.StatusConflict},
		{errNoForm, http.StatusUnprocessableEntity}, {errPeriod, http.StatusUnprocessableEntity}, {errWriting, http.StatusForbidden}, {errFilings, http.StatusForbidden}, {errSecond, http.StatusForbidden},
	} {
		if errors.Is(err, r.err) {
			return &httpapi.Refusal{Status: r.status, Why: r.err.Error()}
		}
	}
	return refusalOf(err)
}
