package collector

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/party/foreign"
	"github.com/flopwatch/flopwatch/collector/internal/programme"
	"github.com/flopwatch/flopwatch/collector/internal/report"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// What a review of a customer is named after, so that reports find what the
// provider holds of its practices.
const (
	reviewSecurity  = "security_practices"
	reviewIncidents = "incidents"
)

// identity gathers what the provider's records say of the customers of one case.
type identity struct {
	work      reportwork
	reason    string // why personal data are read
	asOf      time.Time
	snapshot  party.Snapshot
	customers []programme.Customer
	names     map[string]string // of customers, as lists show them
	revealed  map[string]apitypes.Revealed
	out       map[string]report.Value
}

// identify fills in what the parties say of the customers of a case. Personal data
// are revealed to who fills in the report, and an entry says so for each party;
// what they may not see stays open.
func (w reportwork) identify(ctx context.Context, id string, f report.Facts) (map[string]report.Value, error) {
	book, snapshot, err := w.reader.Programme(ctx, desk.PartyQuery{})
	if err != nil {
		return nil, err
	}
	i := identity{work: w, reason: "report " + id + " about case " + f.Case.ID, asOf: f.AsOf, snapshot: snapshot, names: map[string]string{}, revealed: map[string]apitypes.Revealed{}, out: map[string]report.Value{}}
	for _, c := range f.Customers {
		i.names[c.ID] = c.Name
	}
	ids, links := []string{f.Case.Subject}, []desk.Link(nil)
	if ultimate, ok, err := w.reader.UltimateCustomer(ctx, f.Case.Subject, time.Time{}, time.Time{}); err != nil {
		return nil, err
	} else if ok {
		links = ultimate.Links
		for _, level := range ultimate.Levels {
			if level.ID == f.Case.Subject {
				ids = nil
				for _, c := range level.Customers {
					ids = append(ids, c.ID)
				}
			}
		}
	}
	for _, c := range ids {
		if contract, ok := snapshot.Contracts[c]; ok && contract.Party != "" {
			i.customers = append(i.customers, book.Customer(c))
		}
	}
	if len(i.customers) == 0 {
		return i.out, nil // nobody knows who it is: every field stays open
	}
	for _, c := range i.customers {
		for _, p := range slices.Concat([]string{c.Party, i.snapshot.Parties[c.Party].UltimateParent.Value}, i.between(c.Party), owners(c.Determination)) {
			if err := i.reveal(ctx, p); err != nil {
				return nil, err
			}
		}
	}
	i.who()
	i.ownership()
	i.contact()
	i.verification()
	i.accounts(f.Runs)
	i.links(links)
	i.practices()
	i.exemptions()
	return i.out, i.accesses(ctx)
}

func owners(d foreign.Determination) []string {
	out := make([]string, len(d.Owners))
	for n, o := range d.Owners {
		out[n] = o.Party
	}
	return out
}

// between are the organisations through which the owners of a party hold it, nearest first.
func (i *identity) between(of string) (out []string) {
	for next := []string{of}; len(next) > 0; next = next[1:] {
		for _, id := range party.Ordered(i.snapshot.Interests) {
			in := i.snapshot.Interests[id]
			owner := i.snapshot.Parties[in.Owner.Value]
			if in.Subject == next[0] && !in.Ended && owner.Form == party.Organisation && owner.ID != of && !slices.Contains(out, owner.ID) {
				out, next = append(out, owner.ID), append(next, owner.ID)
			}
		}
	}
	return out
}

// reveal reads the personal data of a party, where that is allowed.
func (i *identity) reveal(ctx context.Context, p string) error {
	if _, done := i.revealed[p]; done || i.snapshot.Parties[p].ID == "" {
		return nil
	}
	r, err := i.work.parties.Reveal(ctx, p, apitypes.RevealRequest{Reason: i.reason})
	var no *httpapi.Refusal
	if err != nil && !errors.As(err, &no) {
		return err
	}
	i.revealed[p] = r
	return nil
}

func (i *identity) source() string {
	ids := make([]string, len(i.customers))
	for n, c := range i.customers {
		ids[n] = c.ID
	}
	return "customer " + strings.Join(ids, " ")
}

func (i *identity) say(fact, text string) {
	if text != "" {
		i.out[fact] = report.FromRecord(report.Value{Text: text}, i.source(), i.asOf)
	}
}

