package ctl

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type partiesCommands struct {
	List   partiesCommand       `cmd:"" default:"withargs" help:"Persons and organisations, without personal data."`
	Show   showPartyCommand     `cmd:"" help:"One party with its history."`
	Import importPartiesCommand `cmd:"" help:"Import parties, interests, identifiers, customers, accounts, verifications or resellers, whole or not at all."`
	Reveal revealCommand        `cmd:"" help:"Read personal data of a party, for a reason that goes into the audit log."`
	Erase  eraseCommand         `cmd:"" help:"Erase personal data of a party once they need no longer be kept."`
	Screen screenCommand        `cmd:"" help:"Hold parties against the lists of the screening server."`
	Hit    hitCommand           `cmd:"" help:"Decide whether a hit on a list is the same person."`
}

// asked are the times of a question about the past.
type asked struct {
	AsOf    string `help:"How it was at this time, as 2026-11-23T12:00:00Z." placeholder:"TIME"`
	KnownAt string `help:"By what was recorded up to this time." placeholder:"TIME"`
}

func (a asked) query() url.Values {
	q := url.Values{}
	if a.AsOf != "" {
		q.Set("as_of", a.AsOf)
	}
	if a.KnownAt != "" {
		q.Set("known_at", a.KnownAt)
	}
	return q
}

type partiesCommand struct{ asked }

// Run prints the parties.
func (c partiesCommand) Run(s *scope) error {
	type row = apitypes.Party
	rows, err := all[row](s, "/v1/parties", c.query(), 0)
	if err != nil {
		return err
	}
	return list(s, rows, "No parties yet: import them with flopwatchctl parties import FILE.", []column[row]{
		{name: "party_id", exact: func(p row) string { return p.ID }, title: "PARTY"},
		{name: "form", exact: func(p row) string { return p.Form }, title: "FORM"},
		{name: "country", exact: func(p row) string { return p.Country }, title: "COUNTRY", text: func(p row) string { return orElse(p.Country, "not known") }},
		{name: "foreign_status", exact: func(p row) string { return p.ForeignStatus }, title: "FOREIGN"},
		{name: "verification", exact: func(p row) string { return p.Verification }, title: "VERIFICATION"},
		{name: "headquarters", exact: func(p row) string { return p.Headquarters }},
		{name: "ultimate_parent", exact: func(p row) string { return p.UltimateParent }},
		{name: "parent_headquarters", exact: func(p row) string { return p.ParentHeadquarters }},
		{name: "customers", exact: func(p row) string { return strings.Join(p.Customers, " ") }, title: "CUSTOMER OF"},
		{name: "holds", exact: func(p row) string { return strings.Join(p.Holds, " ") }},
		{name: "erased", exact: func(p row) string { return strconv.FormatBool(p.Erased) }},
		{name: "reasons", exact: func(p row) string { return strings.Join(p.Reasons, "; ") }},
	})
}

type partyArg struct {
	ID string `arg:"" help:"Id of the party."`
}

type showPartyCommand struct {
	partyArg
	asked
}

// Run prints one party.
func (c showPartyCommand) Run(s *scope) error {
	p, err := one[apitypes.Party](s, "/v1/parties/"+url.PathEscape(c.ID), c.query())
	if err != nil {
		return err
	}
	if s.format != "table" {
		return printJSON(s.out, p)
	}
	say := func(name, text string) {
		if text != "" {
			s.out.say("%-20s %s\n", name, printable(text))
		}
	}
	say("party", p.ID+", "+p.Form)
	say("foreign status", p.ForeignStatus)
	for _, r := range p.Reasons {
		say("", r)
	}
	say("verification", p.Verification)
	say("citizenship", strings.Join(p.Citizenship, ", "))
	say("permanent residence", p.PermanentResidence)
	say("location", p.Location)
	say("law", p.Incorporation)
	say("principal place", p.PrincipalPlace)
	say("headquarters", p.Headquarters)
	say("ultimate parent", strings.TrimSpace(p.UltimateParent+" "+p.ParentHeadquarters))
	say("branch of", p.BranchOf)
	say("customers", strings.Join(p.Customers, " "))
	for _, o := range p.Owners {
		say("owner", strings.TrimSpace(o.Owner+" "+o.What+" "+o.Share+" "+o.Unknown))
	}
	for _, o := range p.Owns {
		say("owns of", strings.TrimSpace(o.Subject+" "+o.What+" "+o.Share))
	}
	say("holds", strings.Join(p.Holds, " "))
	for _, n := range p.NotHeld {
		say("not held", n)
	}
	for _, d := range p.Identifiers {
		say("identifier", d.ID+" "+d.Type)
	}
	for _, v := range p.Verifications {
		say("verified", strings.TrimSpace(v.ID+" "+when(v.At)+" "+v.Method+" "+v.Outcome+" US person: "+orElse(v.USPerson, "not assessed")+" "+v.Problem))
	}
	for _, h := range p.History {
		say("record", strconv.FormatInt(h.No, 10)+" "+h.Object+" from "+when(h.From)+", recorded "+when(h.Recorded)+" by "+h.By+" "+h.Source)
	}
	return nil
}

