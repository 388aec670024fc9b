package party

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Kind names a kind of object.
type Kind string

// The kinds of objects.
const (
	OfParty        Kind = "party"
	OfInterest     Kind = "interest"
	OfIdentifier   Kind = "identifier"
	OfContract     Kind = "contract"
	OfAccount      Kind = "account"
	OfVerification Kind = "verification"
	OfRestriction  Kind = "restriction"
	OfReseller     Kind = "reseller"
	OfExemption    Kind = "exemption"
	OfListHit      Kind = "list_hit"
	OfHold         Kind = "hold"
	OfErasure      Kind = "erasure"
	OfReview       Kind = "review"
)

// Object is something of which records are kept: its state from some time on.
// No object holds personal data; what is personal is sealed elsewhere, and the
// object says only that it is held.
type Object interface {
	Kind() Kind
	Key() string // its id, its provider's own or ours
}

// Form says what a party is.
type Form string

// The forms. Entity covers partnerships, associations, trusts, joint ventures,
// corporations, groups and other organisations.
const (
	Person       Form = "person"
	Organisation Form = "organisation"
)

// Party is a person or an organisation. Countries are ISO 3166-1 alpha-2.
type Party struct {
	ID   string `json:"id"`
	Form Form   `json:"form"`

	Citizenship        []Stated `json:"citizenship,omitempty"`        // of a person
	PermanentResidence Stated   `json:"permanent_residence,omitzero"` // of a person: where they may lawfully stay for good
	Location           Stated   `json:"location,omitzero"`            // where the party is
	LocationBasis      Basis    `json:"location_basis,omitempty"`     // how that is known
	Incorporation      Stated   `json:"incorporation,omitzero"`       // of an organisation: under whose law it is organised
	Headquarters       Stated   `json:"headquarters,omitzero"`        // of an organisation
	PrincipalPlace     Stated   `json:"principal_place,omitzero"`     // of business
	UltimateParent     Stated   `json:"ultimate_parent,omitzero"`     // id of a party; its own where it has no parent
	ParentHeadquarters Stated   `json:"parent_headquarters,omitzero"` // where the parent is no party here
	BranchOf           string   `json:"branch_of,omitempty"`          // id of the party of which it is a branch: the same legal person
	OwnersComplete     Stated   `json:"owners_complete,omitzero"`     // on what it rests that nobody who is not named here meets either limb of beneficial ownership
	Formed             Stated   `json:"formed,omitzero"`              // day it was formed
	Sealed             string   `json:"sealed,omitempty"`             // id of its sealed personal data
	Digest             string   `json:"digest,omitempty"`             // keyed, of the personal data
	Holds              []string `json:"holds,omitempty"`              // which personal data are held, by field
	NotHeld            []string `json:"not_held,omitempty"`           // "field: reason" of those that are not
}

// Basis says how something is known.
type Basis string

// How something is known. What an address on the network suggests counts for
// nothing.
const (
	ByStatement Basis = "stated"
	ByEvidence  Basis = "verified"
	ByNetwork   Basis = "ip"
)

// Interest is what an owner has in a subject, by either limb: a part of its
// shares or votes, or substantial control.
type Interest struct {
	ID      string        `json:"id"`
	Subject string        `json:"subject"`
	Owner   Stated        `json:"owner"` // id of a party, or why the owner is not known
	What    InterestKind  `json:"what"`
	Low     control.Share `json:"low"` // millionths; 0 to the whole where the share is not known
	High    control.Share `json:"high"`
	Unknown string        `json:"unknown,omitempty"` // why the share is not known
	Direct  bool          `json:"direct"`
	Ended   bool          `json:"ended,omitempty"`
}

// InterestKind is what an interest consists of.
type InterestKind string

// The kinds of interests. The last two are substantial control.
const (
	InShares      InterestKind = "shares"
	InVotes       InterestKind = "votes"
	InAppointment InterestKind = "appointment"
	InOther       InterestKind = "other_control"
)

// Control returns the interest as package control counts it. An owner that is
// not known is nobody who is named.
func (i Interest) Control() control.Interest {
	kind := control.Power
	switch i.What {
	case InShares:
		kind = control.Shares
	case InVotes:
		kind = control.Votes
	}
	return control.Interest{Source: i.ID, Owner: control.ID(i.Owner.Value), Subject: control.ID(i.Subject), Kind: kind, Low: i.Low, High: i.High}
}