func (i *identity) table(fact string, columns []string, rows [][]string) {
	if len(rows) > 0 {
		i.out[fact] = report.FromRecord(report.Value{Table: &report.Table{Columns: columns, Rows: rows}}, i.source(), i.asOf)
	}
}

// name is how a party is called: its name where it may be seen, else what lists
// show of it.
func (i *identity) name(p string) string {
	for _, c := range i.customers {
		if c.Party == p && i.revealed[p].Fields["name"] == "" {
			return cmp.Or(i.names[c.ID], p)
		}
	}
	return cmp.Or(i.revealed[p].Fields["name"], p)
}

// each joins what is said of each customer, named where there are several.
func (i *identity) each(of func(c programme.Customer) string) string {
	var parts []string
	for _, c := range i.customers {
		if text := of(c); text != "" && len(i.customers) > 1 {
			parts = append(parts, i.name(c.Party)+": "+text)
		} else if text != "" {
			parts = append(parts, text)
		}
	}
	return strings.Join(parts, "; ")
}

func (i *identity) who() {
	names := make([]string, len(i.customers))
	for n, c := range i.customers {
		names[n] = i.name(c.Party)
		if trade := i.revealed[c.Party].Fields["trade_name"]; trade != "" {
			names[n] += ", trading as " + trade
		}
	}
	i.say("customer.name", strings.Join(names, "; "))
	i.say("customer.name_original", i.each(func(c programme.Customer) string { return i.revealed[c.Party].Fields["name_original"] }))
	i.say("customer.status", i.each(func(c programme.Customer) string {
		return strings.TrimSuffix(string(c.Determination.Status)+": "+c.Determination.Text(), ": ")
	}))
	i.say("customer.address", i.each(func(c programme.Customer) string { return i.revealed[c.Party].Fields["address"] }))
	var countries [][]string
	for _, c := range i.customers {
		p := i.snapshot.Parties[c.Party]
		add := func(role string, of ...party.Stated) {
			for _, s := range of {
				if s.Asked() {
					countries = append(countries, []string{i.name(c.Party), role, s.String()})
				}
			}
		}
		add("citizenship", p.Citizenship...)
		add("permanent residence", p.PermanentResidence)
		add("where it is", p.Location)
		add("under whose law it is organised", p.Incorporation)
		add("headquarters", p.Headquarters)
		add("principal place of business", p.PrincipalPlace)
	}
	i.table("customer.countries", []string{"Party", "Role", "Country"}, countries)
	i.say("customer.places", i.each(func(c programme.Customer) string {
		var places []string
		for _, s := range i.snapshot.Contracts[c.ID].PlacesOfUse {
			places = append(places, s.String())
		}
		return strings.Join(places, ", ")
	}))
}

func (i *identity) ownership() {
	var rows, parents [][]string
	for _, c := range i.customers {
		for _, o := range c.Owners {
			share := "control by other means"
			if o.Share.High > 0 {
				share = fmt.Sprintf("%.4g %%", o.Share.Low*100)
				if o.Share.High > o.Share.Low {
					share = fmt.Sprintf("%.4g to %.4g %%", o.Share.Low*100, o.Share.High*100)
				}
			}
			rows = append(rows, []string{i.name(c.Party), i.name(o.Party), o.Party, share, strings.Join(o.Limbs, ", "), map[bool]string{true: "is one", false: "may be one"}[o.Is == "yes"],
				string(o.Status), cmp.Or(i.revealed[o.Party].Fields["address"], "not held")})
		}
		for _, p := range i.between(c.Party) {
			for _, id := range party.Ordered(i.snapshot.Interests) {
				in := i.snapshot.Interests[id]
				if in.Owner.Value != p || in.Ended {
					continue
				}
				share := fmt.Sprintf("%.4g %% of %s", float64(in.Low)/float64(control.Whole)*100, i.name(in.Subject))
				if in.High > in.Low {
					share = fmt.Sprintf("%.4g to %.4g %% of %s", float64(in.Low)/float64(control.Whole)*100, float64(in.High)/float64(control.Whole)*100, i.name(in.Subject))
				}
				rows = append(rows, []string{i.name(c.Party), i.name(p), p, share, string(in.What), "no: it stands between", "not applicable", cmp.Or(i.revealed[p].Fields["address"], "not held")})
			}
		}
		if c.Determination.Undisclosed {
			rows = append(rows, []string{i.name(c.Party), "somebody who is not named", "none", "not known", "not known", "may be one", "undetermined", "not held"})
		}
		p := i.snapshot.Parties[c.Party]
		switch {
		case p.UltimateParent.Value == c.Party:
			parents = append(parents, []string{i.name(c.Party), "none: it is its own ultimate parent", p.Headquarters.String()})
		case p.UltimateParent.Asked() || p.ParentHeadquarters.Asked():
			headquarters := p.ParentHeadquarters
			if parent, ok := i.snapshot.Parties[p.UltimateParent.Value]; ok {
				headquarters = parent.Headquarters
			}
			parents = append(parents, []string{i.name(c.Party), i.name(p.UltimateParent.String()), cmp.Or(headquarters.String(), "not known")})
		}
	}
	i.table("customer.owners", []string{"Customer", "Owner", "Party", "Share, with what it controls", "Limbs", "Beneficial owner", "Foreign status", "Address"}, rows)
	i.table("customer.parent", []string{"Customer", "Ultimate parent", "Headquarters"}, parents)
}