type importPartiesCommand struct {
	File   string `arg:"" help:"CSV, or NDJSON when its name ends in .ndjson or .jsonl." type:"existingfile"`
	DryRun bool   `help:"Say what would change and write nothing."`
}

// Run sends the file and prints what changed.
func (c importPartiesCommand) Run(s *scope) error {
	data, name, err := readBounded(c.File)
	if err != nil {
		return err
	}
	media := "text/csv"
	if ext := strings.ToLower(filepath.Ext(c.File)); ext == ".ndjson" || ext == ".jsonl" {
		media = "application/x-ndjson"
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	query := url.Values{"name": {name}}
	if c.DryRun {
		query.Set("dry_run", "true")
	}
	var diff apitypes.PartyDiff
	if err := client.do(http.MethodPost, "/v1/parties/import", query, media, data, &diff); err != nil {
		return err
	}
	if s.format == "json" {
		return printJSON(s.out, diff)
	}
	if diff.DryRun {
		s.out.say("dry run, nothing written: ")
	}
	s.out.say("%d new, %d changed, %d unchanged\n", len(diff.New), len(diff.Changed), len(diff.Unchanged))
	for _, part := range []struct {
		what string
		ids  []string
	}{{"new", diff.New}, {"changed", diff.Changed}} {
		for _, id := range part.ids {
			s.out.say("  %s %s\n", part.what, printable(id))
		}
	}
	return nil
}

// readBounded reads a file that fits into one import. Of a longer one it tells
// the line on which it became too long, without holding it.
func readBounded(path string) (data []byte, name string, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, "", fmt.Errorf("import: %w", err)
	}
	defer file.Close()
	data, err = io.ReadAll(io.LimitReader(file, apitypes.MaxImportBytes+1))
	if err != nil {
		return nil, "", fmt.Errorf("import %s: %w", path, err)
	}
	name = plainName(filepath.Base(path))
	if len(data) > apitypes.MaxImportBytes {
		return nil, "", fmt.Errorf("%s:%d: row: is beyond the first %d MiB, which are as many as one import may have; nothing was sent", name,
			1+strings.Count(string(data), "\n"), apitypes.MaxImportBytes>>20)
	}
	return data, name, nil
}

type revealCommand struct {
	partyArg
	Reason string   `required:"" help:"Why; it goes into the audit log."`
	Field  []string `help:"Only these: name, address, identifiers, documents, …"`
}

// Run prints personal data.
func (c revealCommand) Run(s *scope) error {
	r, err := send[apitypes.Revealed](s, "/v1/parties/"+url.PathEscape(c.ID)+"/reveals", apitypes.RevealRequest{Fields: c.Field, Reason: c.Reason})
	if err != nil {
		return err
	}
	if s.format != "table" {
		return printJSON(s.out, r)
	}
	if r.Erased {
		s.out.say("the personal data were erased\n")
	}
	for _, name := range sortedKeys(r.Fields) {
		s.out.say("%-20s %s\n", printable(name), printable(r.Fields[name]))
	}
	for _, d := range r.Identifiers {
		s.out.say("%-20s %s\n", printable(d.Type), printable(d.Value))
	}
	for _, d := range r.Documents {
		s.out.say("%-20s %s %s\n", "document", printable(d.Number), printable(d.Place))
	}
	return nil
}

