package programme

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/clock"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
)

// Gap is an area in which the programme falls short, with whom it concerns.
type Gap struct {
	Area     string // stable name, such as field.email
	Title    string
	Citation string
	Advice   string
	Subjects []string // ids of customers, resellers, exemptions or statements, in order
}

// gaps collects areas in their order.
type gaps struct{ all []*Gap }

func (g *gaps) area(area, title, citation, advice string) func(subject string) {
	gap := &Gap{Area: area, Title: title, Citation: citation, Advice: advice}
	g.all = append(g.all, gap)
	return func(subject string) {
		if !slices.Contains(gap.Subjects, subject) {
			gap.Subjects = append(gap.Subjects, subject)
		}
	}
}

// Gaps returns the areas to improve, with citation and whom they concern. An
// area that concerns nobody is left out.
func (b *Book) Gaps() []Gap {
	g := &gaps{}
	b.customerGaps(g)
	b.resellerGaps(g)
	b.exemptionGaps(g)
	b.statementGaps(g)
	var out []Gap
	for _, gap := range g.all {
		if len(gap.Subjects) > 0 {
			slices.Sort(gap.Subjects)
			out = append(out, *gap)
		}
	}
	return out
}

func (b *Book) customerGaps(g *gaps) {
	p := b.pack
	cip := p.Verification.Citation
	fields := map[string]func(string){}
	for _, f := range p.Fields {
		if !f.Optional {
			fields[f.ID] = g.area("field."+f.ID, f.Title+" not held", f.Citation, "ask the customer, or record why it is not held")
		}
	}
	unrecorded := g.area("party.none", "customer of whom no party is recorded", p.Definition.Citation, "record who it is; until then only your own word says whether it is foreign")
	owners := g.area("owners.unknown", "beneficial owners not known", p.Definition.Citation, "ask for everybody who owns 25 % or controls the customer")
	undetermined := g.area("status.undetermined", "foreign status undetermined", p.Definition.Citation, "collect what the reasons name; until then it alerts like foreign")
	unverified := g.area("verification.none", "foreign or undetermined customer with an open account, not verified", cip, "verify it, or restrict the account")
	pending := g.area("verification.pending", "verification pending without restricted terms", cip, "say under which terms it may use the product meanwhile")
	expired := g.area("verification.expired", "verification expired", cip, "verify again")
	expiring := g.area("verification.expiring", "verification expires soon", cip, "verify again before it does")
	failed := g.area("verification.failed", "verification failed and the account is open without restriction", cip, "close it or take other measures, as the programme says")
	unresolved := g.area("verification.unresolved", "failed verification without a recorded resolution", p.Certification.Citation, "record how each was resolved; the yearly certification attests it")
	conflict := g.area("verification.conflict", "discrepancy found in a verification without a recorded resolution", cip, "record how it was resolved")
	review := g.area("review.overdue", "periodic review overdue", cip, "check again whether what is held is still right")
	headquarters := g.area("headquarters.unknown", "headquarters or ultimate parent not known", p.Headquarters.Citation, "ask for both: they count whatever law the customer is organised under")
	inGroup := g.area("headquarters.listed", "headquarters or ultimate parent in "+p.Headquarters.Group, p.Headquarters.Citation, "let export control look at it")
	hits := g.area("screening.open", "hit on a list that nobody has decided", "31 CFR chapter V; 15 CFR part 744", "decide whether it is the same person")
	matched := g.area("screening.match", "on a list, with an open account", "31 CFR chapter V; 15 CFR part 744", "let counsel look at it today")
	erase := g.area("retention.over", "personal data kept longer than needed", p.Retention.Citation, "erase the parties")
	for _, c := range b.Customers() {
		if c.Party == "" {
			unrecorded(c.ID)
		}
		for _, i := range c.Items {
			if i.Required && !i.Held && i.Reason == "" {
				fields[i.Field.ID](c.ID)
			}
		}
		d := c.Determination
		tell := func(when bool, area func(string)) {
			if when {
				area(c.ID)
			}
		}
		foreign := d.Status != party.US
		tell(d.Undisclosed, owners)
		tell(d.Status == party.Undetermined, undetermined)
		tell(c.Open && foreign && c.State == Unverified, unverified)
		tell(c.Open && c.State == Pending, pending)
		tell(c.Open && c.State == Expired, expired)
		tell(c.Open && c.State == Expiring, expiring)
		tell(c.Open && c.State == Failed, failed)
		checks := slices.Clone(b.checks[c.Party])
		for _, o := range c.Owners {
			checks = append(checks, b.checks[o.Party]...)
		}
		for _, v := range checks {
			tell(v.Outcome == party.Failed && v.Resolution == "" && !b.resolved(v), unresolved)
			tell(v.Outcome != party.Failed && v.Problem != "" && v.Resolution == "", conflict)
		}
		tell(c.Open && !c.ReviewDue.IsZero() && !b.now.Before(c.ReviewDue), review)
		tell(foreign && c.Party != "" && c.Headquarters == control.Unknown, headquarters)
		tell(c.Headquarters == control.Yes, inGroup)
		for _, h := range c.Hits {
			tell(h.Disposition == "", hits)
			tell(h.Disposition == "true_match" && c.Open, matched)
		}
		tell(c.Retention.Due && !b.erased(c), erase)
	}
}

