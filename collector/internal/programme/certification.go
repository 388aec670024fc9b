package programme

import (
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
)

// Certification are the data of the yearly certification.
type Certification struct {
	Pack, Citation, Status    string
	AsOf                      time.Time
	Customers                 int
	CustomersByCountry        map[string]int // "" where it is not known
	ForeignCustomers          int
	UndeterminedCustomers     int
	ForeignOwners             int
	OwnersByCountry           map[string]int
	ForeignResellers          []string
	UnverifiedForeignAccounts []string // open, of customers not shown to be US persons and not verified
	FailedVerifications       []FailedVerification
	Statements                []Statement
	Missing                   int // statements not given, and failures not resolved
}

// FailedVerification is a failed verification of the last year and how it was resolved.
type FailedVerification struct {
	ID, Party, Problem, Resolution string
	At                             time.Time
}

// Statement is one text or attestation of the certification.
type Statement struct {
	ID, Title, By, Note string
	At                  time.Time // zero if it was not given in the last year
}

// Certification gathers the data of the certification as of the snapshot.
func (b *Book) Certification() Certification {
	c := Certification{Pack: b.pack.ID, Citation: b.pack.Certification.Citation, Status: b.pack.Status, AsOf: b.now,
		CustomersByCountry: map[string]int{}, OwnersByCountry: map[string]int{}}
	owners := map[string]bool{}
	for _, s := range b.Customers() {
		c.Customers++
		c.CustomersByCountry[b.s.Parties[s.Party].Country()]++
		switch s.Determination.Status {
		case party.Foreign:
			c.ForeignCustomers++
		case party.Undetermined:
			c.UndeterminedCustomers++
		}
		for _, o := range s.Owners {
			if o.Status == party.Foreign && !owners[o.Party] {
				owners[o.Party] = true
				c.ForeignOwners++
				c.OwnersByCountry[b.s.Parties[o.Party].Country()]++
			}
		}
		if s.Determination.Status == party.US || s.State == Verified || s.State == Expiring {
			continue
		}
		for _, a := range s.Accounts {
			if a.Closed.IsZero() || a.Closed.After(b.now) {
				c.UnverifiedForeignAccounts = append(c.UnverifiedForeignAccounts, a.ID)
			}
		}
	}
	for _, r := range b.Resellers() {
		if r.Foreign != party.US && r.Ended.IsZero() {
			c.ForeignResellers = append(c.ForeignResellers, r.ID)
		}
	}
	since := b.now.AddDate(0, 0, -b.pack.Certification.EveryDays)
	for _, id := range party.Ordered(b.s.Verifications) {
		v := b.s.Verifications[id]
		if v.Outcome != party.Failed || v.At.Before(since) || v.At.After(b.now) {
			continue
		}
		f := FailedVerification{ID: id, Party: v.Party, Problem: v.Problem, Resolution: v.Resolution, At: v.At}
		for _, later := range b.checks[v.Party] {
			if later.Supersedes == id && later.Resolution != "" {
				f.Resolution = later.Resolution
			}
		}
		if f.Resolution == "" {
			c.Missing++
		}
		c.FailedVerifications = append(c.FailedVerifications, f)
	}
	for _, s := range b.pack.Certification.Statements {
		out := Statement{ID: s.ID, Title: s.Title}
		for _, r := range b.s.Reviews {
			if r.Of == "programme" && r.What == s.ID && r.At.After(since) && r.At.After(out.At) {
				out.At, out.By, out.Note = r.At, r.By, r.Note
			}
		}
		if out.At.IsZero() {
			c.Missing++
		}
		c.Statements = append(c.Statements, out)
	}
	return c
}
