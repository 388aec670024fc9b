package store

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/party/foreign"
	"github.com/flopwatch/flopwatch/collector/internal/programme"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// Seen says when each account was accessed last.
type Seen func(context.Context) (map[string]time.Time, error)

// WithAccesses lets the reader know when accounts were accessed.
func (r *Reader) WithAccesses(seen Seen) *Reader {
	r.seen = seen
	return r
}

// when settles the times of a query.
func (r *Reader) when(q desk.PartyQuery) (valid, known time.Time) {
	now := r.store.opts.Now().UTC()
	valid, known = q.AsOf, q.KnownAt
	if valid.IsZero() {
		valid = now
	}
	if known.IsZero() {
		known = now
	}
	return valid, known
}

// Programme returns the records held against the shipped pack.
func (r *Reader) Programme(ctx context.Context, q desk.PartyQuery) (*programme.Book, party.Snapshot, error) {
	valid, known := r.when(q)
	snapshot, err := r.store.Parties(ctx, valid, known)
	if err != nil {
		return nil, snapshot, err
	}
	book, err := r.ProgrammeOf(ctx, snapshot)
	return book, snapshot, err
}

// ProgrammeOf returns the records of a snapshot held against the shipped pack: who
// decides by it in the transaction of DecideParties gives the snapshot of that one.
func (r *Reader) ProgrammeOf(ctx context.Context, snapshot party.Snapshot) (*programme.Book, error) {
	beside, err := r.beside(ctx)
	if err != nil {
		return nil, err
	}
	pack := programme.Shipped()
	zone, err := time.LoadLocation(pack.Zone)
	if err != nil {
		return nil, fmt.Errorf("programme %s: %w", pack.ID, err)
	}
	return programme.New(pack, zone, snapshot, beside)
}

// beside reads what bears on the programme and is no record of parties.
func (r *Reader) beside(ctx context.Context) (programme.Beside, error) {
	b := programme.Beside{OpenCase: map[string]bool{}, Reported: map[string]time.Time{}}
	if r.seen != nil {
		var err error
		if b.Seen, err = r.seen(ctx); err != nil {
			return b, err
		}
	}
	err := r.view(ctx, "cases of customers", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var at int64
			c, err := scanCase(scanAfter{rows, &at})
			if err != nil {
				return err
			}
			if c.State != casefile.CaseClosed {
				b.OpenCase[c.Subject] = true
			}
			if c.Decision.Outcome == casefile.Reportable {
				b.Reported[c.Subject] = time.Unix(0, at).UTC()
			}
			return nil
		}, "SELECT "+caseColumns+", at_ns FROM case_change c WHERE version = (SELECT max(version) FROM case_change WHERE id = c.id)")
	})
	return b, err
}

// scanAfter scans a column more than it is asked for.
type scanAfter struct {
	rows  *sql.Rows
	after *int64
}

func (s scanAfter) Scan(targets ...any) error { return s.rows.Scan(append(targets, s.after)...) }

// Parties returns every party.
func (r *Reader) Parties(ctx context.Context, q desk.PartyQuery) ([]desk.Party, error) {
	v, err := r.partyView(ctx, q)
	if err != nil {
		return nil, err
	}
	out := make([]desk.Party, 0, len(v.s.Parties))
	for _, id := range party.Ordered(v.s.Parties) {
		out = append(out, v.party(id))
	}
	return out, nil
}

// Party returns one party with its history.
func (r *Reader) Party(ctx context.Context, id string, q desk.PartyQuery) (desk.Party, bool, error) {
	v, err := r.partyView(ctx, q)
	if err != nil {
		return desk.Party{}, false, err
	}
	if _, ok := v.s.Parties[id]; !ok {
		return desk.Party{}, false, nil
	}
	p := v.party(id)
	all, err := r.store.Records(ctx)
	if err != nil {
		return p, false, err
	}
	_, known := r.when(q)
	for _, rec := range all {
		if !rec.Recorded.After(known) && about(rec.Object, id) {
			p.History = append(p.History, desk.PartyRecord{No: rec.No, Object: string(rec.Object.Kind()) + "/" + rec.Object.Key(), From: rec.From, To: rec.To, Recorded: rec.Recorded, By: rec.By, Source: rec.Source})
		}
	}
	return p, true, nil
}