// resolved reports whether a later verification says how a failed one was resolved.
func (b *Book) resolved(failed party.Verification) bool {
	return slices.ContainsFunc(b.checks[failed.Party], func(v party.Verification) bool { return v.Supersedes == failed.ID && v.Resolution != "" })
}

func (b *Book) erased(c Customer) bool {
	_, done := b.s.Erasures[c.Party]
	return done || c.Party == ""
}

func (b *Book) resellerGaps(g *gaps) {
	citation := b.pack.Resellers.Citation
	none := g.area("reseller.programme", "foreign reseller without a known programme of its own", citation, "see that it has one, or that it adopts yours by agreement")
	copyHeld := g.area("reseller.copy", "no copy of the reseller's programme is held", citation, "ask for it: it must be produced within 10 days of a request")
	attested := g.area("reseller.attestation", "attestation of the reseller's programme lapsed or missing", citation, "ask for a new one")
	produce := g.area("reseller.copy_overdue", "copy of a programme not produced in time", citation, "produce it")
	end := g.area("reseller.end_overdue", "relationship with a failing reseller not ended in time", citation, "end it")
	failing := g.area("reseller.failing", "reseller that does not comply", citation, "report what is suspected, and end the relationship in time")
	opaque := g.area("reseller.opaque", "reseller that does not tell its end customers", citation, "its total counts as that of one customer until it does")
	after := g.area("reseller.ended", "open account through a reseller whose relationship has ended", citation, "close it or contract directly")
	for _, r := range b.Resellers() {
		tell := func(when bool, area func(string)) {
			if when {
				area(r.ID)
			}
		}
		live := r.Ended.IsZero()
		foreign := r.Foreign != party.US
		tell(live && foreign && (r.Programme == party.NoProgramme || r.Programme == party.ProgrammeUnsaid), none)
		tell(live && foreign && r.CopyHeld.IsZero(), copyHeld)
		tell(live && foreign && r.Attested.IsZero(), attested)
		tell(live && !r.Failing.IsZero(), failing)
		tell(live && r.Disclosure != party.FullDisclosure, opaque)
		tell(!live && len(r.Accounts) > 0, after)
		for _, t := range r.Timers {
			late := t.Standing.State == clock.Overdue
			tell(late && t.Name == "copy", produce)
			tell(late && t.Name == "end", end)
			tell(late && t.Name == "attestation" && foreign, attested)
		}
	}
}

func (b *Book) exemptionGaps(g *gaps) {
	citation := "proposed 15 CFR 7.306"
	waits := g.area("exemption.approval", "exemption that lacks approvers", citation, fmt.Sprintf("%d people who did not write it must approve it", party.ApproversNeeded))
	over := g.area("exemption.over", "exemption that has run out", citation, "renew it or let it go")
	review := g.area("exemption.review", "exemption due for review", citation, "look at it again")
	for _, id := range party.Ordered(b.s.Exemptions) {
		e := b.s.Exemptions[id]
		switch {
		case e.Withdrawn != "":
		case len(e.Approvals) < party.ApproversNeeded:
			waits(id)
		case !b.now.Before(e.To):
			over(id)
		default:
			last := e.From
			if at := b.reviews[id]; at.After(last) {
				last = at
			}
			if !b.now.Before(last.AddDate(0, 0, b.pack.ExemptionReviewDays)) {
				review(id)
			}
		}
	}
}

func (b *Book) statementGaps(g *gaps) {
	c := b.pack.Certification
	missing := g.area("certification.statement", "statement of the certification missing or older than a year", c.Citation, "review the programme and record it")
	for _, s := range c.Statements {
		at := b.reviews["programme:"+s.ID]
		if at.IsZero() || !b.now.Before(at.AddDate(0, 0, c.EveryDays)) {
			missing(s.ID)
		}
	}
}

// Due is a customer to be verified or reviewed again.
type Due struct {
	Customer string
	State    State
	At       time.Time // when it fell or falls due
	Why      string
}

// Queue returns the customers to verify or review again within days, what fell
// due first first. Those never verified that must be come before all.
func (b *Book) Queue(days int) []Due {
	var out []Due
	horizon := b.now.AddDate(0, 0, days)
	for _, c := range b.Customers() {
		if !c.Open {
			continue
		}
		d := Due{Customer: c.ID, State: c.State}
		until := c.Check.Until
		who := "its verification"
		for _, o := range c.Owners {
			if u := o.Check.Until; !u.IsZero() && (until.IsZero() || u.Before(until)) {
				until, who = u, "the verification of its owner "+o.Party
			}
		}
		switch {
		case c.Party == "":
			d.Why = "no party is recorded"
		case c.State == Unverified && c.Determination.Status != party.US:
			d.Why = "never verified"
		case c.State == Failed:
			d.At, d.Why = c.Check.Last.At, "verification failed"
		case !until.IsZero() && until.Before(horizon):
			d.At, d.Why = until, who+" expires"
			if !until.After(b.now) {
				d.Why = who + " has expired"
			}
		case !c.ReviewDue.IsZero() && c.ReviewDue.Before(horizon):
			d.At, d.Why = c.ReviewDue, "periodic review"
		default:
			continue
		}
		out = append(out, d)
	}
	slices.SortStableFunc(out, func(x, y Due) int { return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Customer, y.Customer)) })
	return out
}
