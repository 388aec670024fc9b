package desktest

import (
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// cannedReports are a draft with gaps, an approved one and one that was filed.
func cannedReports() []desk.Report {
	value := func(text string) desk.ReportValue {
		return desk.ReportValue{Text: text, Source: "customer cus_orion", AsOf: Noon, Confidence: "recorded"}
	}
	draft := desk.Report{
		ID: "rep_0001", Version: 4, Form: "us-iaas-7308", Title: "Report of large AI model training by a foreign person", Standing: "proposed", Case: "cas_0001", Subject: "cus_orion",
		CustomerName: "Orion Labs (demonstration)", Kind: "initial", Chain: "direct", Edition: 1, State: "draft", Editable: true, Missing: 2, Clock: "initial-report",
		Due:    desk.Clock{Name: "initial-report", Basis: "earlier", Days: 15, Zone: "America/New_York", Signalled: Noon, Known: Noon, Due: "2026-12-08", Over: Noon.Add(15 * 24 * time.Hour), State: "running", DaysLeft: 15},
		Digest: strings.Repeat("5a", 32), OpenedNS: at(-20), ChangedNS: at(-2),
		Sections: []desk.ReportSection{
			{ID: "person", Title: "Foreign person", Fields: []desk.ReportField{
				{ID: "person.name", Title: "Name", Required: true, Value: value("Orion Labs (demonstration)")},
				{ID: "person.email", Title: "E-mail", Required: true, TakesNotHeld: true, Missing: true},
				{ID: "person.phone", Title: "Telephone", Required: true, TakesNotHeld: true, Value: desk.ReportValue{NotHeld: "the customer gave none", Source: "person usr_ana", AsOf: Noon, Confidence: "determined"}},
			}},
			{ID: "run", Title: "Training run", Fields: []desk.ReportField{
				{ID: "run.operations", Title: "Operations", Required: true, Value: desk.ReportValue{Columns: []string{"Run", "Basis", "Low", "Best", "High"},
					Rows: [][]string{{"run_4kq2", "from readings", "84000000000000000000000000", "91000000000000000000000000", "99000000000000000000000000"}}, Source: "run run_4kq2", AsOf: Noon, Confidence: "measured"}},
			}},
			{ID: "narrative", Title: "Narrative", Fields: []desk.ReportField{
				{ID: "narrative.text", Title: "Who, what, when, where, and how it became known", Required: true, Long: true, Missing: true},
			}},
		},
		History: []desk.CaseAct{{Version: 1, AtNS: at(-20), By: "usr_ana", Act: "open", State: "draft"}, {Version: 4, AtNS: at(-2), By: "usr_ana", Act: "set", State: "draft"}},
	}
	approved := draft
	approved.ID, approved.State, approved.Missing, approved.Version = "rep_0002", "approved", 0, 9
	approved.Authors, approved.ApprovedBy, approved.Approved = []string{"usr_ana"}, "usr_sam", Noon.Add(-time.Hour)
	approved.Sections = slices.Clone(draft.Sections)
	approved.Sections[0].Fields = slices.Clone(draft.Sections[0].Fields)
	approved.Sections[0].Fields[1].Missing, approved.Sections[0].Fields[1].Value = false, value("compliance@orion.example")
	approved.Sections[2].Fields = []desk.ReportField{{ID: "narrative.text", Title: "Who, what, when, where, and how it became known", Required: true, Long: true,
		Value: desk.ReportValue{Text: "The customer trained one model on 8,192 devices.", Source: "person usr_ana", AsOf: Noon, Confidence: "determined"}}}
	filed := approved
	filed.Due.State, filed.Due.Met = "met", Noon.Add(-30*time.Minute)
	filed.ID, filed.State, filed.Editable, filed.Version = "rep_0003", "acknowledged", false, 11
	filed.Filings = []desk.ReportFiling{{Edition: 1, Kind: "initial", Digest: filed.Digest, Method: "portal", At: Noon.Add(-30 * time.Minute), By: "usr_fay", Receipt: "fil_0001", RegulatorID: "BIS-2026-118", Status: "accepted", Answered: Noon}}
	filed.Files = []desk.CaseFile{{ID: "fil_0001", AtNS: at(0), By: "usr_fay", Name: "receipt.pdf", Media: "application/pdf", SHA256: strings.Repeat("6b", 32), Size: 4096}}
	return []desk.Report{draft, approved, filed}
}
