package httpapi

import (
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// actions says what an operation needs. What is not named here needs
// ReadAggregates to read and Administer to change; permissions.txt holds all of
// them, so that a change shows in review.
var actions = map[string]permission.Action{
	"list-cases": permission.ReadCases, "show-case": permission.ReadCases, "show-case-file": permission.ReadCases,
	"open-case": permission.WorkCases, "assign-case": permission.WorkCases, "attach-finding": permission.WorkCases, "close-case": permission.WorkCases,
	"reopen-case": permission.WorkCases, "start-clock": permission.WorkCases, "hold-case": permission.WorkCases, "note-on-case": permission.WorkCases,
	"file-on-case": permission.WorkCases, "work-on-finding": permission.WorkCases, "propose-decision": permission.ProposeDecision,
	"determine-knowledge": permission.ProposeDecision, "approve-decision": permission.Approve, "return-decision": permission.Approve, "approve-knowledge": permission.Approve,
	"list-reports": permission.ReadReports, "show-report": permission.ReadReports, "show-report-file": permission.ReadReports, "show-report-output": permission.ReadReports, "show-report-bundle": permission.ReadReports,
	// Who may read reports may not do all of this; that is told by the act itself.
	"open-report": permission.ReadReports, "set-report-fields": permission.ReadReports, "fill-report": permission.ReadReports, "propose-report": permission.ReadReports,
	"return-report": permission.ReadReports, "approve-report": permission.ReadReports, "complete-report": permission.ReadReports, "file-report": permission.ReadReports,
	"answer-report": permission.ReadReports, "amend-report": permission.ReadReports, "ask-report": permission.ReadReports, "file-on-report": permission.ReadReports,
	"show-filer": permission.ReadReports, "set-filer": permission.Administer,
	"list-findings":      permission.ReadCases,
	"export-findings":    permission.ReadCases, // each as its list
	"export-audit":       permission.ReadAudit,
	"list-customers":     permission.ReadAggregates,
	"import-customers":   permission.Import,
	"put-allocations":    permission.Import,
	"put-reservations":   permission.Import,
	"list-audit-entries": permission.ReadAudit,
	"check-audit":        permission.ReadAudit,
	"show-audit-file":    permission.ReadAudit,
	"list-channels":      permission.Administer, "make-calendar-link": permission.ReadCases, "end-calendar-link": permission.ReadCases,
	"list-users": permission.Administer, "list-grants": permission.Administer,
	"list-tokens": permission.ReadAggregates, "make-token": permission.ReadAggregates, "revoke-token": permission.ReadAggregates,
	"show-me":            permission.ReadAggregates,
	"decide-join":        permission.WorkCases,
	"list-customer-days": permission.ReadCases,
	"list-forecasts":     permission.ReadCases,
	"list-parties":       permission.ReadCases, "show-party": permission.ReadCases, "list-standings": permission.ReadCases, "show-standing": permission.ReadCases,
	"list-reverifications": permission.ReadCases, "list-resellers": permission.ReadCases, "list-exemptions": permission.ReadCases,
	"list-programme-gaps": permission.ReadCases, "show-certification": permission.ReadCases,
	"import-parties": permission.Import, "add-accesses": permission.Import, "act-on-reseller": permission.Import, "note-review": permission.Import, "screen-parties": permission.Import,
	"reveal-party": permission.Reveal, "reveal-accesses": permission.Reveal, "erase-party": permission.Administer, "add-vendor": permission.Administer,
	"propose-exemption": permission.ProposeExemption, "withdraw-exemption": permission.ProposeExemption, "approve-exemption": permission.ApproveExemption,
	"hold-customer": permission.WorkCases, "release-hold": permission.WorkCases, "decide-hit": permission.WorkCases,
	"join-runs":  permission.WorkCases,
	"list-links": permission.ReadCases, "list-link-history": permission.ReadCases, "list-clusters": permission.ReadCases, "show-cluster": permission.ReadCases,
	"decide-links": permission.DecideLink, "approve-link": permission.Approve,
	"list-packs": permission.ReadPolicy, "list-policies": permission.ReadPolicy, "show-policy": permission.ReadPolicy, "show-simulation": permission.ReadPolicy,
	"show-settings": permission.ReadPolicy, "list-settings-hosts": permission.ReadPolicy, "show-job": permission.ReadPolicy, "watch-job": permission.ReadPolicy,
	"check-policy": permission.DraftPolicy, "draft-policy": permission.DraftPolicy, "edit-policy": permission.DraftPolicy, "roll-back-policy": permission.DraftPolicy,
	"simulate-policy": permission.DraftPolicy, "cancel-job": permission.DraftPolicy, "propose-policy": permission.DraftPolicy, "withdraw-policy": permission.DraftPolicy,
	"approve-policy": permission.ApprovePolicy, "reject-policy": permission.ApprovePolicy,
	"import-revenue": permission.Import, "put-power": permission.Import,
}

// actionOf returns what an operation needs.
func actionOf(op *huma.Operation) permission.Action {
	if a, ok := actions[op.OperationID]; ok {
		return a
	}
	if op.Method == http.MethodGet || op.Method == http.MethodHead {
		return permission.ReadAggregates
	}
	return permission.Administer
}

// hidden are actions of which those who may not do them are not told what there is.
var hidden = map[permission.Action]bool{permission.ReadCases: true, permission.ReadReports: true}

// permit refuses who may not do it, before anything is read.
func permit(api huma.API) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		need, who := actionOf(ctx.Operation()), permission.Of(ctx.Context())
		mayNot := programs[ctx.Operation().OperationID]
		refused := who.Token != "" && mayNot >= noToken || slices.Contains(who.Roles, permission.Machine) && mayNot >= noProgram
		if who.May(need) && !refused {
			next(ctx)
			return
		}
		p := apitypes.NewProblem(http.StatusForbidden, "your roles do not allow this: it needs the right to "+string(need))
		switch {
		case who.May(need):
			p = apitypes.NewProblem(http.StatusForbidden, "a person does this who has signed in, and no program: your roles do not allow it to a token")
		case hidden[need]:
			p = apitypes.NewProblem(http.StatusNotFound, "there is nothing that you may see here")
		}
		ctx.SetHeader("Content-Type", apitypes.ProblemMedia)
		ctx.SetStatus(p.Status)
		// The status is sent; a client that left cannot be told more.
		_ = api.Marshal(ctx.BodyWriter(), "application/json", p)
	}
}
