package desk

import (
	"context"
	"time"
)

// PartyReader answers who customers are. No view holds personal data: those are
// revealed one party at a time, for a reason. A query without times is as of
// now; lists are ordered by id, and the queue by what falls due first.
type PartyReader interface {
	Parties(ctx context.Context, q PartyQuery) ([]Party, error)
	Party(ctx context.Context, id string, q PartyQuery) (p Party, ok bool, err error)
	Standings(ctx context.Context, q PartyQuery) ([]Standing, error)
	Standing(ctx context.Context, customer string, q PartyQuery) (s Standing, ok bool, err error)
	Reverifications(ctx context.Context, days int) ([]Reverification, error)
	Resellers(ctx context.Context) ([]Reseller, error)
	Exemptions(ctx context.Context) ([]Exemption, error)
	ProgrammeGaps(ctx context.Context) ([]ProgrammeGap, error)
	Certification(ctx context.Context) (Certification, error)
}

// PartyQuery asks how something was at an instant (AsOf), by what was recorded
// up to another one (KnownAt). Zero is now.
type PartyQuery struct{ AsOf, KnownAt time.Time }

// Party is a person or an organisation, by its opaque id. What is not known is
// "unknown: reason".
type Party struct {
	ID                 string         `json:"id"`
	Form               string         `json:"form" enum:"person,organisation"`
	Country            string         `json:"country" doc:"ISO 3166-1 alpha-2, empty if not known"`
	Citizenship        []string       `json:"citizenship"`
	PermanentResidence string         `json:"permanent_residence"`
	Location           string         `json:"location"`
	LocationBasis      string         `json:"location_basis" doc:"stated, verified or ip; ip counts for nothing"`
	Incorporation      string         `json:"incorporation"`
	Headquarters       string         `json:"headquarters"`
	PrincipalPlace     string         `json:"principal_place"`
	UltimateParent     string         `json:"ultimate_parent"`
	ParentHeadquarters string         `json:"parent_headquarters"`
	BranchOf           string         `json:"branch_of"`
	OwnersComplete     string         `json:"owners_complete"`
	ForeignStatus      string         `json:"foreign_status" enum:"foreign,us,undetermined"`
	Reasons            []string       `json:"reasons"`
	Verification       string         `json:"verification"`
	Customers          []string       `json:"customers"`
	Holds              []string       `json:"holds" doc:"Personal data that are held, by field; they are revealed for a reason"`
	NotHeld            []string       `json:"not_held" doc:"Personal data that are not held, with why"`
	Erased             bool           `json:"erased"`
	Owners             []Interest     `json:"owners" doc:"Who has an interest in it, as stated"`
	Owns               []Interest     `json:"owns"`
	Identifiers        []Identifier   `json:"identifiers"`
	Verifications      []Verification `json:"verifications"`
	Hits               []ListHit      `json:"hits"`
	History            []PartyRecord  `json:"history" doc:"What was recorded of it, first first; of a single party only"`
}

// Interest is what an owner has in a subject, as stated.
type Interest struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Owner   string `json:"owner"`
	What    string `json:"what"`
	Share   string `json:"share" doc:"Percent, or from..to; empty for control by other means"`
	Unknown string `json:"unknown" doc:"Why the share is not known"`
}

// Identifier is something by which a party can be recognised, without its value.
type Identifier struct {
	ID    string    `json:"id"`
	Type  string    `json:"type"`
	Hub   bool      `json:"hub"`
	First time.Time `json:"first_seen,omitzero"`
	Last  time.Time `json:"last_seen,omitzero"`
}

// Verification is one attempt to verify a party.
type Verification struct {
	ID         string    `json:"id"`
	Party      string    `json:"party"`
	Method     string    `json:"method"`
	Outcome    string    `json:"outcome"`
	USPerson   string    `json:"us_person"`
	Verifier   string    `json:"verifier"`
	At         time.Time `json:"at"`
	ValidUntil time.Time `json:"valid_until,omitzero"`
	Document   string    `json:"document"`
	Problem    string    `json:"problem"`
	Resolution string    `json:"resolution"`
	Supersedes string    `json:"supersedes"`
}

