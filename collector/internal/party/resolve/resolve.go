// Package resolve tells which parties are one, are controlled together, or act
// together: it compares what is recorded of them, proposes links with their
// evidence, decides those that need no person, and groups what the standing
// links join, at any past date. It is pure, and holds keyed hashes where a
// value is personal.
package resolve

// ID names a party. It is the provider's own opaque id.
type ID string

// Kind is what an identifier is.
type Kind string

// The kinds. The first four name a legal person by themselves.
const (
	TaxID        Kind = "tax_id"
	Registration Kind = "registration"
	LEI          Kind = "lei"
	Document     Kind = "document" // verified identity document
	Email        Kind = "email"
	Phone        Kind = "phone"
	Card         Kind = "card"
	Bank         Kind = "bank"
	Address      Kind = "address"
	Domain       Kind = "domain"
	IP           Kind = "ip" // a prefix
	SSHKey       Kind = "ssh_key"
	APIKey       Kind = "api_key"
	Device       Kind = "device"
	Image        Kind = "image"
	Birth        Kind = "birth" // date of birth, of a person
)

// Key is the keyed hash of a normalised value.
type Key [16]byte

// Identifier is one identifying value of a party.
type Identifier struct {
	Kind     Kind
	Scheme   string // who issued it, such as a country; only values of one scheme contradict each other
	Key      Key
	Verified bool
	Source   string // the record that states it
	SinceNS  int64  // when it was first seen; 0 if that is not known
}

// Record is what is known of one party.
type Record struct {
	Party       ID
	Customer    string // that the party contracts as; parties without one count by themselves
	Person      bool   // an individual
	Names       []Name
	Countries   []string // ISO 3166-1 alpha-2, of any role
	Identifiers []Identifier
}

// Class is what a link says of its two parties.
type Class string

// The classes.
const (
	Identity     Class = "identity"     // they are one legal person
	Control      Class = "control"      // one controls the other, or one controls both
	Coordination Class = "coordination" // they share means or behave alike
)

// Classes are all of them.
var Classes = []Class{Identity, Control, Coordination}

// Evidence is one reason for or against a link.
type Evidence struct {
	Name     string   `json:"name"` // an identifier's kind, "name", "country" or "ownership"
	Key      string   `json:"key"`  // names the value without telling it; "" for a comparison of several
	Bits     float64  `json:"bits"` // log2(m/u); negative speaks against
	Holders  int      `json:"holders,omitempty"`
	Verified bool     `json:"verified,omitempty"` // on both sides
	SinceNS  int64    `json:"since_ns,omitempty"` // when both sides had it
	Sources  []string `json:"sources,omitempty"`  // the records that state it
	Detail   string   `json:"detail"`
}

// Found is a link as the evidence of one moment gives it.
type Found struct {
	ID       string // lnk_…, follows from the parties and the class
	A, B     ID     // A < B, unless Directed
	Class    Class
	Directed bool // A controls B
	Bits     float64
	Evidence []Evidence // strongest first
	// Automatic says that the rules decide it. If not, Needs says why a person must.
	Automatic bool
	Needs     string
}