// IdentifierType is what an identifier is.
type IdentifierType string

// The types of identifiers. Those that name one legal person are Strong.
const (
	TaxID        IdentifierType = "tax_id"
	Registration IdentifierType = "registration"
	LEI          IdentifierType = "lei"
	Document     IdentifierType = "document"
	Email        IdentifierType = "email"
	Phone        IdentifierType = "phone"
	Card         IdentifierType = "card"
	Bank         IdentifierType = "bank"
	Wallet       IdentifierType = "wallet"
	Address      IdentifierType = "address"
	IP           IdentifierType = "ip"
	Key          IdentifierType = "key"
	Domain       IdentifierType = "domain"
	Device       IdentifierType = "device"
)

// IdentifierTypes are all of them.
var IdentifierTypes = []IdentifierType{TaxID, Registration, LEI, Document, Email, Phone, Card, Bank, Wallet, Address, IP, Key, Domain, Device}

// Strong reports whether one identifier of the type is of one legal person.
func (t IdentifierType) Strong() bool {
	return t == TaxID || t == Registration || t == LEI || t == Document
}

// Identifier is something by which a party can be recognised, as keyed hashes of
// its normal form. Its raw value is sealed.
type Identifier struct {
	ID        string         `json:"id"`
	Party     string         `json:"party"`
	Type      IdentifierType `json:"type"`
	Hash      string         `json:"hash"`             // of the whole
	Coarse    string         `json:"coarse,omitempty"` // of what is around it: the domain of an address, the /24 or /48 of an IP
	Country   string         `json:"country,omitempty"`
	FirstSeen time.Time      `json:"first_seen,omitzero"`
	LastSeen  time.Time      `json:"last_seen,omitzero"`
	Hub       bool           `json:"hub,omitempty"` // held by many who have nothing to do with each other
	HubReason string         `json:"hub_reason,omitempty"`
	Sealed    string         `json:"sealed,omitempty"`
	Ended     bool           `json:"ended,omitempty"`
}

// Contract makes a party a customer. Its ID is the customer's.
type Contract struct {
	ID            string        `json:"id"`
	Party         string        `json:"party,omitempty"` // "" of a customer of whom only a name was given
	RiskClass     string        `json:"risk_class,omitempty"`
	Declared      ForeignStatus `json:"declared,omitempty"` // by the provider, where there is no party
	Reason        string        `json:"reason,omitempty"`
	Demonstration bool          `json:"demonstration,omitempty"`
	PlacesOfUse   []Stated      `json:"places_of_use,omitempty"`
	Purpose       bool          `json:"purpose,omitempty"` // a business purpose is declared
	Ended         bool          `json:"ended,omitempty"`
}

// Account is the relationship under which a customer buys compute.
type Account struct {
	ID       string             `json:"id"`
	Customer string             `json:"customer"`
	Tenants  []measure.TenantID `json:"tenants,omitempty"`
	Region   string             `json:"region,omitempty"`
	Opened   time.Time          `json:"opened,omitzero"`
	Closed   time.Time          `json:"closed,omitzero"`
	Reseller []string           `json:"reseller,omitempty"` // path, the one nearest to us first
	Trial    bool               `json:"trial,omitempty"`
}

// Method is how an identity was verified.
type Method string

// The methods of verification.
const (
	Documentary    Method = "documentary"
	NonDocumentary Method = "non_documentary"
	Reliance       Method = "reliance" // on what another institution verified
)

// Outcome is what came of a verification.
type Outcome string

// The outcomes of verification.
const (
	Pending  Outcome = "pending"
	Verified Outcome = "verified"
	Failed   Outcome = "failed"
)