// ListHit says that a name is like one on a list.
type ListHit struct {
	ID          string    `json:"id"`
	Party       string    `json:"party"`
	List        string    `json:"list"`
	Version     string    `json:"version"`
	Entry       string    `json:"entry"`
	Score       float64   `json:"score"`
	Explanation string    `json:"explanation"`
	At          time.Time `json:"at"`
	Disposition string    `json:"disposition" doc:"true_match, false_match, or empty while it is open"`
	Reason      string    `json:"reason"`
}

// PartyRecord is one record of an object.
type PartyRecord struct {
	No       int64     `json:"no"`
	Object   string    `json:"object" doc:"kind/id"`
	From     time.Time `json:"valid_from"`
	To       time.Time `json:"valid_to,omitzero"`
	Recorded time.Time `json:"recorded"`
	By       string    `json:"by"`
	Source   string    `json:"source"`
}

// Standing is how a customer stands: who it is, what is held, what is due.
type Standing struct {
	CustomerID      string          `json:"customer_id"`
	Name            string          `json:"name" doc:"Of an organisation; of a person the id"`
	Party           string          `json:"party"`
	Country         string          `json:"country"`
	ForeignStatus   string          `json:"foreign_status" enum:"foreign,us,undetermined"`
	SelfStatus      string          `json:"self_status" doc:"Of the customer without its owners"`
	Reasons         []StatusReason  `json:"reasons"`
	Owners          []Owner         `json:"beneficial_owners" doc:"Who are or may be, who has most first"`
	Undisclosed     bool            `json:"undisclosed_owner" doc:"Somebody who is not named may be one"`
	Verification    string          `json:"verification" enum:"unverified,pending,verified,expiring,expired,failed,restricted"`
	ValidUntil      time.Time       `json:"valid_until,omitzero"`
	Restriction     string          `json:"restriction" doc:"Terms and reason, empty for none"`
	Items           []ProgrammeItem `json:"items"`
	Missing         int             `json:"missing" doc:"Required items that are not held"`
	Accounts        []PartyAccount  `json:"accounts"`
	LastAccess      time.Time       `json:"last_access,omitzero"`
	ReviewDue       time.Time       `json:"review_due,omitzero"`
	RetainUntil     time.Time       `json:"retain_until,omitzero"`
	RetainWhy       string          `json:"retain_why"`
	LegalHold       string          `json:"legal_hold"`
	Headquarters    string          `json:"headquarters_in_group" enum:"yes,no,unknown"`
	HeadquartersWhy string          `json:"headquarters_why"`
	Hits            []ListHit       `json:"hits"`
	Exemptions      []string        `json:"exemptions" doc:"In force"`
	Pack            string          `json:"pack"`
	PackStatus      string          `json:"pack_status"`
}

// StatusReason is one reason of a foreign status.
type StatusReason struct {
	Party  string `json:"party"`
	Status string `json:"status"`
	Text   string `json:"text"`
}

// Owner is a beneficial owner, or one who may be.
type Owner struct {
	Party         string    `json:"party"`
	Is            string    `json:"is" enum:"yes,unknown"`
	ShareLow      float64   `json:"share_low" doc:"0 to 1"`
	ShareHigh     float64   `json:"share_high"`
	Limbs         []string  `json:"limbs"`
	ForeignStatus string    `json:"foreign_status"`
	Verification  string    `json:"verification"`
	ValidUntil    time.Time `json:"valid_until,omitzero"`
}

// ProgrammeItem is one field of the pack's list.
type ProgrammeItem struct {
	Party    string `json:"party"`
	Field    string `json:"field"`
	Title    string `json:"title"`
	Citation string `json:"citation"`
	Held     bool   `json:"held"`
	Required bool   `json:"required"`
	Reason   string `json:"reason" doc:"Why it is not held, if that is recorded"`
}

// PartyAccount is an account of a customer.
type PartyAccount struct {
	ID         string    `json:"id"`
	Tenants    []string  `json:"tenants"`
	Region     string    `json:"region"`
	Opened     time.Time `json:"opened,omitzero"`
	Closed     time.Time `json:"closed,omitzero"`
	LastAccess time.Time `json:"last_access,omitzero"`
	Reseller   []string  `json:"reseller"`
	Trial      bool      `json:"trial"`
}