// about reports whether a record is about a party.
func about(o party.Object, id string) bool {
	switch o := o.(type) {
	case party.Party:
		return o.ID == id
	case party.Interest:
		return o.Subject == id || o.Owner.Value == id
	case party.Identifier:
		return o.Party == id
	case party.Verification:
		return o.Party == id
	case party.Contract:
		return o.Party == id
	case party.Reseller:
		return o.Party == id
	case party.ListHit:
		return o.Party == id
	case party.Erasure:
		return o.ID == id
	}
	return false
}

// partyView holds what the views of parties need, by party.
type partyView struct {
	s           party.Snapshot
	book        *programme.Book
	foreign     *foreign.Book
	owners      map[string][]desk.Interest
	owns        map[string][]desk.Interest
	identifiers map[string][]desk.Identifier
	checks      map[string][]desk.Verification
	hits        map[string][]desk.ListHit
	customers   map[string][]string
}

func (r *Reader) partyView(ctx context.Context, q desk.PartyQuery) (*partyView, error) {
	book, s, err := r.Programme(ctx, q)
	if err != nil {
		return nil, err
	}
	v := &partyView{s: s, book: book, owners: map[string][]desk.Interest{}, owns: map[string][]desk.Interest{}, identifiers: map[string][]desk.Identifier{},
		checks: map[string][]desk.Verification{}, hits: map[string][]desk.ListHit{}, customers: map[string][]string{}}
	if v.foreign, err = foreign.New(s, programme.Shipped().Rules()); err != nil {
		return nil, err
	}
	for _, id := range party.Ordered(s.Interests) {
		i := s.Interests[id]
		view := desk.Interest{ID: id, Subject: i.Subject, Owner: i.Owner.String(), What: string(i.What), Unknown: i.Unknown}
		if i.What == party.InShares || i.What == party.InVotes {
			view.Share = shareText(i.Low, i.High)
		}
		v.owners[i.Subject] = append(v.owners[i.Subject], view)
		v.owns[i.Owner.Value] = append(v.owns[i.Owner.Value], view)
	}
	for _, id := range party.Ordered(s.Identifiers) {
		d := s.Identifiers[id]
		v.identifiers[d.Party] = append(v.identifiers[d.Party], desk.Identifier{ID: id, Type: string(d.Type), Hub: d.Hub, First: d.FirstSeen, Last: d.LastSeen})
	}
	for _, id := range party.Ordered(s.Verifications) {
		c := s.Verifications[id]
		v.checks[c.Party] = append(v.checks[c.Party], fromVerification(c))
	}
	for _, list := range v.checks {
		slices.SortStableFunc(list, func(a, b desk.Verification) int { return a.At.Compare(b.At) })
	}
	for _, id := range party.Ordered(s.ListHits) {
		v.hits[s.ListHits[id].Party] = append(v.hits[s.ListHits[id].Party], fromHit(s.ListHits[id]))
	}
	for _, id := range party.Ordered(s.Contracts) {
		if p := s.Contracts[id].Party; p != "" {
			v.customers[p] = append(v.customers[p], id)
		}
	}
	return v, nil
}

func shareText(low, high control.Share) string {
	text := func(s control.Share) string { return strconv.FormatFloat(float64(s)/10_000, 'f', -1, 64) }
	if low == high {
		return text(low)
	}
	return text(low) + ".." + text(high)
}

