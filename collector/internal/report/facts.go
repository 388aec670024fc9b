package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// How sure a value is.
const (
	measured   = "measured"   // by the ledger, with bounds
	derived    = "derived"    // from other records
	recorded   = "recorded"   // by the provider
	determined = "determined" // by a person in this report
	byLedger   = "stated by the ledger"
)

// ByPerson returns a value that a person says in the report.
func ByPerson(v Value, by string, now time.Time) Value {
	v.Source, v.AsOf, v.Confidence = cmp.Or(v.Source, "person "+by), now.UTC(), determined
	return v
}

// FromRecord returns a value that the provider's records say, as of an instant.
func FromRecord(v Value, source string, asOf time.Time) Value {
	v.Source, v.AsOf, v.Confidence = source, asOf.UTC(), recorded
	return v
}

// Facts are what a report can be filled in from, as of one instant.
type Facts struct {
	AsOf      time.Time
	Filer     map[string]string // what the provider says of itself, by field
	FilerAsOf time.Time
	Pack      string // id, version, digest and status of the pack
	Case      desk.Case
	Findings  []desk.Finding
	Runs      []desk.Run
	Customer  desk.Customer
	Customers []desk.Customer
	Tenants   []desk.Tenant
	Cases     []desk.Case
	Totals    desk.Totals
	From, To  time.Time        // of a summary
	Known     map[string]Value // what is known of the customer, by fact: owners, verification, exemptions
	Report    Report
}

// facts are what the fields of forms may be filled in from, by name.
var facts = map[string]func(Facts) Value{
	"filer.name":    filer("name"),
	"filer.address": filer("address"),
	"filer.contact": filer("contact"),
	"filer.email":   filer("email"),
	"filer.phone":   filer("phone"),

	"report.prior":   prior,
	"report.request": request,
	"pack.identity":  func(f Facts) Value { return f.text(f.Pack, "pack in force", byLedger) },

	"finding.basis":   basis,
	"clock.occurred":  clockAt(func(k desk.Clock) time.Time { return k.Occurred }),
	"clock.signalled": clockAt(func(k desk.Clock) time.Time { return k.Signalled }),
	"clock.known":     clockAt(func(k desk.Clock) time.Time { return k.Known }),
	"clock.due":       due,

	"customer.name":          known("customer.name", func(f Facts) Value { return f.customer(f.Customer.Name) }),
	"customer.name_original": known("customer.name_original", nil),
	"customer.status": known("customer.status", func(f Facts) Value {
		if f.Customer.ID == "" {
			return f.customer("undetermined: no customer claims the tenant")
		}
		return f.customer(strings.TrimSuffix(f.Customer.ForeignStatus+": "+f.Customer.StatusReason, ": "))
	}),
	"customer.address":      known("customer.address", nil),
	"customer.places":       known("customer.places", nil),
	"customer.payment":      known("customer.payment", nil),
	"customer.email":        known("customer.email", nil),
	"customer.phone":        known("customer.phone", nil),
	"customer.access":       known("customer.access", nil),
	"customer.security":     known("customer.security", nil),
	"customer.incidents":    known("customer.incidents", nil),
	"customer.regions":      known("customer.regions", nil),
	"customer.countries":    known("customer.countries", func(f Facts) Value { return f.customer(f.Customer.Country) }),
	"customer.owners":       known("customer.owners", nil),
	"customer.parent":       known("customer.parent", nil),
	"customer.verification": known("customer.verification", nil),
	"customer.links":        known("customer.links", nil),
	"customer.exemptions":   known("customer.exemptions", nil),
	"customer.tenants":      known("customer.tenants", tenants),
	"reseller.path":         known("reseller.path", nil),
	"reseller.none":         known("reseller.none", func(f Facts) Value { return f.customer("none: the customer contracts with the provider") }),

	"run.existence":    runs([]string{"Run", "Workload", "Joined by"}, func(r desk.Run) []string { return []string{r.ID, r.Label, r.JoinedBy} }, derived),
	"run.operations":   runs([]string{"Run", "Basis", "Low", "Best", "High"}, nil, measured),
	"run.method":       runs([]string{"Run", "Method", "Peak × time"}, func(r desk.Run) []string { return []string{r.ID, methods(r), r.Figure.Ceiling.Decimal()} }, measured),
	"run.start":        runs([]string{"Run", "Start"}, func(r desk.Run) []string { return []string{r.ID, instant(time.Unix(0, r.StartNS))} }, measured),
	"run.end":          runs([]string{"Run", "Last seen", "State"}, runEnd, measured),
	"run.accelerators": runs([]string{"Run", "Models", "Devices", "Hosts"}, runHardware, measured),
	"run.class":        runs([]string{"Run", "Judged to be", "Training", "Inference", "Other", "Because"}, runClass, derived),
	"run.coverage":     runs([]string{"Run", "Observed share of device time", "Device-hours", "Evidence of the tenant's time meanwhile"}, runCoverage, measured),
	"run.practices":    runs([]string{"Run", "Primary accelerator", "Practice"}, runPractice, measured),

	"programme.runs":       programme,
	"programme.procedures": known("programme.procedures", nil),
	"programme.detection":  known("programme.detection", nil),
	"programme.resellers":  known("programme.resellers", nil),
	"attest.reviewed":      known("attest.reviewed", nil),
	"attest.updated":       known("attest.updated", nil),
	"attest.compliant":     known("attest.compliant", nil),
	"customers.owners":     known("customers.owners", nil),
	"customers.failed":     known("customers.failed", nil),
	"customers.by_country": byCountry,
	"customers.unverified": known("customers.unverified", unverified),
	"customers.resellers":  known("customers.resellers", nil),
	"month.period":         period,
	"month.totals":         monthTotals,
	"month.coverage":       monthCoverage,
	"month.findings":       monthFindings,
	"month.cases":          monthCases,
	"month.customers":      monthCustomers,
}