// contact is what identifiers say: how to reach the customer and how it pays.
func (i *identity) contact() {
	values := map[party.IdentifierType][]string{}
	for _, c := range i.customers {
		for _, d := range i.revealed[c.Party].Identifiers {
			t := party.IdentifierType(d.Type)
			if known := i.snapshot.Identifiers[d.ID]; !known.Ended && !slices.Contains(values[t], d.Value) {
				values[t] = append(values[t], d.Value)
			}
		}
	}
	i.say("customer.email", strings.Join(values[party.Email], ", "))
	i.say("customer.phone", strings.Join(values[party.Phone], ", "))
	var payment [][]string
	for _, kind := range []struct {
		of   party.IdentifierType
		name string
	}{{party.Card, "card"}, {party.Bank, "bank account"}, {party.Wallet, "wallet"}} {
		for _, v := range values[kind.of] {
			payment = append(payment, []string{kind.name, v})
		}
	}
	i.table("customer.payment", []string{"Means", "Number and institution, as recorded"}, payment)
}

func (i *identity) verification() {
	var rows [][]string
	for _, c := range i.customers {
		of := append([]string{c.Party}, owners(c.Determination)...)
		for _, id := range party.Ordered(i.snapshot.Verifications) {
			v := i.snapshot.Verifications[id]
			if !slices.Contains(of, v.Party) {
				continue
			}
			until := "not said"
			if !v.ValidUntil.IsZero() {
				until = v.ValidUntil.UTC().Format(time.DateOnly)
			}
			rows = append(rows, []string{v.ID, i.name(v.Party), string(v.Outcome), string(v.Method), cmp.Or(v.Document, "none"), cmp.Or(string(v.USPerson), "not assessed"), v.At.UTC().Format(time.DateOnly), until, v.Verifier, cmp.Or(v.Problem, "none")})
		}
	}
	i.table("customer.verification", []string{"Verification", "Of", "Outcome", "Method", "Document", "US person", "On", "Valid until", "By", "Discrepancy"}, rows)
}

// accounts are those of the customers, with the resellers between them and the provider.
func (i *identity) accounts(runs []desk.Run) {
	var rows, path, regions [][]string
	for _, c := range i.customers {
		for _, a := range c.Accounts {
			tenants := make([]string, len(a.Tenants))
			for n, t := range a.Tenants {
				tenants[n] = string(t)
			}
			opened, closed := "not said", "open"
			if !a.Opened.IsZero() {
				opened = a.Opened.UTC().Format(time.DateOnly)
			}
			if !a.Closed.IsZero() {
				closed = a.Closed.UTC().Format(time.DateOnly)
			}
			rows = append(rows, []string{i.name(c.Party), a.ID, strings.Join(tenants, " "), opened, closed, cmp.Or(strings.Join(a.Reseller, " "), "none")})
			for _, id := range a.Reseller {
				r := i.snapshot.Resellers[id]
				path = append(path, []string{a.ID, id, cmp.Or(r.Party, "not known"), cmp.Or(string(r.Programme), "not known"), cmp.Or(string(r.Disclosure), "not known")})
			}
			for _, r := range runs {
				if a.Region != "" && slices.Contains(a.Tenants, r.Tenant) {
					regions = append(regions, []string{r.ID, a.ID, a.Region})
				}
			}
		}
	}
	i.table("customer.tenants", []string{"Customer", "Account", "Tenants", "Opened", "Closed", "Resellers"}, rows)
	i.table("customer.regions", []string{"Run", "Account", "Region"}, regions)
	if i.table("reseller.path", []string{"Account", "Reseller", "Party", "Programme", "Tells of its customers"}, path); len(path) > 0 {
		i.out["reseller.none"] = report.Value{} // there is one: a report that says there is none would be wrong
	}
}