// Verification is one attempt to verify a party. It is never changed; a new one
// supersedes it.
type Verification struct {
	ID         string         `json:"id"`
	Party      string         `json:"party"`
	Method     Method         `json:"method,omitempty"`
	Outcome    Outcome        `json:"outcome"`
	USPerson   control.Answer `json:"us_person,omitempty"` // conclusion of who assessed it; "" if it was not assessed
	Verifier   string         `json:"verifier"`            // a person or a vendor, by id
	At         time.Time      `json:"at"`
	ValidUntil time.Time      `json:"valid_until,omitzero"`
	Document   string         `json:"document,omitempty"` // type of document relied on
	Issuer     string         `json:"issuer,omitempty"`   // country
	Expires    time.Time      `json:"expires,omitzero"`   // the document
	Evidence   []string       `json:"evidence,omitempty"` // references
	Problem    string         `json:"problem,omitempty"`  // code of a discrepancy, or why it failed
	Resolution string         `json:"resolution,omitempty"`
	Supersedes string         `json:"supersedes,omitempty"`
	Digest     string         `json:"digest,omitempty"` // keyed, of what is sealed
	Sealed     string         `json:"sealed,omitempty"` // the number and place of the document
}

// Restriction holds a customer to terms while verification is pending or after
// it failed.
type Restriction struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Terms    string `json:"terms"` // restricted, monitored, closing
	Reason   string `json:"reason"`
	Lifted   bool   `json:"lifted,omitempty"`
}

// Programme is what customer identification programme a reseller has.
type Programme string

// The programmes of resellers.
const (
	OwnProgramme    Programme = "own"
	AdoptsOurs      Programme = "adopts_ours"
	NoProgramme     Programme = "none"
	ProgrammeUnsaid Programme = "unknown"
)

// Disclosure is how much of its end customers a reseller tells.
type Disclosure string

// How much a reseller tells. Without disclosure its total counts as that of one
// customer.
const (
	FullDisclosure    Disclosure = "full"
	PartialDisclosure Disclosure = "partial"
	NoDisclosure      Disclosure = "none"
)

// Reseller is a party that passes compute on.
type Reseller struct {
	ID         string     `json:"id"`
	Party      string     `json:"party"`
	Customer   string     `json:"customer,omitempty"` // as which it buys
	Programme  Programme  `json:"programme"`
	Disclosure Disclosure `json:"disclosure"`
	Attested   time.Time  `json:"attested,omitzero"`  // last time it attested its programme
	CopyHeld   time.Time  `json:"copy_held,omitzero"` // last time that we had its programme
	Requested  time.Time  `json:"requested,omitzero"` // by the authority: a copy of the programme
	Produced   time.Time  `json:"produced,omitzero"`  // to the authority
	Failing    time.Time  `json:"failing,omitzero"`   // since when it is known not to comply
	FailReason string     `json:"fail_reason,omitempty"`
	Reported   time.Time  `json:"reported,omitzero"` // suspected malicious activity
	Ended      time.Time  `json:"ended,omitzero"`
}

// Exemption says that a duty does not hold for somebody. Exempt is never
// unmeasured.
type Exemption struct {
	ID        string     `json:"id"`
	Basis     string     `json:"basis"`
	Scope     string     `json:"scope"` // customer, account or workload
	Of        string     `json:"of"`    // its id
	IssuedBy  string     `json:"issued_by"`
	From      time.Time  `json:"from"`
	To        time.Time  `json:"to"`
	Evidence  []string   `json:"evidence,omitempty"`
	Authors   []string   `json:"authors"`
	Approvals []Approval `json:"approvals,omitempty"`
	Withdrawn string     `json:"withdrawn,omitempty"` // why
}

// Approval is the word of one approver.
type Approval struct {
	By     string    `json:"by"`
	At     time.Time `json:"at"`
	Digest string    `json:"digest"`
}

// ListHit says that a name is like one on a list.
type ListHit struct {
	ID          string    `json:"id"`
	Party       string    `json:"party"`
	List        string    `json:"list"`
	Version     string    `json:"version,omitempty"`
	Entry       string    `json:"entry"`                 // id in the list
	Score       int       `json:"score"`                 // thousandths
	Explanation string    `json:"explanation,omitempty"` // which features agreed, without their values
	At          time.Time `json:"at"`
	Disposition string    `json:"disposition,omitempty"` // true_match or false_match; "" while it is open
	Reason      string    `json:"reason,omitempty"`
	By          string    `json:"by,omitempty"`
}

