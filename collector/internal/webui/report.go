package webui

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// Reporter writes reports for people. What may not be done is an error with a
// method Refused, which says why in words for people.
type Reporter interface {
	OpenReport(ctx context.Context, n apitypes.NewReport) (apitypes.Report, error)
	ActOnReport(ctx context.Context, id string, version int64, act apitypes.ReportAct) (apitypes.Report, error)
	// NoteRead notes that a report is read, before it is.
	NoteRead(ctx context.Context, id string) error
}

func (s *site) reports(ctx context.Context, r *http.Request) (any, error) {
	all, err := s.Reader.Reports(ctx)
	return list(all, r, func(r desk.Report) string { return r.ID }, err)
}

type reportView struct {
	desk.Report
	May map[string]bool // acts that the reader's roles and the state allow
}

func (s *site) report(ctx context.Context, r *http.Request) (any, error) {
	report, ok, err := s.Reader.Report(ctx, r.PathValue("id"))
	if err == nil && !ok {
		err = notFound("There is no such report.")
	}
	if err == nil && s.Reporter != nil {
		err = s.Reporter.NoteRead(ctx, report.ID)
	}
	v := reportView{Report: report}
	if s.Reporter == nil {
		return v, err
	}
	who := permission.Of(ctx)
	write, state := who.May(permission.ProposeDecision) || who.May(permission.File), report.State
	v.May = map[string]bool{
		"write": write && report.Editable, "propose": write && report.Editable && report.Missing == 0 && state != "in review" && state != "approved",
		"approve": who.May(permission.Approve) && state == "in review", "complete": write && state == "approved" && report.Internal,
		"file": who.May(permission.File) && state == "approved" && !report.Internal, "answered": who.May(permission.File) && state == "submitted",
	}
	return v, err
}

// reportForms are the acts that a report's page posts.
var reportForms = map[string]string{"set": "set", "fill": "fill", "propose": "propose", "approve": "approve", "return": "return", "complete": "complete", "file": "file", "answered": "answered"}

// actOnReport takes a form of a report's page.
func (s *site) actOnReport(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	form, ok := s.formOf(w, r, permission.ReadReports, permission.ReadReports, s.Reporter != nil)
	if !ok {
		return
	}
	act, known := reportForms[r.PathValue("act")]
	version, err := strconv.ParseInt(form("version"), 10, 64)
	if !known || err != nil {
		s.problem(w, r, http.StatusBadRequest, "The form was not one of this desk's.")
		return
	}
	do := apitypes.ReportAct{Act: act, Digest: form("digest"), Reason: form("reason"), Method: form("method"), RegulatorID: form("regulator"), Status: form("status")}
	to := "/reports/" + id
	if act == "set" {
		// Browsers send lines with CRLF.
		do.Fields = []apitypes.ReportFieldValue{{Field: form("field"), Text: strings.ReplaceAll(form("text"), "\r\n", "\n"), NotHeld: form("not_held")}}
		to += "#f-" + form("field")
	}
	_, err = s.Reporter.ActOnReport(r.Context(), id, version, do)
	s.acted(w, r, to, err)
}

// openReport takes the form of a case's page that opens a report.
func (s *site) openReport(w http.ResponseWriter, r *http.Request) {
	form, ok := s.formOf(w, r, permission.ReadReports, permission.ReadReports, s.Reporter != nil)
	if !ok {
		return
	}
	opened, err := s.Reporter.OpenReport(r.Context(), apitypes.NewReport{Case: form("case"), Chain: form("chain")})
	s.acted(w, r, "/reports/"+opened.ID, err)
}
