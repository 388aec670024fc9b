package webui_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/webui"
)

// reporter notes what it is asked.
type reporter struct {
	asked, read []string
	refuse      error
}

func (r *reporter) OpenReport(_ context.Context, n apitypes.NewReport) (apitypes.Report, error) {
	r.asked = append(r.asked, "open "+n.Case+" "+n.Chain)
	return apitypes.Report{ID: "rep_new"}, r.refuse
}

func (r *reporter) ActOnReport(_ context.Context, id string, version int64, a apitypes.ReportAct) (apitypes.Report, error) {
	said := fmt.Sprint(id, " ", version, " ", a.Act, " ", a.Digest, a.Reason, a.Method, a.Status)
	for _, f := range a.Fields {
		said += fmt.Sprintf(" %s=%q/%q", f.Field, f.Text, f.NotHeld)
	}
	r.asked = append(r.asked, said)
	return apitypes.Report{}, r.refuse
}

func (r *reporter) NoteRead(_ context.Context, id string) error {
	r.read = append(r.read, id)
	return r.refuse
}

func TestReportForms(t *testing.T) {
	w := &reporter{}
	h := webui.New(webui.Deps{Reader: desktest.New(), Reporter: w})
	for _, c := range []act{
		{permission.Analyst, "/reports", "case=cas_0001&chain=direct", 303, "/reports/rep_new", "open cas_0001 direct"},
		{permission.FilingOfficer, "/reports/rep_1/set", "version=4&field=narrative.text&text=a%0D%0Ab&not_held=", 303, "/reports/rep_1#f-narrative.text", `rep_1 4 set  narrative.text="a\nb"/""`},
		{permission.SeniorReviewer, "/reports/rep_1/approve", "version=4&digest=d5", 303, "/reports/rep_1", "rep_1 4 approve d5"},
		{permission.FilingOfficer, "/reports/rep_1/file", "version=4&method=portal", 303, "/reports/rep_1", "rep_1 4 file portal"},
		{permission.FilingOfficer, "/reports/rep_1/erase", "version=4", 400, "", ""},
		{permission.Analyst, "/reports/rep_1/propose", "version=", 400, "", ""},
		{permission.Viewer, "/reports/rep_1/propose", "version=4", 404, "", ""},
		{permission.Admin, "/reports", "case=cas_0001", 404, "", ""},
	} {
		c.check(t, h, &w.asked)
	}
}

// No page without its entry in the log.
func TestAReportIsReadWithItsEntry(t *testing.T) {
	reader := desktest.New()
	all, err := reader.Reports(t.Context())
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	w := &reporter{}
	h := webui.New(webui.Deps{Reader: reader, Reporter: w})
	if got := ask(t, h, "/reports/"+all[0].ID); got.Code != http.StatusOK || len(w.read) != 1 || w.read[0] != all[0].ID {
		t.Errorf("%d, read %v", got.Code, w.read)
	}
	w.refuse = fmt.Errorf("no disk")
	if got := ask(t, h, "/reports/"+all[0].ID); got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), all[0].Title) {
		t.Errorf("%d without its entry", got.Code)
	}
}