func factOf(name string, f Facts) Value { return facts[name](f) }

// text returns a value from a record as of the facts.
func (f Facts) text(text, source, confidence string) Value {
	return Value{Text: text, Source: source, AsOf: f.AsOf.UTC(), Confidence: confidence}
}

func (f Facts) table(t Table, source, confidence string) Value {
	return Value{Table: &t, Source: source, AsOf: f.AsOf.UTC(), Confidence: confidence}
}

func (f Facts) customer(text string) Value {
	source := "customer " + f.Customer.ID
	if f.Customer.ID == "" {
		source = "case " + f.Case.ID
	}
	return f.text(text, source, recorded)
}

func filer(field string) func(Facts) Value {
	return func(f Facts) Value {
		return Value{Text: f.Filer[field], Source: "filer profile", AsOf: f.FilerAsOf.UTC(), Confidence: recorded}
	}
}

// known returns what other records say of a fact, or what is said without them.
func known(name string, otherwise func(Facts) Value) func(Facts) Value {
	return func(f Facts) Value {
		if v, ok := f.Known[name]; ok {
			return v
		}
		if otherwise == nil {
			return Value{}
		}
		return otherwise(f)
	}
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }

func prior(f Facts) Value {
	t := Table{Columns: []string{"Edition", "Kind", "Filed", "Regulator's id", "Status", "Digest of the content"}}
	for _, filing := range f.Report.Filings {
		t.Rows = append(t.Rows, []string{fmt.Sprint(filing.Edition), string(filing.Kind), instant(filing.At), cmp.Or(filing.RegulatorID, "none given"), cmp.Or(string(filing.Status), "no answer yet"), filing.Digest})
	}
	return f.table(t, "report "+f.Report.ID, byLedger)
}

func request(f Facts) Value {
	if f.Report.Request.Text == "" {
		return Value{}
	}
	return f.text("Received "+instant(f.Report.Request.Received)+": "+f.Report.Request.Text, "report "+f.Report.ID, recorded)
}

func basis(f Facts) Value {
	t := Table{Columns: []string{"Finding", "Rule", "Level", "Operations, best", "Threshold", "Signalled", "In words"}}
	for _, x := range f.Findings {
		t.Rows = append(t.Rows, []string{x.ID, x.Pack + " " + x.Rule + " (" + x.Citation + ")", x.Level, x.Operations.Best.Decimal(), x.Threshold.Decimal(), instant(time.Unix(0, x.SignalledNS)), x.Reason})
	}
	return f.table(t, "case "+f.Case.ID, measured)
}

// clock returns the first clock of the case, which the crossing started.
func (f Facts) clock() (desk.Clock, bool) {
	if len(f.Case.Clocks) == 0 {
		return desk.Clock{}, false
	}
	return f.Case.Clocks[0], true
}

func clockAt(of func(desk.Clock) time.Time) func(Facts) Value {
	return func(f Facts) Value {
		k, ok := f.clock()
		if !ok || of(k).IsZero() {
			return Value{}
		}
		return f.text(instant(of(k)), "case "+f.Case.ID+", clock "+k.Name, byLedger)
	}
}

func due(f Facts) Value {
	k, ok := f.clock()
	if !ok || k.Due == "" {
		return Value{}
	}
	text := fmt.Sprintf("%s, the last day, in %s: %d calendar days from the %s", k.Due, k.Zone, k.Days, map[string]string{
		"earlier": "earlier of occurrence and knowledge", "known": "day it was known", "given": "day given"}[k.Basis])
	return f.text(text, "case "+f.Case.ID+", clock "+k.Name, byLedger)
}

func tenants(f Facts) Value {
	t := Table{Columns: []string{"Account", "Tenant"}}
	names := f.Customer.Tenants
	for _, r := range f.Runs {
		if !slices.Contains(names, r.Tenant) {
			names = append(slices.Clip(names), r.Tenant)
		}
	}
	for _, name := range names {
		t.Rows = append(t.Rows, []string{cmp.Or(f.Customer.ID, "no customer claims it"), string(name)})
	}
	return f.table(t, "customer "+cmp.Or(f.Customer.ID, f.Case.Subject), recorded)
}

