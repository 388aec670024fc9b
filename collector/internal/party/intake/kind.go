package intake

import (
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// kind is a kind of rows. The first required column is its id.
type kind struct {
	name               string
	required, optional []string
	build              func(*cursor) party.Object
}

// Personal are the columns of parties whose cells are sealed.
var Personal = []string{"name", "name_original", "trade_name", "address", "birth_date", "national_id"}

var kinds = []kind{
	{"party", []string{"party_id", "form"}, append([]string{"citizenship", "permanent_residence", "location", "location_basis", "incorporation", "headquarters",
		"principal_place", "ultimate_parent", "parent_headquarters", "branch_of", "owners_complete", "formed"}, Personal...), buildParty},
	{"interest", []string{"interest_id", "subject", "owner", "what"}, []string{"share", "direct", "ended"}, buildInterest},
	{"identifier", []string{"identifier_id", "party_id", "type", "value"}, []string{"country", "first_seen", "last_seen", "hub", "hub_reason", "ended"}, buildIdentifier},
	{"customer", []string{"customer_id", "party_id"}, []string{"name", "risk_class", "places_of_use", "purpose", "demonstration", "ended"}, buildContract},
	{"account", []string{"account_id", "customer_id"}, []string{"tenants", "region", "opened", "closed", "reseller", "trial"}, buildAccount},
	{"verification", []string{"verification_id", "party_id", "outcome", "verifier", "at"}, []string{"method", "us_person", "valid_until", "document", "issuer", "expires", "evidence",
		"problem", "resolution", "supersedes", "document_number", "document_place"}, buildVerification},
	{"reseller", []string{"reseller_id", "party_id", "programme", "disclosure"}, []string{"customer_id", "attested", "copy_held"}, buildReseller},
	{"restriction", []string{"restriction_id", "customer_id", "terms", "reason"}, []string{"lifted"}, buildRestriction},
}

func buildParty(c *cursor) party.Object {
	p := party.Party{
		ID: c.id("party_id"), Form: party.Form(c.word("form", "person", "organisation")),
		PermanentResidence: c.country("permanent_residence"), Location: c.country("location"),
		LocationBasis: party.Basis(c.word("location_basis", "stated", "verified", "ip")), Incorporation: c.country("incorporation"),
		Headquarters: c.country("headquarters"), PrincipalPlace: c.country("principal_place"), UltimateParent: c.reference("ultimate_parent"),
		ParentHeadquarters: c.country("parent_headquarters"), BranchOf: c.id("branch_of"), OwnersComplete: c.stated("owners_complete"), Formed: c.day("formed"),
	}
	for _, part := range c.list("citizenship") {
		p.Citizenship = append(p.Citizenship, c.countryOf("citizenship", part))
	}
	for _, column := range Personal {
		c.personal(column, &p.Holds, &p.NotHeld)
	}
	if date := c.change.Personal["birth_date"]; date != "" {
		c.dayOf("birth_date", date)
	}
	if p.Form == party.Organisation {
		for _, column := range []string{"citizenship", "permanent_residence", "birth_date"} {
			if c.cells[column] != "" {
				c.wrong(column, "is for persons only")
			}
		}
	} else {
		for _, column := range []string{"incorporation", "headquarters", "ultimate_parent", "parent_headquarters", "branch_of"} {
			if c.cells[column] != "" {
				c.wrong(column, "is for organisations only")
			}
		}
	}
	return p
}

func buildInterest(c *cursor) party.Object {
	i := party.Interest{ID: c.id("interest_id"), Subject: c.id("subject"), Owner: c.reference("owner"),
		What: party.InterestKind(c.word("what", "shares", "votes", "appointment", "other_control")), Direct: c.yes("direct", true), Ended: c.yes("ended", false)}
	i.Low, i.High, i.Unknown = c.share("share", i.What)
	if i.Owner.Known() && i.Owner.Value == i.Subject {
		c.wrong("owner", "is the subject itself")
	}
	return i
}

func buildIdentifier(c *cursor) party.Object {
	types := make([]string, len(party.IdentifierTypes))
	for n, t := range party.IdentifierTypes {
		types[n] = string(t)
	}
	d := party.Identifier{ID: c.id("identifier_id"), Party: c.id("party_id"), Type: party.IdentifierType(c.word("type", types...)),
		Country: c.country("country").Value, FirstSeen: c.time("first_seen"), LastSeen: c.time("last_seen"), Hub: c.yes("hub", false), HubReason: c.plain("hub_reason"), Ended: c.yes("ended", false)}
	value := c.plain("value")
	if _, _, err := party.Normal(d.Type, value); err != nil && value != "" {
		c.wrong("value", err.Error())
	}
	c.change.Personal["value"] = value
	if !d.Hub && value != "" && party.StandsForNone(d.Type, value) {
		d.Hub, d.HubReason = true, "a number that stands for none"
	}
	if !d.LastSeen.IsZero() && d.LastSeen.Before(d.FirstSeen) {
		c.wrong("last_seen", "is before first_seen")
	}
	return d
}

func buildContract(c *cursor) party.Object {
	o := party.Contract{ID: c.id("customer_id"), Party: c.id("party_id"), RiskClass: c.plain("risk_class"), Purpose: c.yes("purpose", false), Demonstration: c.yes("demonstration", false), Ended: c.yes("ended", false)}
	for _, part := range c.list("places_of_use") {
		o.PlacesOfUse = append(o.PlacesOfUse, c.countryOf("places_of_use", part))
	}
	c.change.Name = c.plain("name")
	return o
}

func buildAccount(c *cursor) party.Object {
	a := party.Account{ID: c.id("account_id"), Customer: c.id("customer_id"), Region: c.plain("region"), Opened: c.time("opened"), Closed: c.time("closed"), Trial: c.yes("trial", false)}
	for _, part := range c.list("tenants") {
		if slices.Contains(a.Tenants, measure.TenantID(part)) {
			c.wrong("tenants", "holds one twice")
		}
		a.Tenants = append(a.Tenants, measure.TenantID(part))
	}
	for _, part := range c.list("reseller") {
		a.Reseller = append(a.Reseller, c.idOf("reseller", part))
	}
	if !a.Closed.IsZero() && a.Closed.Before(a.Opened) {
		c.wrong("closed", "is before it was opened")
	}
	return a
}

func buildVerification(c *cursor) party.Object {
	v := party.Verification{ID: c.id("verification_id"), Party: c.id("party_id"), Outcome: party.Outcome(c.word("outcome", "pending", "verified", "failed")), Verifier: c.plain("verifier"), At: c.time("at"),
		Method: party.Method(c.word("method", "documentary", "non_documentary", "reliance")), USPerson: control.Answer(c.word("us_person", "yes", "no", "unknown")), ValidUntil: c.time("valid_until"),
		Document: c.plain("document"), Issuer: c.country("issuer").Value, Expires: c.time("expires"), Evidence: c.list("evidence"), Problem: c.plain("problem"), Resolution: c.plain("resolution"), Supersedes: c.id("supersedes")}
	if v.Outcome == party.Verified && v.Method == "" {
		c.wrong("method", "is empty: what was verified was verified in some way")
	}
	if v.Method == party.Documentary && !v.Expires.IsZero() && v.Outcome == party.Verified && v.Expires.Before(v.At) {
		c.wrong("expires", "is before the verification: the document had expired")
	}
	if !v.ValidUntil.IsZero() && !v.ValidUntil.After(v.At) {
		c.wrong("valid_until", "is not after the verification")
	}
	for _, column := range []string{"document_number", "document_place"} {
		if text := c.plain(column); text != "" {
			c.change.Personal[column] = text
		}
	}
	return v
}

func buildReseller(c *cursor) party.Object {
	return party.Reseller{ID: c.id("reseller_id"), Party: c.id("party_id"), Customer: c.id("customer_id"), Programme: party.Programme(c.word("programme", "own", "adopts_ours", "none", "unknown")),
		Disclosure: party.Disclosure(c.word("disclosure", "full", "partial", "none")), Attested: c.time("attested"), CopyHeld: c.time("copy_held")}
}

func buildRestriction(c *cursor) party.Object {
	return party.Restriction{ID: c.id("restriction_id"), Customer: c.id("customer_id"), Terms: c.word("terms", "restricted", "monitored", "closing"), Reason: c.plain("reason"), Lifted: c.yes("lifted", false)}
}

// personal takes a cell that is to be sealed, and notes whether it is held or why not.
func (c *cursor) personal(column string, holds, not *[]string) {
	s := c.stated(column)
	switch {
	case s.Known():
		c.change.Personal[column] = s.Value
		*holds = append(*holds, column)
	case s.Unknown != "":
		*not = append(*not, column+": "+s.Unknown)
	}
}

// unknownPrefix begins a cell that says why there is no value.
const unknownPrefix = "unknown:"

func cutUnknown(cell string) (reason string, ok bool) {
	rest, ok := strings.CutPrefix(cell, unknownPrefix)
	return strings.TrimSpace(rest), ok
}