type eraseCommand struct {
	partyArg
	Reason string `required:"" help:"Why."`
	Early  bool   `help:"Before the time to keep them is over: one person proposes, and another one erases within seven days."`
}

// Run erases personal data and prints the certificate.
func (c eraseCommand) Run(s *scope) error {
	e, err := send[apitypes.ErasureCertificate](s, "/v1/parties/"+url.PathEscape(c.ID)+"/erasures", apitypes.EraseRequest{Reason: c.Reason, Early: c.Early})
	if err != nil {
		return err
	}
	if s.format != "table" {
		return printJSON(s.out, e)
	}
	if e.Proposed {
		s.out.say("proposed: nothing is erased until another person, freshly signed in, runs the same within seven days\n")
		return nil
	}
	s.out.say("erased %s at %s: %d sealed records cannot be read any more\nkey destroyed: SHA-256 %s\n", printable(e.Party), when(e.At), e.Sealed, orElse(e.KeyDigest, "none; there never was one"))
	return nil
}

type screenCommand struct {
	Parties []string `arg:"" optional:"" help:"Ids; all if none is given."`
}

// Run screens parties.
func (c screenCommand) Run(s *scope) error {
	r, err := send[apitypes.Screened](s, "/v1/screenings", apitypes.Screening{Parties: c.Parties})
	if err != nil {
		return err
	}
	if s.format != "table" {
		return printJSON(s.out, r)
	}
	s.out.say("%d parties held against the lists, %d new hits\n", r.Parties, r.Hits)
	return nil
}

type hitCommand struct {
	ID          string `arg:"" help:"hit_…"`
	Disposition string `arg:"" enum:"true_match,false_match" help:"true_match or false_match."`
	Reason      string `required:"" help:"Why."`
}

// Run decides a hit.
func (c hitCommand) Run(s *scope) error {
	return recorded(s, "/v1/list-hits/"+url.PathEscape(c.ID)+"/decisions", apitypes.HitDecision{Disposition: c.Disposition, Reason: c.Reason})
}

// recorded sends an act and prints the id of what it recorded.
func recorded(s *scope, path string, body any) error {
	r, err := send[apitypes.Recorded](s, path, body)
	if err != nil {
		return err
	}
	if s.format != "table" {
		return printJSON(s.out, r)
	}
	s.out.say("%s\n", printable(r.ID))
	return nil
}

type standingCommand struct {
	ID string `arg:"" help:"Id of the customer."`
	asked
}

// Run prints how a customer stands.
func (c standingCommand) Run(s *scope) error {
	v, err := one[apitypes.Standing](s, "/v1/standings/"+url.PathEscape(c.ID), c.query())
	if err != nil {
		return err
	}
	if s.format != "table" {
		return printJSON(s.out, v)
	}
	say := func(name, text string) {
		if strings.TrimSpace(text) != "" {
			s.out.say("%-20s %s\n", name, printable(text))
		}
	}
	say("customer", v.CustomerID+" "+v.Name)
	say("party", v.Party)
	say("foreign status", v.ForeignStatus+" (itself "+v.SelfStatus+")")
	for _, r := range v.Reasons {
		say("", r.Text)
	}
	for _, o := range v.Owners {
		say("beneficial owner", fmt.Sprintf("%s (%s), %s to %s, %s, verification %s", o.Party, o.Is, percent(o.ShareLow), percent(o.ShareHigh), o.ForeignStatus, o.Verification))
	}
	if v.Undisclosed {
		say("", "somebody who is not named may be one")
	}
	say("verification", v.Verification+" "+exactTime(v.ValidUntil))
	say("restriction", v.Restriction)
	say("headquarters", v.Headquarters+": "+v.HeadquartersWhy)
	for _, i := range v.Items {
		if i.Required && !i.Held {
			say("missing", i.Title+" of "+i.Party+" ("+i.Citation+") "+i.Reason)
		}
	}
	for _, a := range v.Accounts {
		say("account", a.ID+" "+strings.Join(a.Tenants, " ")+" "+strings.Join(a.Reseller, " "))
	}
	say("review due", exactTime(v.ReviewDue))
	say("kept until", strings.TrimSpace(exactTime(v.RetainUntil)+" "+v.RetainWhy))
	say("legal hold", v.LegalHold)
	return nil
}