func (v *partyView) party(id string) desk.Party {
	p := v.s.Parties[id]
	d := v.foreign.Party(id)
	_, erased := v.s.Erasures[id]
	out := desk.Party{ID: id, Form: string(p.Form), Country: p.Country(), Citizenship: []string{}, PermanentResidence: p.PermanentResidence.String(), Location: p.Location.String(),
		LocationBasis: string(p.LocationBasis), Incorporation: p.Incorporation.String(), Headquarters: p.Headquarters.String(), PrincipalPlace: p.PrincipalPlace.String(),
		UltimateParent: p.UltimateParent.String(), ParentHeadquarters: p.ParentHeadquarters.String(), BranchOf: p.BranchOf, OwnersComplete: p.OwnersComplete.String(),
		ForeignStatus: string(d.Status), Reasons: []string{}, Verification: string(v.book.Verification(id).State), Customers: some(v.customers[id]), Holds: some(p.Holds), NotHeld: some(p.NotHeld),
		Erased: erased, Owners: some(v.owners[id]), Owns: some(v.owns[id]), Identifiers: some(v.identifiers[id]), Verifications: some(v.checks[id]), Hits: some(v.hits[id]), History: []desk.PartyRecord{}}
	for _, c := range p.Citizenship {
		out.Citizenship = append(out.Citizenship, c.String())
	}
	for _, reason := range d.Reasons {
		out.Reasons = append(out.Reasons, reason.Text)
	}
	return out
}

