package apitypes

import (
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// The views of who customers are, which the desk and the API share.
type (
	Party          = desk.Party
	Standing       = desk.Standing
	Reverification = desk.Reverification
	Reseller       = desk.Reseller
	Exemption      = desk.Exemption
	ProgrammeGap   = desk.ProgrammeGap
	Certification  = desk.Certification
)

// WebhookPath is where vendors post, followed by their name.
const WebhookPath = "/v1/webhooks/"

// PartyDiff is what an import of parties changes, or would change.
type PartyDiff struct {
	DryRun    bool     `json:"dry_run" doc:"Nothing was written"`
	New       []string `json:"new" doc:"kind/id of objects that were not known"`
	Changed   []string `json:"changed"`
	Unchanged []string `json:"unchanged"`
}

// RevealRequest asks for personal data of a party.
type RevealRequest struct {
	Fields []string `json:"fields,omitempty" maxItems:"40" doc:"Which; all if empty"`
	Reason string   `json:"reason" maxLength:"1000" doc:"Why; it goes into the audit log, so it should name the work and no personal data"`
}

// Revealed are personal data of a party.
type Revealed struct {
	Party       string               `json:"party"`
	Fields      map[string]string    `json:"fields"`
	Identifiers []RevealedIdentifier `json:"identifiers"`
	Documents   []RevealedDocument   `json:"documents"`
	Erased      bool                 `json:"erased" doc:"They were erased and cannot be read"`
}

// RevealedIdentifier is an identifier with its value.
type RevealedIdentifier struct {
	ID    string `json:"id"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

// RevealedDocument is the document that a verification relied on.
type RevealedDocument struct {
	Verification string `json:"verification"`
	Number       string `json:"number"`
	Place        string `json:"place"`
}

// RevealedAccess is one access to an account.
type RevealedAccess struct {
	At     time.Time `json:"at"`
	IP     string    `json:"ip"`
	Action string    `json:"action"`
}

// ResellerAct is something that happened with a reseller.
type ResellerAct struct {
	Act    string    `json:"act" enum:"attest,hold_copy,request_copy,produce_copy,find_failing,report,end" doc:"What happened"`
	At     time.Time `json:"at" doc:"When"`
	Reason string    `json:"reason" minLength:"1" maxLength:"1000"`
}

// NewExemption proposes an exemption.
type NewExemption struct {
	Basis    string    `json:"basis" minLength:"1" maxLength:"300"`
	Scope    string    `json:"scope" enum:"customer,account,workload"`
	Of       string    `json:"of" minLength:"1" maxLength:"64"`
	IssuedBy string    `json:"issued_by" minLength:"1" maxLength:"300"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Evidence []string  `json:"evidence,omitempty" maxItems:"50"`
}

// DigestApproval approves exactly what a digest is of.
type DigestApproval struct {
	Digest string `json:"digest" minLength:"64" maxLength:"64"`
}

// Reasoned is an act that needs only a reason.
type Reasoned struct {
	Reason string `json:"reason" minLength:"1" maxLength:"1000"`
}

// NewReview says that a customer, an exemption or a statement of the programme
// was looked at again.
type NewReview struct {
	Of   string `json:"of" minLength:"1" maxLength:"64" doc:"Id of a customer or exemption, or programme"`
	What string `json:"what,omitempty" maxLength:"64" doc:"Of the programme: which statement"`
	Note string `json:"note,omitempty" maxLength:"2000"`
}

// HitDecision decides a hit on a list.
type HitDecision struct {
	Disposition string `json:"disposition" enum:"true_match,false_match"`
	Reason      string `json:"reason" minLength:"1" maxLength:"1000"`
}

// Screening asks to hold parties against lists.
type Screening struct {
	Parties []string `json:"parties,omitempty" maxItems:"1000" doc:"Ids; all that were not erased if empty"`
}

// Screened is what a screening found.
type Screened struct {
	Parties int `json:"parties"`
	Hits    int `json:"hits" doc:"New ones"`
}

// Vendor is a new secret of a vendor that verifies identities. It is shown once.
type Vendor struct {
	Name   string `json:"name"`
	Secret string `json:"secret" doc:"Hexadecimal key of HMAC-SHA256"`
}

// Recorded says what an act recorded.
type Recorded struct {
	ID string `json:"id"`
}

// EraseRequest asks for an erasure. An early one is proposed by one person and
// done by another.
type EraseRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"1000"`
	Early  bool   `json:"early,omitempty" doc:"Before the time to keep the data is over: two people, for a reason"`
}

// ErasureCertificate says that personal data of a party can no longer be read.
type ErasureCertificate struct {
	Party     string    `json:"party"`
	At        time.Time `json:"at"`
	By        string    `json:"by"`
	Basis     string    `json:"basis"`
	KeyDigest string    `json:"key_digest" doc:"SHA-256 of the key that was destroyed"`
	Sealed    int       `json:"sealed" doc:"Records that became unreadable"`
	Proposed  bool      `json:"proposed,omitempty" doc:"Nothing was erased yet: an early erasure waits for a second person, seven days long"`
}

// AccessFeed is what came of a batch of accesses.
type AccessFeed struct {
	Rows  int `json:"rows"`
	Added int `json:"added" doc:"Rows that were not there before"`
}
