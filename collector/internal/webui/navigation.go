package webui

import (
	"context"
	"net/http"
	"slices"

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
		{"/queue", "queue", "Queue", "Queue", permission.ReadCases, s.queue},
		{"/cases", "cases", "Cases", "Cases", permission.ReadCases, s.cases},
		{"/cases/{id}", "case", "Case", "", permission.ReadCases, s.oneCase},
		{"/reports", "reports", "Reports", "Reports", permission.ReadReports, s.reports},
		{"/reports/{id}", "report", "Report", "", permission.ReadReports, s.report},
		{"/findings", "findings", "Findings", "Findings", permission.ReadCases, s.findings},
		{"/findings/{id}", "finding", "Finding", "", permission.ReadCases, s.finding},
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
		{"/admin", "admin", "Administration", "Admin", permission.Administer, s.admin},
		{"/account", "account", "Your account", "", permission.ReadAggregates, s.account},
		{"/search", "search", "Search", "", permission.ReadAggregates, s.askSearch},
	}
}

// entry is an entry of the navigation.
type entry struct{ Path, Text string }

// section is entries of the navigation that belong together.
type section struct {
	Name    string
	Entries []entry
}

// sectionOf says to which section an entry belongs; what is not named is of the
// last one.
var sectionOf = map[string]int{
	"Today": 0, "Queue": 0, "Cases": 0, "Reports": 0,
	"Findings": 1, "Runs": 1, "Customers": 1, "Links": 1,
	"Resellers": 2, "Exemptions": 2, "Programme": 2, "Policy lab": 2,
	"Coverage": 3, "Hosts": 3, "Fleet": 3,
}

var sectionNames = []string{"Work", "Records", "Rules", "Fleet", "Control"}

// navigation are the entries that somebody may follow, by section.
func (s *site) navigation(who permission.Principal) []section {
	all := make([]section, len(sectionNames))
	for i, name := range sectionNames {
		all[i].Name = name
	}
	for _, p := range s.all {
		if p.entry != "" && who.May(p.need) {
			path := p.path
			if path == "/{$}" {
				path = "/"
			}
			at, known := sectionOf[p.entry]
			if !known {
				at = len(all) - 1
			}
			all[at].Entries = append(all[at].Entries, entry{path, p.entry})
		}
	}
	return slices.DeleteFunc(all, func(s section) bool { return len(s.Entries) == 0 })
}
