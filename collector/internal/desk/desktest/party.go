package desktest

import (
	"context"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// PartyViews are the canned answers about who customers are.
type PartyViews struct {
	PartyList         []desk.Party
	StandingList      []desk.Standing
	QueueList         []desk.Reverification
	ResellerList      []desk.Reseller
	ExemptionList     []desk.Exemption
	GapList           []desk.ProgrammeGap
	CertificationView desk.Certification
}

// Parties returns PartyList, whatever the times.
func (r *Reader) Parties(context.Context, desk.PartyQuery) ([]desk.Party, error) {
	return r.PartyList, r.Err
}

// Party returns the party of an id.
func (r *Reader) Party(_ context.Context, id string, _ desk.PartyQuery) (desk.Party, bool, error) {
	return find(r.PartyList, r.Err, func(p desk.Party) bool { return p.ID == id })
}

// Standings returns StandingList, whatever the times.
func (r *Reader) Standings(context.Context, desk.PartyQuery) ([]desk.Standing, error) {
	return r.StandingList, r.Err
}

// Standing returns the standing of a customer.
func (r *Reader) Standing(_ context.Context, customer string, _ desk.PartyQuery) (desk.Standing, bool, error) {
	return find(r.StandingList, r.Err, func(s desk.Standing) bool { return s.CustomerID == customer })
}

func find[T any](all []T, err error, is func(T) bool) (one T, ok bool, _ error) {
	if i := slices.IndexFunc(all, is); i >= 0 {
		return all[i], true, err
	}
	return one, false, err
}

// Reverifications returns QueueList, whatever the days.
func (r *Reader) Reverifications(context.Context, int) ([]desk.Reverification, error) {
	return r.QueueList, r.Err
}

// Resellers returns ResellerList.
func (r *Reader) Resellers(context.Context) ([]desk.Reseller, error) { return r.ResellerList, r.Err }

// Exemptions returns ExemptionList.
func (r *Reader) Exemptions(context.Context) ([]desk.Exemption, error) {
	return r.ExemptionList, r.Err
}

// ProgrammeGaps returns GapList.
func (r *Reader) ProgrammeGaps(context.Context) ([]desk.ProgrammeGap, error) {
	return r.GapList, r.Err
}

// Certification returns CertificationView.
func (r *Reader) Certification(context.Context) (desk.Certification, error) {
	return r.CertificationView, r.Err
}

// cannedParties are two customers: one foreign, of whom much is missing, and a US
// company with a foreign owner whose verification has expired.
func cannedParties() PartyViews {
	day := func(n int) time.Time { return Noon.AddDate(0, 0, n) }
	const citation = "proposed 15 CFR 7.302"
	check := desk.Verification{ID: "ver_91", Party: "pty_orion", Method: "documentary", Outcome: "verified", USPerson: "no", Verifier: "usr_ines", At: day(-340), ValidUntil: day(12), Document: "articles"}
	failed := desk.Verification{ID: "ver_93", Party: "pty_lin", Method: "non_documentary", Outcome: "failed", Verifier: "vendor:example", At: day(-3), Problem: "name_mismatch"}
	hit := desk.ListHit{ID: "hit_7", Party: "pty_lin", List: "us_bis_entity", Version: "2026-11-18", Entry: "Q-1841", Score: 0.87, Explanation: "name 0.91, country 1.00", At: day(-2)}
	return PartyViews{
		PartyList: []desk.Party{
			{ID: "pty_delta", Form: "organisation", Country: "US", Citizenship: []string{}, Incorporation: "US", PrincipalPlace: "US", Headquarters: "unknown: not asked", UltimateParent: "unknown: refuses", ForeignStatus: "foreign", Reasons: []string{"organised under the law of US; verification ver_92 of 2026-01-15 concluded that it is a US person", "its beneficial owner pty_lin (30 %) is foreign: none of the grounds of proposed 15 CFR 7.301 for a US person holds"}, Verification: "verified", Customers: []string{"cus_delta"}, Holds: []string{"name", "address"}, NotHeld: []string{},
				Owners: []desk.Interest{{ID: "int_1", Subject: "pty_delta", Owner: "pty_lin", What: "shares", Share: "30"}, {ID: "int_2", Subject: "pty_delta", Owner: "unknown: bearer shares", What: "shares", Share: "0..70", Unknown: "bearer shares"}}, Owns: []desk.Interest{}, Identifiers: []desk.Identifier{{ID: "idn_1", Type: "tax_id"}}, Verifications: []desk.Verification{}, Hits: []desk.ListHit{}, History: []desk.PartyRecord{{No: 1, Object: "party/pty_delta", From: day(-900), Recorded: day(-300), By: "usr_ines", Source: "parties.csv:2"}}},
			{ID: "pty_lin", Form: "person", Country: "CN", Citizenship: []string{"CN"}, PermanentResidence: "CN", Location: "unknown: travels", ForeignStatus: "undetermined", Reasons: []string{"location is not known (travels)"}, Verification: "failed", Customers: []string{}, Holds: []string{"name"}, NotHeld: []string{"address: refuses"}, Owners: []desk.Interest{}, Owns: []desk.Interest{{ID: "int_1", Subject: "pty_delta", Owner: "pty_lin", What: "shares", Share: "30"}}, Identifiers: []desk.Identifier{{ID: "idn_2", Type: "email", Hub: true}}, Verifications: []desk.Verification{failed}, Hits: []desk.ListHit{hit}, History: []desk.PartyRecord{}},
			{ID: "pty_orion", Form: "organisation", Country: "SG", Citizenship: []string{}, Incorporation: "SG", PrincipalPlace: "SG", Headquarters: "CN", ForeignStatus: "foreign", Reasons: []string{"verification ver_91 of 2025-12-15 concluded that it is not a US person"}, Verification: "expiring", Customers: []string{"cus_orion"}, Holds: []string{"name"}, NotHeld: []string{}, Owners: []desk.Interest{}, Owns: []desk.Interest{}, Identifiers: []desk.Identifier{}, Verifications: []desk.Verification{check}, Hits: []desk.ListHit{}, History: []desk.PartyRecord{}},
		},
		StandingList: []desk.Standing{
			{CustomerID: "cus_delta", Name: "Delta Compute (demonstration)", Party: "pty_delta", Country: "US", ForeignStatus: "foreign", SelfStatus: "us", Reasons: []desk.StatusReason{{Party: "pty_delta", Status: "us", Text: "organised under the law of US; verification ver_92 of 2026-01-15 concluded that it is a US person"}, {Party: "pty_lin", Status: "foreign", Text: "its beneficial owner pty_lin (30 %) is foreign"}},
				Owners: []desk.Owner{{Party: "pty_lin", Is: "yes", ShareLow: 0.3, ShareHigh: 0.3, Limbs: []string{"ownership"}, ForeignStatus: "foreign", Verification: "failed"}}, Undisclosed: true, Verification: "restricted", Restriction: "restricted: verification of the owner failed",
				Items: []desk.ProgrammeItem{{Party: "pty_delta", Field: "name", Title: "name", Citation: citation, Held: true, Required: true}, {Party: "pty_lin", Field: "address", Title: "address", Citation: citation, Required: true, Reason: "refuses"}, {Party: "pty_lin", Field: "phone", Title: "telephone number", Citation: citation, Required: true}}, Missing: 2,
				Accounts: []desk.PartyAccount{{ID: "acc_d4", Tenants: []string{"ten-delta-4"}, Region: "us-east", Opened: day(-300), LastAccess: day(0), Reseller: []string{"rsl_nord"}}}, LastAccess: day(0), ReviewDue: day(55), RetainWhy: "an account is open", Headquarters: "unknown", HeadquartersWhy: "its headquarters are not known", Hits: []desk.ListHit{hit}, Exemptions: []string{}, Pack: "us-iaas-2024-proposed", PackStatus: "proposed"},
			{CustomerID: "cus_orion", Name: "Orion Labs (demonstration)", Party: "pty_orion", Country: "SG", ForeignStatus: "foreign", SelfStatus: "foreign", Reasons: []desk.StatusReason{{Party: "pty_orion", Status: "foreign", Text: "verification ver_91 of 2025-12-15 concluded that it is not a US person"}}, Owners: []desk.Owner{}, Undisclosed: true, Verification: "expiring", ValidUntil: day(12),
				Items: []desk.ProgrammeItem{{Party: "pty_orion", Field: "email", Title: "e-mail address", Citation: citation, Required: true}}, Missing: 1, Accounts: []desk.PartyAccount{{ID: "acc_o17", Tenants: []string{"ten-orion-17"}, Opened: day(-400), Reseller: []string{}}}, ReviewDue: day(25), RetainWhy: "an account is open", LegalHold: "hld_2", Headquarters: "yes", HeadquartersWhy: "its headquarters are in CN, which is in country group D:5 and Macau", Hits: []desk.ListHit{}, Exemptions: []string{}, Pack: "us-iaas-2024-proposed", PackStatus: "proposed"},
		},
		QueueList: []desk.Reverification{
			{CustomerID: "cus_delta", Name: "Delta Compute (demonstration)", Verification: "restricted", Due: day(-3), Why: "verification failed"},
			{CustomerID: "cus_orion", Name: "Orion Labs (demonstration)", Verification: "expiring", Due: day(12), Why: "its verification expires"},
		},
		ResellerList: []desk.Reseller{{ID: "rsl_nord", Party: "pty_nord", ForeignStatus: "foreign", Programme: "adopts_ours", Disclosure: "none", Opaque: true, Attested: day(-380), Failing: day(-21), FailReason: "refuses to show its records", Accounts: []string{"acc_d4"},
			Timers: []desk.ResellerTimer{{Name: "end", Began: day(-21), Due: "2026-11-29", Over: day(10), State: "running", DaysLeft: 9}, {Name: "attestation", Began: day(-380), Due: "2026-11-05", Over: day(-14), State: "overdue", DaysLeft: -15}}}},
		ExemptionList: []desk.Exemption{{ID: "exm_1", Basis: "proposed 15 CFR 7.306", Scope: "customer", Of: "cus_delta", IssuedBy: "Secretary of Commerce", From: day(-10), To: day(355), Evidence: []string{"letter of 2026-11-01"}, Authors: []string{"usr_ines"}, Approvals: []string{"usr_sam 2026-11-11T09:00:00Z"}, Needed: 2, State: "proposed", Digest: "9f3a0000000000000000000000000000000000000000000000000000000000aa"}},
		GapList: []desk.ProgrammeGap{
			{Area: "field.email", Title: "e-mail address not held", Citation: citation, Advice: "ask the customer, or record why it is not held", Subjects: []string{"cus_orion"}},
			{Area: "owners.unknown", Title: "beneficial owners not known", Citation: "proposed 15 CFR 7.301", Advice: "ask for everybody who owns 25 % or controls the customer", Subjects: []string{"cus_delta", "cus_orion"}},
			{Area: "reseller.attestation", Title: "attestation of the reseller's programme lapsed or missing", Citation: "proposed 15 CFR 7.303", Advice: "ask for a new one", Subjects: []string{"rsl_nord"}},
		},
		CertificationView: desk.Certification{Pack: "us-iaas-2024-proposed", PackStatus: "proposed", Citation: "proposed 15 CFR 7.304", AsOf: Noon, Customers: 2, CustomersByCountry: map[string]int{"SG": 1, "US": 1}, ForeignCustomers: 2, ForeignOwners: 1, OwnersByCountry: map[string]int{"CN": 1},
			ForeignResellers: []string{"rsl_nord"}, UnverifiedForeignAccounts: []string{"acc_d4"}, FailedVerifications: []desk.Verification{failed}, Statements: []desk.ProgrammeStatement{{ID: "contact", Title: "contact of the programme's owner", At: day(-20), By: "usr_sam", Note: "compliance@example.org"}, {ID: "compliant", Title: "attested that it complies"}}, Missing: 2},
	}
}