type holdCustomerCommand struct {
	ID     string `arg:"" help:"Id of the customer."`
	Reason string `required:"" help:"Why."`
}

// Run places a hold.
func (c holdCustomerCommand) Run(s *scope) error {
	return recorded(s, "/v1/customers/"+url.PathEscape(c.ID)+"/holds", apitypes.Reasoned{Reason: c.Reason})
}

type releaseHoldCommand struct {
	ID     string `arg:"" help:"hld_…"`
	Reason string `required:"" help:"Why."`
}

// Run proposes or approves the release of a hold.
func (c releaseHoldCommand) Run(s *scope) error {
	return recorded(s, "/v1/holds/"+url.PathEscape(c.ID)+"/releases", apitypes.Reasoned{Reason: c.Reason})
}

type resellersCommands struct {
	List resellersCommand   `cmd:"" default:"withargs" help:"Resellers with their timers."`
	Act  actResellerCommand `cmd:"" help:"Say what happened with a reseller."`
}

type resellersCommand struct{}

// Run prints the resellers.
func (resellersCommand) Run(s *scope) error {
	type row = apitypes.Reseller
	rows, err := all[row](s, "/v1/resellers", nil, 0)
	if err != nil {
		return err
	}
	timers := func(r row) string {
		var parts []string
		for _, t := range r.Timers {
			parts = append(parts, fmt.Sprintf("%s %s %s", t.Name, t.Due, t.State))
		}
		return strings.Join(parts, ", ")
	}
	return list(s, rows, "No resellers recorded.", []column[row]{
		{name: "reseller_id", exact: func(r row) string { return r.ID }, title: "RESELLER"},
		{name: "party", exact: func(r row) string { return r.Party }, title: "PARTY"},
		{name: "foreign_status", exact: func(r row) string { return r.ForeignStatus }, title: "FOREIGN"},
		{name: "programme", exact: func(r row) string { return r.Programme }, title: "PROGRAMME"},
		{name: "disclosure", exact: func(r row) string { return r.Disclosure }, title: "DISCLOSURE"},
		{name: "attested", exact: func(r row) string { return exactTime(r.Attested) }},
		{name: "failing", exact: func(r row) string { return exactTime(r.Failing) }},
		{name: "ended", exact: func(r row) string { return exactTime(r.Ended) }},
		{name: "timers", exact: timers, title: "TIMERS"},
		{name: "accounts", exact: func(r row) string { return strings.Join(r.Accounts, " ") }},
	})
}

type actResellerCommand struct {
	ID     string    `arg:"" help:"Id of the reseller."`
	Act    string    `arg:"" enum:"attest,hold_copy,request_copy,produce_copy,find_failing,report,end" help:"attest, hold_copy, request_copy, produce_copy, find_failing, report or end."`
	At     time.Time `required:"" help:"When, as 2026-11-23T12:00:00Z."`
	Reason string    `required:"" help:"Why, or what it rests on."`
}

// Run records what happened with a reseller.
func (c actResellerCommand) Run(s *scope) error {
	return recorded(s, "/v1/resellers/"+url.PathEscape(c.ID)+"/events", apitypes.ResellerAct{Act: c.Act, At: c.At, Reason: c.Reason})
}

type exemptionsCommands struct {
	List     exemptionsCommand        `cmd:"" default:"withargs" help:"Exemptions with their approvals."`
	Propose  proposeExemptionCommand  `cmd:"" help:"Propose an exemption, which two other people approve."`
	Approve  approveExemptionCommand  `cmd:"" help:"Approve an exemption by its digest."`
	Withdraw withdrawExemptionCommand `cmd:"" help:"Withdraw an exemption."`
}

type exemptionsCommand struct{}

// Run prints the exemptions.
func (exemptionsCommand) Run(s *scope) error {
	type row = apitypes.Exemption
	rows, err := all[row](s, "/v1/exemptions", nil, 0)
	if err != nil {
		return err
	}
	return list(s, rows, "No exemptions.", []column[row]{
		{name: "exemption_id", exact: func(e row) string { return e.ID }, title: "EXEMPTION"},
		{name: "state", exact: func(e row) string { return e.State }, title: "STATE"},
		{name: "scope", exact: func(e row) string { return e.Scope + " " + e.Of }, title: "OF"},
		{name: "basis", exact: func(e row) string { return e.Basis }, title: "BASIS"},
		{name: "from", exact: func(e row) string { return exactTime(e.From) }, title: "FROM", text: func(e row) string { return when(e.From) }},
		{name: "to", exact: func(e row) string { return exactTime(e.To) }, title: "TO", text: func(e row) string { return when(e.To) }},
		{name: "approvals", exact: func(e row) string { return strings.Join(e.Approvals, "; ") }, title: "APPROVED", text: func(e row) string { return fmt.Sprintf("%d of %d", len(e.Approvals), e.Needed) }},
		{name: "digest", exact: func(e row) string { return e.Digest }},
	})
}

