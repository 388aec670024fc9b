package webui

import (
	"context"
	"net/http"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// page is one page of the desk.
type page struct {
	path     string
	template string
	title    string
	entry    string // in the navigation, "" for none
	need     permission.Action
	read     func(context.Context, *http.Request) (any, error)
}

// allPages are the pages in the order of the navigation.
func (s *site) allPages() []page {
	return []page{
		{"/{$}", "today", "Today", "Today", permission.ReadAggregates, s.today},
		{"/findings", "findings", "Findings", "Findings", permission.ReadCases, s.findings},
		{"/cases", "cases", "Cases", "Cases", permission.ReadCases, s.cases},
		{"/cases/{id}", "case", "Case", "", permission.ReadCases, s.oneCase},
		{"/reports", "reports", "Reports", "Reports", permission.ReadReports, s.reports},
		{"/reports/{id}", "report", "Report", "", permission.ReadReports, s.report},
		{"/runs", "runs", "Training runs", "Runs", permission.ReadAggregates, s.runs},
		{"/runs/{id}", "run", "Training run", "", permission.ReadAggregates, s.run},
		{"/customers", "customers", "Customers and tenants", "Customers", permission.ReadAggregates, s.customers},
		{"/customers/{id}", "customer", "Ultimate customer", "", permission.ReadCases, s.customer},
		{"/links", "links", "Links", "Links", permission.ReadCases, s.links},
		{"/resellers", "resellers", "Resellers", "Resellers", permission.ReadCases, s.resellers},
		{"/exemptions", "exemptions", "Exemptions", "Exemptions", permission.ReadCases, s.exemptions},
		{"/programme", "programme", "Gaps of the programme", "Programme", permission.ReadCases, s.programme},
		{"/policies", "policies", "Policy lab", "Policy lab", permission.ReadPolicy, s.policies},
		{"/policies/{id}", "policy", "Policy", "", permission.ReadPolicy, s.policy},
		{"/coverage", "coverage", "Coverage", "Coverage", permission.ReadAggregates, s.coverage},
		{"/hosts", "hosts", "Hosts", "Hosts", permission.ReadAggregates, s.hosts},
		{"/fleet", "fleet", "Fleet settings", "Fleet", permission.ReadAggregates, s.fleet},
		{"/audit", "audit", "Audit log", "Audit", permission.ReadAudit, s.audit},
	}
}

// entry is an entry of the navigation.
type entry struct{ Path, Text string }

// navigation are the entries that somebody may follow.
func (s *site) navigation(who permission.Principal) []entry {
	var out []entry
	for _, p := range s.all {
		if p.entry != "" && who.May(p.need) {
			path := p.path
			if path == "/{$}" {
				path = "/"
			}
			out = append(out, entry{path, p.entry})
		}
	}
	return out
}