func runs(columns []string, row func(desk.Run) []string, confidence string) func(Facts) Value {
	return func(f Facts) Value {
		t := Table{Columns: columns}
		var ids []string
		for _, r := range f.Runs {
			ids = append(ids, r.ID)
			if row != nil {
				t.Rows = append(t.Rows, row(r))
				continue
			}
			for _, part := range []struct {
				basis  string
				bounds compute.Bounds
			}{{"from readings", r.Figure.Empirical}, {"allocation × peak, or held while nobody saw", r.Figure.Theoretical}} {
				if part.bounds.High > 0 {
					t.Rows = append(t.Rows, []string{r.ID, part.basis, part.bounds.Low.Decimal(), part.bounds.Best.Decimal(), part.bounds.High.Decimal()})
				}
			}
		}
		return f.table(t, "run "+strings.Join(ids, " "), confidence)
	}
}

func methods(r desk.Run) string {
	words := make([]string, len(r.Figure.Methods))
	for i, m := range r.Figure.Methods {
		words[i] = string(m)
	}
	return cmp.Or(strings.Join(words, ", "), "none")
}

func runEnd(r desk.Run) []string {
	state := "ended"
	if r.Open {
		state = "still running"
	}
	return []string{r.ID, instant(time.Unix(0, r.EndNS)), state}
}

func runHardware(r desk.Run) []string {
	return []string{r.ID, strings.Join(r.Accelerators, ", "), fmt.Sprint(r.Devices), fmt.Sprint(r.Hosts)}
}

func runCoverage(r desk.Run) []string {
	return []string{r.ID, fmt.Sprintf("%.2f %%", r.Figure.Coverage*100), fmt.Sprintf("%.0f", r.Figure.DeviceTime.Hours()), graded(&r.Evidence)}
}

// graded says on what observed time rests.
func graded(e *desk.Evidence) string {
	if e == nil {
		return "not held"
	}
	all := float64(e.Claimed + e.Provider + e.Corroborated + e.Attested)
	if all == 0 {
		return "not held"
	}
	var parts []string
	for _, p := range []struct {
		time desk.DeviceTime
		what string
	}{{e.Claimed, "E0 claimed"}, {e.Provider, "E1 provider host"}, {e.Corroborated, "E2 corroborated"}, {e.Attested, "E3 attested"}} {
		if p.time > 0 {
			parts = append(parts, fmt.Sprintf("%.1f %% %s", 100*float64(p.time)/all, p.what))
		}
	}
	if e.Contradicted > 0 {
		parts = append(parts, fmt.Sprintf("of it %.1f %% contradicted by a meter", 100*float64(e.Contradicted)/all))
	}
	return strings.Join(parts, ", ")
}

// runClass says what a run was judged to do. A run that cannot be told says so.
func runClass(r desk.Run) []string {
	because := r.Verdict.Reason
	if because == "" {
		var texts []string
		for _, e := range r.Verdict.Evidence[:min(len(r.Verdict.Evidence), 3)] {
			texts = append(texts, e.Text)
		}
		because = strings.Join(texts, "; ")
	}
	row := []string{r.ID, string(r.Verdict.Class), "not known", "not known", "not known", strings.TrimPrefix(because+", by "+r.Verdict.Method, ", ")}
	if r.Verdict.Reason == "" {
		for i, p := range []float64{r.Verdict.Training, r.Verdict.Inference, r.Verdict.Other} {
			row[2+i] = fmt.Sprintf("%.1f %%", p*100)
		}
	}
	return row
}

func runPractice(r desk.Run) []string {
	return []string{r.ID, strings.Join(r.Accelerators, ", "), fmt.Sprintf("%d devices at once on %d hosts", r.Devices, r.Hosts)}
}

func programme(f Facts) Value {
	return f.text("Device time is counted by flopwatch, joined into runs, and held against the rules of the policy pack; a crossing opens a case and starts the clock by itself.", "pack in force", byLedger)
}

func byCountry(f Facts) Value {
	type key struct{ country, status string }
	count := map[key]int{}
	for _, c := range f.Customers {
		count[key{cmp.Or(c.Country, "unknown"), c.ForeignStatus}]++
	}
	t := Table{Columns: []string{"Country", "Foreign status", "Customers"}}
	for _, k := range slices.SortedFunc(maps.Keys(count), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.country, b.country), cmp.Compare(a.status, b.status))
	}) {
		t.Rows = append(t.Rows, []string{k.country, k.status, fmt.Sprint(count[k])})
	}
	return f.table(t, "customers", recorded)
}

func unverified(f Facts) Value {
	n, tenants := 0, 0
	for _, c := range f.Customers {
		if c.ForeignStatus == "undetermined" {
			n, tenants = n+1, tenants+len(c.Tenants)
		}
	}
	nobodys := 0
	for _, t := range f.Tenants {
		if t.CustomerID == "" {
			nobodys++
		}
	}
	return f.text(fmt.Sprintf("%d accounts of %d customers of undetermined status; %d tenants that no customer claims", tenants, n, nobodys), "customers", recorded)
}