func (i *identity) links(all []desk.Link) {
	rows := [][]string{}
	for _, l := range all {
		var because []string
		for _, e := range l.Evidence {
			because = append(because, fmt.Sprintf("%s (%+.1f bits)", cmp.Or(e.Detail, e.Name), e.Bits))
		}
		rows = append(rows, []string{l.ID, string(l.A) + " and " + string(l.B), string(l.Class), string(l.State), fmt.Sprintf("%.1f", l.Bits), strings.Join(because, "; "), cmp.Or(l.Reason, "by the rules")})
	}
	i.table("customer.links", []string{"Link", "Between", "Class", "State", "Bits", "Evidence", "Decided because"}, rows)
	if len(rows) == 0 {
		i.say("customer.links", "none: of the links that the register holds none leads from this customer to another")
	}
}

// practices are what the provider noted of the customer's security and incidents.
func (i *identity) practices() {
	for fact, what := range map[string]string{"customer.security": reviewSecurity, "customer.incidents": reviewIncidents} {
		for _, c := range i.customers {
			var newest party.Review
			for _, r := range i.snapshot.Reviews {
				if r.Of == c.ID && r.What == what && r.Note != "" && (r.At.After(newest.At) || r.At.Equal(newest.At) && r.ID > newest.ID) {
					newest = r
				}
			}
			if newest.ID != "" {
				i.out[fact] = report.FromRecord(report.Value{Text: newest.Note}, "review "+newest.ID+" by "+newest.By, newest.At)
			}
		}
	}
}

func (i *identity) exemptions() {
	var rows [][]string
	for _, id := range party.Ordered(i.snapshot.Exemptions) {
		e := i.snapshot.Exemptions[id]
		for _, c := range i.customers {
			if e.Of != c.ID && !slices.ContainsFunc(c.Accounts, func(a party.Account) bool {
				return a.ID == e.Of || slices.Contains(a.Tenants, measure.TenantID(e.Of))
			}) {
				continue
			}
			state := "not in force"
			if e.InForce(i.asOf) {
				state = "in force"
			}
			rows = append(rows, []string{e.ID, e.Basis, e.Scope + " " + e.Of, e.From.UTC().Format(time.DateOnly), e.To.UTC().Format(time.DateOnly), state})
		}
	}
	i.table("customer.exemptions", []string{"Exemption", "Basis", "Of", "From", "To", "Stands"}, rows)
	if len(rows) == 0 {
		i.say("customer.exemptions", "none was proposed or is in force for this customer, its accounts or its workloads")
	}
}

// maxAccesses bounds how many accesses of each account a report lists, the newest.
const maxAccesses = 1000

func (i *identity) accesses(ctx context.Context) error {
	var rows [][]string
	for _, c := range i.customers {
		for _, a := range c.Accounts {
			all, err := i.work.parties.RevealAccesses(ctx, a.ID, i.reason)
			var no *httpapi.Refusal
			if errors.As(err, &no) {
				continue
			}
			if err != nil {
				return err
			}
			for _, at := range all[:min(len(all), maxAccesses)] {
				rows = append(rows, []string{a.ID, at.IP, at.At.UTC().Format("2006-01-02 15:04:05Z"), at.Action})
			}
		}
	}
	i.table("customer.access", []string{"Account", "Address", "At", "Action"}, rows)
	if v, ok := i.out["customer.access"]; ok {
		v.Source = fmt.Sprintf("access log of %s, the newest %d of each account", i.source(), maxAccesses)
		i.out["customer.access"] = v
	}
	return nil
}