// Reverification is a customer to be verified or reviewed again.
type Reverification struct {
	CustomerID   string    `json:"customer_id"`
	Name         string    `json:"name"`
	Verification string    `json:"verification"`
	Due          time.Time `json:"due,omitzero" doc:"Missing where it is due at once"`
	Why          string    `json:"why"`
}

// Reseller is a party that passes compute on, with its timers.
type Reseller struct {
	ID            string          `json:"id"`
	Party         string          `json:"party"`
	CustomerID    string          `json:"customer_id"`
	ForeignStatus string          `json:"foreign_status"`
	Programme     string          `json:"programme"`
	Disclosure    string          `json:"disclosure"`
	Opaque        bool            `json:"opaque" doc:"Its total counts as that of one customer"`
	Attested      time.Time       `json:"attested,omitzero"`
	CopyHeld      time.Time       `json:"copy_held,omitzero"`
	Failing       time.Time       `json:"failing,omitzero"`
	FailReason    string          `json:"fail_reason"`
	Ended         time.Time       `json:"ended,omitzero"`
	Accounts      []string        `json:"accounts"`
	Timers        []ResellerTimer `json:"timers"`
}

// ResellerTimer is one obligation about a reseller.
type ResellerTimer struct {
	Name     string    `json:"name" enum:"copy,end,attestation"`
	Began    time.Time `json:"began"`
	Due      string    `json:"due" doc:"Last day in the legal zone"`
	Over     time.Time `json:"over" doc:"The first instant that is late"`
	State    string    `json:"state"`
	DaysLeft int       `json:"days_left"`
}

// Exemption says that a duty does not hold for somebody.
type Exemption struct {
	ID        string    `json:"id"`
	Basis     string    `json:"basis"`
	Scope     string    `json:"scope"`
	Of        string    `json:"of"`
	IssuedBy  string    `json:"issued_by"`
	From      time.Time `json:"from"`
	To        time.Time `json:"to"`
	Evidence  []string  `json:"evidence"`
	Authors   []string  `json:"authors"`
	Approvals []string  `json:"approvals"`
	Needed    int       `json:"approvals_needed"`
	State     string    `json:"state" enum:"proposed,in force,not yet,over,withdrawn"`
	Withdrawn string    `json:"withdrawn"`
	Digest    string    `json:"digest" doc:"What is approved"`
}

// ProgrammeGap is an area in which the programme falls short.
type ProgrammeGap struct {
	Area     string   `json:"area"`
	Title    string   `json:"title"`
	Citation string   `json:"citation"`
	Advice   string   `json:"advice"`
	Subjects []string `json:"subjects"`
}

// Certification are the data of the yearly certification.
type Certification struct {
	Pack                      string               `json:"pack"`
	PackStatus                string               `json:"pack_status"`
	Citation                  string               `json:"citation"`
	AsOf                      time.Time            `json:"as_of"`
	Customers                 int                  `json:"customers"`
	CustomersByCountry        map[string]int       `json:"customers_by_country"`
	ForeignCustomers          int                  `json:"foreign_customers"`
	UndeterminedCustomers     int                  `json:"undetermined_customers"`
	ForeignOwners             int                  `json:"foreign_owners"`
	OwnersByCountry           map[string]int       `json:"owners_by_country"`
	ForeignResellers          []string             `json:"foreign_resellers"`
	UnverifiedForeignAccounts []string             `json:"unverified_foreign_accounts"`
	FailedVerifications       []Verification       `json:"failed_verifications"`
	Statements                []ProgrammeStatement `json:"statements"`
	Missing                   int                  `json:"missing" doc:"Statements not given and failures not resolved"`
}

// ProgrammeStatement is a text or attestation of the certification.
type ProgrammeStatement struct {
	ID    string    `json:"id"`
	Title string    `json:"title"`
	At    time.Time `json:"at,omitzero"`
	By    string    `json:"by"`
	Note  string    `json:"note"`
}