// Hold keeps the records of a customer from erasure.
type Hold struct {
	ID         string `json:"id"`
	Customer   string `json:"customer"`
	Reason     string `json:"reason"`
	By         string `json:"by"`
	ReleaseBy  string `json:"release_by,omitempty"` // who proposed its release
	ReleasedBy string `json:"released_by,omitempty"`
	Released   string `json:"released,omitempty"` // why
}

// Erasure is the proof that a party's personal data can no longer be read: the
// key was destroyed. KeyDigest tells which.
type Erasure struct {
	ID        string    `json:"id"` // of the party
	At        time.Time `json:"at"`
	By        string    `json:"by"`
	Basis     string    `json:"basis"`
	KeyDigest string    `json:"key_digest"`
	Sealed    int       `json:"sealed"` // how many sealed records became unreadable
}

// Review says that a party's or the programme's facts were looked at again.
type Review struct {
	ID   string    `json:"id"`
	Of   string    `json:"of"` // customer, or "programme"
	At   time.Time `json:"at"`
	By   string    `json:"by"`
	What string    `json:"what"`
	Note string    `json:"note,omitempty"`
}

func (p Party) Kind() Kind        { return OfParty }
func (p Party) Key() string       { return p.ID }
func (i Interest) Kind() Kind     { return OfInterest }
func (i Interest) Key() string    { return i.ID }
func (i Identifier) Kind() Kind   { return OfIdentifier }
func (i Identifier) Key() string  { return i.ID }
func (c Contract) Kind() Kind     { return OfContract }
func (c Contract) Key() string    { return c.ID }
func (a Account) Kind() Kind      { return OfAccount }
func (a Account) Key() string     { return a.ID }
func (v Verification) Kind() Kind { return OfVerification }
func (v Verification) Key() string {
	return v.ID
}
func (r Restriction) Kind() Kind  { return OfRestriction }
func (r Restriction) Key() string { return r.ID }
func (r Reseller) Kind() Kind     { return OfReseller }
func (r Reseller) Key() string    { return r.ID }
func (e Exemption) Kind() Kind    { return OfExemption }
func (e Exemption) Key() string   { return e.ID }
func (h ListHit) Kind() Kind      { return OfListHit }
func (h ListHit) Key() string     { return h.ID }
func (h Hold) Kind() Kind         { return OfHold }
func (h Hold) Key() string        { return h.ID }
func (e Erasure) Kind() Kind      { return OfErasure }
func (e Erasure) Key() string     { return e.ID }
func (r Review) Kind() Kind       { return OfReview }
func (r Review) Key() string      { return r.ID }

// Decode reads the JSON of an object.
func Decode(kind Kind, body []byte) (Object, error) {
	switch kind {
	case OfParty:
		return decode[Party](body)
	case OfInterest:
		return decode[Interest](body)
	case OfIdentifier:
		return decode[Identifier](body)
	case OfContract:
		return decode[Contract](body)
	case OfAccount:
		return decode[Account](body)
	case OfVerification:
		return decode[Verification](body)
	case OfRestriction:
		return decode[Restriction](body)
	case OfReseller:
		return decode[Reseller](body)
	case OfExemption:
		return decode[Exemption](body)
	case OfListHit:
		return decode[ListHit](body)
	case OfHold:
		return decode[Hold](body)
	case OfErasure:
		return decode[Erasure](body)
	case OfReview:
		return decode[Review](body)
	}
	return nil, fmt.Errorf("there are no objects of kind %q", kind)
}

func decode[T Object](body []byte) (Object, error) {
	var o T
	if err := json.Unmarshal(body, &o); err != nil {
		return nil, fmt.Errorf("read %s: %w", o.Kind(), err)
	}
	return o, nil
}

// ApproversNeeded is how many people must approve an exemption besides those who
// wrote it.
const ApproversNeeded = 2

// InForce reports whether an exemption holds at an instant.
func (e Exemption) InForce(at time.Time) bool {
	return e.Withdrawn == "" && len(e.Approvals) >= ApproversNeeded && !at.Before(e.From) && at.Before(e.To)
}

// Country returns the country that lists show of a party: that of its law or
// citizenship, else where it is; "" if none is known.
func (p Party) Country() string {
	for _, s := range append([]Stated{p.Incorporation}, append(p.Citizenship, p.Location, p.PrincipalPlace)...) {
		if len(s.Value) == 2 {
			return s.Value
		}
	}
	return ""
}