// some returns the list, empty rather than nil.
func some[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

func fromVerification(v party.Verification) desk.Verification {
	return desk.Verification{ID: v.ID, Party: v.Party, Method: string(v.Method), Outcome: string(v.Outcome), USPerson: string(v.USPerson), Verifier: v.Verifier, At: v.At, ValidUntil: v.ValidUntil,
		Document: v.Document, Problem: v.Problem, Resolution: v.Resolution, Supersedes: v.Supersedes}
}

func fromHit(h party.ListHit) desk.ListHit {
	return desk.ListHit{ID: h.ID, Party: h.Party, List: h.List, Version: h.Version, Entry: h.Entry, Score: float64(h.Score) / 1000, Explanation: h.Explanation, At: h.At, Disposition: h.Disposition, Reason: h.Reason}
}

// Standings returns how every customer stands.
func (r *Reader) Standings(ctx context.Context, q desk.PartyQuery) ([]desk.Standing, error) {
	book, s, err := r.Programme(ctx, q)
	if err != nil {
		return nil, err
	}
	names, err := customers(ctx, r.store.read)
	if err != nil {
		return nil, err
	}
	all := book.Customers()
	out := make([]desk.Standing, len(all))
	for i, c := range all {
		out[i] = r.standing(c, names[c.ID].Name, s)
	}
	return out, nil
}

// Standing returns how one customer stands.
func (r *Reader) Standing(ctx context.Context, customer string, q desk.PartyQuery) (desk.Standing, bool, error) {
	book, s, err := r.Programme(ctx, q)
	if err != nil {
		return desk.Standing{}, false, err
	}
	if _, ok := s.Contracts[customer]; !ok {
		return desk.Standing{}, false, nil
	}
	var name string
	err = r.store.read.QueryRowContext(ctx, "SELECT coalesce((SELECT name FROM customer WHERE id = ?), '')", customer).Scan(&name)
	if err != nil {
		return desk.Standing{}, false, fmt.Errorf("read the name of customer %s: %w", customer, err)
	}
	return r.standing(book.Customer(customer), name, s), true, nil
}

func (r *Reader) standing(c programme.Customer, name string, s party.Snapshot) desk.Standing {
	d := c.Determination
	pack := programme.Shipped()
	out := desk.Standing{CustomerID: c.ID, Name: name, Party: c.Party, Country: s.Parties[c.Party].Country(), ForeignStatus: string(d.Status), SelfStatus: string(d.Self), Reasons: []desk.StatusReason{},
		Owners: []desk.Owner{}, Undisclosed: d.Undisclosed, Verification: string(c.State), ValidUntil: c.Check.Until, Items: []desk.ProgrammeItem{}, Missing: c.Missing, Accounts: []desk.PartyAccount{},
		LastAccess: c.LastAccess, ReviewDue: c.ReviewDue, RetainUntil: c.Retention.Until, RetainWhy: c.Retention.Why, LegalHold: c.Retention.Hold, Headquarters: string(c.Headquarters), HeadquartersWhy: c.Why,
		Hits: []desk.ListHit{}, Exemptions: []string{}, Pack: pack.ID, PackStatus: pack.Status}
	if c.Restriction.ID != "" {
		out.Restriction = c.Restriction.Terms + ": " + c.Restriction.Reason
	}
	for _, reason := range d.Reasons {
		out.Reasons = append(out.Reasons, desk.StatusReason{Party: reason.Party, Status: string(reason.Status), Text: reason.Text})
	}
	for _, o := range c.Owners {
		out.Owners = append(out.Owners, desk.Owner{Party: o.Party, Is: string(o.Is), ShareLow: o.Share.Low, ShareHigh: o.Share.High, Limbs: some(o.Limbs), ForeignStatus: string(o.Status), Verification: string(o.Check.State), ValidUntil: o.Check.Until})
	}
	for _, i := range c.Items {
		out.Items = append(out.Items, desk.ProgrammeItem{Party: i.Party, Field: i.Field.ID, Title: i.Field.Title, Citation: i.Field.Citation, Held: i.Held, Required: i.Required, Reason: i.Reason})
	}
	for _, a := range c.Accounts {
		view := desk.PartyAccount{ID: a.ID, Tenants: []string{}, Region: a.Region, Opened: a.Opened, Closed: a.Closed, LastAccess: c.Seen[a.ID], Reseller: some(a.Reseller), Trial: a.Trial}
		for _, t := range a.Tenants {
			view.Tenants = append(view.Tenants, string(t))
		}
		out.Accounts = append(out.Accounts, view)
	}
	for _, h := range c.Hits {
		out.Hits = append(out.Hits, fromHit(h))
	}
	for _, e := range c.Exemptions {
		out.Exemptions = append(out.Exemptions, e.ID)
	}
	return out
}

// Reverifications returns the customers to verify or review again within days.
func (r *Reader) Reverifications(ctx context.Context, days int) ([]desk.Reverification, error) {
	return from(ctx, r.store, &r.lists, "reverifications "+strconv.Itoa(days), func() ([]desk.Reverification, error) { return r.readReverifications(ctx, days) })
}

func (r *Reader) readReverifications(ctx context.Context, days int) ([]desk.Reverification, error) {
	book, _, err := r.Programme(ctx, desk.PartyQuery{})
	if err != nil {
		return nil, err
	}
	names, err := customers(ctx, r.store.read)
	if err != nil {
		return nil, err
	}
	out := []desk.Reverification{}
	for _, d := range book.Queue(days) {
		out = append(out, desk.Reverification{CustomerID: d.Customer, Name: names[d.Customer].Name, Verification: string(d.State), Due: d.At, Why: d.Why})
	}
	return out, nil
}

// Resellers returns every reseller with its timers.
func (r *Reader) Resellers(ctx context.Context) ([]desk.Reseller, error) {
	book, _, err := r.Programme(ctx, desk.PartyQuery{})
	if err != nil {
		return nil, err
	}
	out := []desk.Reseller{}
	for _, s := range book.Resellers() {
		view := desk.Reseller{ID: s.ID, Party: s.Party, CustomerID: s.Customer, ForeignStatus: string(s.Foreign), Programme: string(s.Programme), Disclosure: string(s.Disclosure), Opaque: s.Opaque,
			Attested: s.Attested, CopyHeld: s.CopyHeld, Failing: s.Failing, FailReason: s.FailReason, Ended: s.Ended, Accounts: some(s.Accounts), Timers: []desk.ResellerTimer{}}
		for _, t := range s.Timers {
			view.Timers = append(view.Timers, desk.ResellerTimer{Name: t.Name, Began: t.Began, Due: t.Standing.Due.Date.String(), Over: t.Standing.Due.Over.UTC(), State: string(t.Standing.State), DaysLeft: t.Standing.DaysLeft})
		}
		out = append(out, view)
	}
	return out, nil
}

// ExemptionDigest identifies what is approved of an exemption.
func ExemptionDigest(e party.Exemption) (string, error) {
	e.Approvals = nil
	sum, err := canonical.Digest(e)
	if err != nil {
		return "", fmt.Errorf("digest of exemption %s: %w", e.ID, err)
	}
	return hex.EncodeToString(sum[:]), nil
}

// Exemptions returns every exemption.
func (r *Reader) Exemptions(ctx context.Context) ([]desk.Exemption, error) {
	now, known := r.when(desk.PartyQuery{})
	s, err := r.store.Parties(ctx, now, known)
	if err != nil {
		return nil, err
	}
	out := []desk.Exemption{}
	for _, id := range party.Ordered(s.Exemptions) {
		e := s.Exemptions[id]
		view := desk.Exemption{ID: id, Basis: e.Basis, Scope: e.Scope, Of: e.Of, IssuedBy: e.IssuedBy, From: e.From, To: e.To, Evidence: some(e.Evidence), Authors: some(e.Authors), Approvals: []string{},
			Needed: party.ApproversNeeded, Withdrawn: e.Withdrawn}
		if view.Digest, err = ExemptionDigest(e); err != nil {
			return nil, err
		}
		for _, a := range e.Approvals {
			view.Approvals = append(view.Approvals, a.By+" "+a.At.UTC().Format(time.RFC3339))
		}
		switch {
		case e.Withdrawn != "":
			view.State = "withdrawn"
		case len(e.Approvals) < party.ApproversNeeded:
			view.State = "proposed"
		case now.Before(e.From):
			view.State = "not yet"
		case !now.Before(e.To):
			view.State = "over"
		default:
			view.State = "in force"
		}
		out = append(out, view)
	}
	return out, nil
}

// ProgrammeGaps returns the areas in which the programme falls short.
func (r *Reader) ProgrammeGaps(ctx context.Context) ([]desk.ProgrammeGap, error) {
	return from(ctx, r.store, &r.lists, "gaps", func() ([]desk.ProgrammeGap, error) { return r.readGaps(ctx) })
}

func (r *Reader) readGaps(ctx context.Context) ([]desk.ProgrammeGap, error) {
	book, _, err := r.Programme(ctx, desk.PartyQuery{})
	if err != nil {
		return nil, err
	}
	out := []desk.ProgrammeGap{}
	for _, g := range book.Gaps() {
		out = append(out, desk.ProgrammeGap{Area: g.Area, Title: g.Title, Citation: g.Citation, Advice: g.Advice, Subjects: g.Subjects})
	}
	return out, nil
}

// Certification returns the data of the yearly certification.
func (r *Reader) Certification(ctx context.Context) (desk.Certification, error) {
	return from(ctx, r.store, &r.lists, "certification", func() (desk.Certification, error) { return r.readCertification(ctx) })
}

func (r *Reader) readCertification(ctx context.Context) (desk.Certification, error) {
	book, s, err := r.Programme(ctx, desk.PartyQuery{})
	if err != nil {
		return desk.Certification{}, err
	}
	c := book.Certification()
	out := desk.Certification{Pack: c.Pack, PackStatus: c.Status, Citation: c.Citation, AsOf: c.AsOf, Customers: c.Customers, CustomersByCountry: c.CustomersByCountry, ForeignCustomers: c.ForeignCustomers,
		UndeterminedCustomers: c.UndeterminedCustomers, ForeignOwners: c.ForeignOwners, OwnersByCountry: c.OwnersByCountry, ForeignResellers: some(c.ForeignResellers),
		UnverifiedForeignAccounts: some(c.UnverifiedForeignAccounts), FailedVerifications: []desk.Verification{}, Statements: []desk.ProgrammeStatement{}, Missing: c.Missing}
	for _, f := range c.FailedVerifications {
		v := fromVerification(s.Verifications[f.ID])
		v.Resolution = f.Resolution
		out.FailedVerifications = append(out.FailedVerifications, v)
	}
	for _, st := range c.Statements {
		out.Statements = append(out.Statements, desk.ProgrammeStatement{ID: st.ID, Title: st.Title, At: st.At, By: st.By, Note: strings.TrimSpace(st.Note)})
	}
	return out, nil
}
