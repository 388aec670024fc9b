// Package report is the document that a provider files with an authority: which
// fields a form asks for, what of them is known and from where, what is missing,
// who approved which words, and what became of each filing. It is pure.
//
// Law is data: forms are files. Nothing in a report is ever deleted; each act
// makes a new version, and what was filed stays as it was filed.
package report

import (
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/config"
)

// Kind says what a report is to those that were filed before.
type Kind string

// The kinds of reports.
const (
	Initial    Kind = "initial"
	Correction Kind = "correction" // of an error
	Supplement Kind = "supplement" // of what has changed since
	Answer     Kind = "answer"     // to a request for information
)

// Chain says by whom and through whom the report goes.
type Chain string

// The chains. A foreign reseller reports to the provider, who reports what came
// through a reseller within a longer time.
const (
	Direct             Chain = "direct"
	ResellerToProvider Chain = "reseller-to-provider"
	ThroughReseller    Chain = "through-reseller"
)

// Form is what one kind of report must say, under one pack.
type Form struct {
	ID        string      `yaml:"id"`
	Version   int         `yaml:"version"`
	Pack      string      `yaml:"pack"`
	Title     string      `yaml:"title"`
	Citation  string      `yaml:"citation"`
	Status    string      `yaml:"status"` // of the text behind it, as a pack's
	Kinds     []string    `yaml:"kinds"`
	Chains    []string    `yaml:"chains"`
	Clocks    []FormClock `yaml:"clocks"`
	Programme bool        `yaml:"programme"` // it is about the provider's programme, and not about a case
	Internal  bool        `yaml:"internal"`  // it is never filed
	Sections  []Section   `yaml:"sections"`

	Digest [32]byte `yaml:"-"` // SHA-256 of the file

	source []byte
}

// FormClock says which of the pack's clocks a filing of a kind, or a first filing
// through a chain, meets.
type FormClock struct {
	For   string `yaml:"for"`
	Clock string `yaml:"clock"`
}

// Section groups fields under a title.
type Section struct {
	ID     string  `yaml:"id"`
	Title  string  `yaml:"title"`
	Fields []Field `yaml:"fields"`
}

// Field is one thing that a report says.
type Field struct {
	ID       string   `yaml:"id"`
	Title    string   `yaml:"title"`
	Note     string   `yaml:"note"`     // for who fills it in
	From     string   `yaml:"from"`     // the fact that fills it in, "" for a person
	Required bool     `yaml:"required"` // where kind and chain are its own
	NotHeld  bool     `yaml:"not_held"` // "not held" with a reason is an answer
	Long     bool     `yaml:"long"`     // a text of paragraphs
	Kinds    []string `yaml:"kinds"`    // in which it stands, all if empty
	Chains   []string `yaml:"chains"`
}

// In reports whether the field stands in a report of the kind and chain.
func (f Field) In(k Kind, c Chain) bool {
	return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, string(k))) && (len(f.Chains) == 0 || slices.Contains(f.Chains, string(c)))
}

// Clock returns the name of the pack's clock that a filing of the kind through
// the chain meets, "" if it meets none.
func (f *Form) Clock(k Kind, c Chain) string {
	met := ""
	for _, own := range f.Clocks {
		if own.For == string(k) && met == "" || k == Initial && own.For == string(c) {
			met = own.Clock
		}
	}
	return met
}

// Field returns the field of the id.
func (f *Form) Field(id string) (Field, bool) {
	for _, s := range f.Sections {
		for _, field := range s.Fields {
			if field.ID == id {
				return field, true
			}
		}
	}
	return Field{}, false
}

// Validate checks what the types do not.
func (f *Form) Validate() error {
	var faults []error
	fault := func(key, rule string) { faults = append(faults, fmt.Errorf("%s: %s", key, rule)) }
	for _, text := range []struct{ key, value string }{{"id", f.ID}, {"pack", f.Pack}, {"title", f.Title}, {"citation", f.Citation}, {"status", f.Status}} {
		if text.value == "" {
			fault(text.key, "is empty")
		}
	}
	if f.Version < 1 {
		fault("version", "must be 1 or more")
	}
	if len(f.Kinds) == 0 || len(f.Chains) == 0 || len(f.Sections) == 0 {
		fault("kinds, chains, sections", "each needs one at least")
	}
	seen := map[string]bool{}
	for i, s := range f.Sections {
		if s.ID == "" || s.Title == "" || len(s.Fields) == 0 {
			fault(fmt.Sprintf("sections[%d]", i), "needs id, title and fields")
		}
		for j, field := range s.Fields {
			key := fmt.Sprintf("sections[%d].fields[%d].", i, j)
			if field.ID == "" || seen[field.ID] {
				fault(key+"id", "is empty or there twice")
			}
			seen[field.ID] = true
			if field.Title == "" {
				fault(key+"title", "is empty")
			}
			if _, ok := facts[field.From]; field.From != "" && !ok {
				fault(key+"from", "is no fact that there is")
			}
		}
	}
	if len(faults) > 0 {
		return joined(faults)
	}
	return nil
}

func joined(faults []error) error {
	lines := make([]string, len(faults))
	for i, f := range faults {
		lines[i] = f.Error()
	}
	return fmt.Errorf("%s", strings.Join(lines, "\n"))
}

//go:embed forms/*.yaml
var shipped embed.FS

// Forms returns the forms that come with the program, by id. They were read in a
// test, so a fault of one is a fault of the program.
func Forms() []*Form {
	names, err := fs.Glob(shipped, "forms/*.yaml")
	if err != nil {
		panic(err)
	}
	out := make([]*Form, len(names))
	for i, name := range names {
		data, err := shipped.ReadFile(name)
		if err != nil {
			panic(err)
		}
		if out[i], err = ReadForm(name, data); err != nil {
			panic(err)
		}
	}
	return out
}

// Source returns the bytes of the form's file.
func (f *Form) Source() []byte { return f.source }

// ReadForm reads a form. Faults name the file, line and key where they can.
func ReadForm(name string, data []byte) (*Form, error) {
	f := &Form{Digest: sha256.Sum256(data), source: data}
	if err := config.Decode(name, data, f); err != nil {
		return nil, err
	}
	return f, nil
}