type proposeExemptionCommand struct {
	Scope    string    `arg:"" enum:"customer,account,workload" help:"customer, account or workload."`
	Of       string    `arg:"" help:"Its id."`
	Basis    string    `required:"" help:"On what it rests, such as proposed 15 CFR 7.306."`
	IssuedBy string    `required:"" help:"Who granted it."`
	From     time.Time `required:"" help:"Since when, as 2026-11-23T00:00:00Z."`
	To       time.Time `required:"" help:"Until when."`
	Evidence []string  `help:"References."`
}

// Run proposes an exemption.
func (c proposeExemptionCommand) Run(s *scope) error {
	return recorded(s, "/v1/exemptions", apitypes.NewExemption{Basis: c.Basis, Scope: c.Scope, Of: c.Of, IssuedBy: c.IssuedBy, From: c.From, To: c.To, Evidence: c.Evidence})
}

type approveExemptionCommand struct {
	ID     string `arg:"" help:"exm_…"`
	Digest string `arg:"" help:"Of what you approve, as exemptions -o json prints it."`
}

// Run approves an exemption.
func (c approveExemptionCommand) Run(s *scope) error {
	return recorded(s, "/v1/exemptions/"+url.PathEscape(c.ID)+"/approvals", apitypes.DigestApproval{Digest: c.Digest})
}

type withdrawExemptionCommand struct {
	ID     string `arg:"" help:"exm_…"`
	Reason string `required:"" help:"Why."`
}

// Run withdraws an exemption.
func (c withdrawExemptionCommand) Run(s *scope) error {
	return recorded(s, "/v1/exemptions/"+url.PathEscape(c.ID)+"/withdrawals", apitypes.Reasoned{Reason: c.Reason})
}

type programmeCommands struct {
	Gaps          gapsCommand          `cmd:"" default:"withargs" help:"Areas to improve, with citation and whom they concern."`
	Queue         queueCommand         `cmd:"" help:"Customers to verify or review again."`
	Certification certificationCommand `cmd:"" help:"Data of the yearly certification."`
	Review        reviewCommand        `cmd:"" help:"Say that a customer, an exemption or a statement of the programme was looked at again."`
	Accesses      accessesCommand      `cmd:"" help:"Add accesses to accounts from an NDJSON file, or - for standard input."`
	Vendor        vendorCommand        `cmd:"" help:"Make a new secret with which a vendor signs its webhooks; it is shown once."`
}

type gapsCommand struct{}

// Run prints the gaps.
func (gapsCommand) Run(s *scope) error {
	type row = apitypes.ProgrammeGap
	rows, err := all[row](s, "/v1/programme/gaps", nil, 0)
	if err != nil {
		return err
	}
	return list(s, rows, "No gaps: the programme has what its pack asks for.", []column[row]{
		{name: "area", exact: func(g row) string { return g.Area }, title: "AREA"},
		{name: "title", exact: func(g row) string { return g.Title }, title: "WHAT"},
		{name: "citation", exact: func(g row) string { return g.Citation }, title: "CITATION"},
		{name: "count", exact: func(g row) string { return number(len(g.Subjects)) }, title: "CONCERNS", right: true},
		{name: "subjects", exact: func(g row) string { return strings.Join(g.Subjects, " ") }},
		{name: "advice", exact: func(g row) string { return g.Advice }, title: "TO DO"},
	})
}

type queueCommand struct {
	Days int `help:"How far ahead to look." default:"30"`
}

