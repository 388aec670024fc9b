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

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type partiesCommands struct {
	List     partiesCommand       `cmd:"" default:"withargs" help:"Persons and organisations, without personal data."`
	Show     showPartyCommand     `cmd:"" help:"One party with its history."`
	Import   importPartiesCommand `cmd:"" help:"Import parties, interests, identifiers, customers, accounts, verifications or resellers, whole or not at all."`
	Reveal   revealCommand        `cmd:"" help:"Read personal data of a party, for a reason that goes into the audit log."`
	Accesses accessesOfCommand    `cmd:"" help:"Read the newest accesses to an account, for a reason that goes into the audit log."`
	Erase    eraseCommand         `cmd:"" help:"Erase personal data of a party once they need no longer be kept."`
	Screen   screenCommand        `cmd:"" help:"Hold parties against the lists of the screening server."`
	Hit      hitCommand           `cmd:"" help:"Decide whether a hit on a list is the same person."`
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
	return listAll(s, "/v1/parties", c.query(), 0, "No parties yet: import them with flopwatchctl parties import FILE.", []column[row]{
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
	s.label("party", p.ID+", "+p.Form)
	s.label("foreign status", p.ForeignStatus)
	for _, r := range p.Reasons {
		s.label("", r)
	}
	s.label("verification", p.Verification)
	s.label("citizenship", strings.Join(p.Citizenship, ", "))
	s.label("permanent residence", p.PermanentResidence)
	s.label("location", p.Location)
	s.label("law", p.Incorporation)
	s.label("principal place", p.PrincipalPlace)
	s.label("headquarters", p.Headquarters)
	s.label("ultimate parent", strings.TrimSpace(p.UltimateParent+" "+p.ParentHeadquarters))
	s.label("branch of", p.BranchOf)
	s.label("customers", strings.Join(p.Customers, " "))
	for _, o := range p.Owners {
		s.label("owner", strings.TrimSpace(o.Owner+" "+o.What+" "+o.Share+" "+o.Unknown))
	}
	for _, o := range p.Owns {
		s.label("owns of", strings.TrimSpace(o.Subject+" "+o.What+" "+o.Share))
	}
	s.label("holds", strings.Join(p.Holds, " "))
	for _, n := range p.NotHeld {
		s.label("not held", n)
	}
	for _, d := range p.Identifiers {
		s.label("identifier", d.ID+" "+d.Type)
	}
	for _, v := range p.Verifications {
		s.label("verified", strings.TrimSpace(v.ID+" "+when(v.At)+" "+v.Method+" "+v.Outcome+" US person: "+orElse(v.USPerson, "not assessed")+" "+v.Problem))
	}
	for _, h := range p.History {
		s.label("record", strconv.FormatInt(h.No, 10)+" "+h.Object+" from "+when(h.From)+", recorded "+when(h.Recorded)+" by "+h.By+" "+h.Source)
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
	return told(s, "/v1/parties/"+url.PathEscape(c.ID)+"/reveals", apitypes.RevealRequest{Fields: c.Field, Reason: c.Reason}, func(r apitypes.Revealed) {
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
	})
}

type accessesOfCommand struct {
	Account string `arg:"" help:"Account, as flopwatchctl customers show names it."`
	Reason  string `required:"" help:"Why; it goes into the audit log."`
}

// Run prints the accesses.
func (c accessesOfCommand) Run(s *scope) error {
	type row = apitypes.RevealedAccess
	out, err := send[apitypes.List[row]](s, "/v1/accounts/"+url.PathEscape(c.Account)+"/reveals", apitypes.RevealRequest{Reason: c.Reason})
	if err != nil {
		return err
	}
	return list(s, out.Items, "No accesses are known.", []column[row]{
		{name: "at", exact: func(a row) string { return exactTime(a.At) }, title: "AT", text: func(a row) string { return when(a.At) }},
		{name: "ip", exact: func(a row) string { return a.IP }, title: "FROM"},
		{name: "action", exact: func(a row) string { return a.Action }, title: "WHAT"},
	})
}

type eraseCommand struct {
	partyArg
	Reason string `required:"" help:"Why."`
	Early  bool   `help:"Before the time to keep them is over: one person proposes, and another one erases within seven days."`
}

// Run erases personal data and prints the certificate.
func (c eraseCommand) Run(s *scope) error {
	return told(s, "/v1/parties/"+url.PathEscape(c.ID)+"/erasures", apitypes.EraseRequest{Reason: c.Reason, Early: c.Early}, func(e apitypes.ErasureCertificate) {
		if e.Proposed {
			s.out.say("proposed: nothing is erased until another person, freshly signed in, runs the same within seven days\n")
			return
		}
		s.out.say("erased %s at %s: %d sealed records cannot be read any more\nkey destroyed: SHA-256 %s\n", printable(e.Party), when(e.At), e.Sealed, orElse(e.KeyDigest, "none; there never was one"))
	})
}

type screenCommand struct {
	Parties []string `arg:"" optional:"" help:"Ids; all if none is given."`
}

// Run screens parties.
func (c screenCommand) Run(s *scope) error {
	return told(s, "/v1/screenings", apitypes.Screening{Parties: c.Parties}, func(r apitypes.Screened) {
		s.out.say("%d parties held against the lists, %d new hits\n", r.Parties, r.Hits)
	})
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
	return told(s, path, body, func(r apitypes.Recorded) {
		s.out.say("%s\n", printable(r.ID))
	})
}