// Run prints the queue.
func (c queueCommand) Run(s *scope) error {
	type row = apitypes.Reverification
	rows, err := all[row](s, "/v1/reverifications", url.Values{"days": {number(c.Days)}}, 0)
	if err != nil {
		return err
	}
	return list(s, rows, "Nobody is to be verified or reviewed again so soon.", []column[row]{
		{name: "customer_id", exact: func(r row) string { return r.CustomerID }, title: "CUSTOMER"},
		{name: "name", exact: func(r row) string { return r.Name }, title: "NAME"},
		{name: "verification", exact: func(r row) string { return r.Verification }, title: "VERIFICATION"},
		{name: "due", exact: func(r row) string { return exactTime(r.Due) }, title: "DUE", text: func(r row) string {
			if r.Due.IsZero() {
				return "now"
			}
			return when(r.Due)
		}},
		{name: "why", exact: func(r row) string { return r.Why }, title: "WHY"},
	})
}

type certificationCommand struct{}

// Run prints the data of the certification.
func (certificationCommand) Run(s *scope) error {
	c, err := one[apitypes.Certification](s, "/v1/programme/certification", nil)
	if err != nil {
		return err
	}
	if s.format != "table" {
		return printJSON(s.out, c)
	}
	s.out.say("%s (%s), %s, as of %s\n", printable(c.Pack), printable(c.PackStatus), printable(c.Citation), when(c.AsOf))
	s.out.say("customers %d, foreign %d, undetermined %d; foreign beneficial owners %d; foreign resellers %d\n", c.Customers, c.ForeignCustomers, c.UndeterminedCustomers, c.ForeignOwners, len(c.ForeignResellers))
	s.out.say("accounts of foreign customers whose identity is not verified: %d\n", len(c.UnverifiedForeignAccounts))
	for _, v := range c.FailedVerifications {
		s.out.say("failed %s of %s: %s\n", printable(v.ID), when(v.At), printable(orElse(v.Resolution, "NO RESOLUTION RECORDED")))
	}
	for _, st := range c.Statements {
		text := "NOT HELD"
		if !st.At.IsZero() {
			text = when(st.At) + " by " + st.By + " " + st.Note
		}
		s.out.say("%-26s %s\n", printable(st.ID), printable(text))
	}
	return nil
}

type reviewCommand struct {
	Of   string `arg:"" help:"Id of a customer or exemption, or programme."`
	What string `help:"Of the programme: which statement, such as contact."`
	Note string `help:"What was found, or the text of the statement."`
}

// Run notes a review.
func (c reviewCommand) Run(s *scope) error {
	return recorded(s, "/v1/reviews", apitypes.NewReview{Of: c.Of, What: c.What, Note: c.Note})
}

type accessesCommand struct {
	File string `arg:"" help:"NDJSON: account, time, ip, action."`
}

// Run sends accesses in batches, each whole or not at all.
func (c accessesCommand) Run(s *scope) error {
	in := io.Reader(os.Stdin)
	name := "stdin"
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return fmt.Errorf("accesses: %w", err)
		}
		defer file.Close()
		in, name = file, plainName(filepath.Base(c.File))
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	var sum apitypes.AccessFeed
	err = batches(in, func(batch []byte, before int) error {
		var fed apitypes.AccessFeed
		if err := client.do(http.MethodPost, "/v1/accesses", url.Values{"name": {name}}, "application/x-ndjson", batch, &fed); err != nil {
			return shifted(err, before)
		}
		sum.Rows += fed.Rows
		sum.Added += fed.Added
		return nil
	})
	if err != nil {
		return fmt.Errorf("after %d rows that were taken: %w", sum.Rows, err)
	}
	if s.format != "table" {
		return printJSON(s.out, sum)
	}
	s.out.say("%d rows, %d of them new\n", sum.Rows, sum.Added)
	return nil
}

type vendorCommand struct {
	Name string `arg:"" help:"Name of the vendor, as in the address of its webhook."`
}

// Run makes a secret.
func (c vendorCommand) Run(s *scope) error {
	v, err := send[apitypes.Vendor](s, "/v1/vendors/"+url.PathEscape(c.Name)+"/secrets", struct{}{})
	if err != nil {
		return err
	}
	if s.format != "table" {
		return printJSON(s.out, v)
	}
	s.out.say("webhook of %s: POST %s%s\nsecret, shown once: %s\n", printable(v.Name), apitypes.WebhookPath, printable(v.Name), printable(v.Secret))
	return nil
}
