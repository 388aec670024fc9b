// Package programme holds the customer identification programme against a pack:
// what is held of each customer and owner, how verifications stand, what falls
// due, what may be erased when, and where the programme falls short. It is pure.
package programme

import (
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/collector/internal/party/foreign"
	"github.com/flopwatch/flopwatch/pkg/config"
)

// Pack is what a legal text asks of a programme, as versioned data.
type Pack struct {
	ID         string `yaml:"id"`
	Version    int    `yaml:"version"`
	Title      string `yaml:"title"`
	Citation   string `yaml:"citation"`
	Status     string `yaml:"status"`
	Zone       string `yaml:"zone"` // IANA name of the legal time zone
	Definition struct {
		Citation     string              `yaml:"citation"`
		UnitedStates []string            `yaml:"united_states"`
		OwnPercent   int                 `yaml:"own_percent"`
		ForeignOwner party.ForeignStatus `yaml:"foreign_owner"`
	} `yaml:"definition"`
	Headquarters struct {
		Citation  string   `yaml:"citation"`
		Group     string   `yaml:"group"` // in words
		Key       string   `yaml:"key"`   // as conditions of packs name it, such as D:5
		Countries []string `yaml:"countries"`
	} `yaml:"headquarters"`
	Fields       []Field `yaml:"fields"`
	Verification struct {
		Citation     string `yaml:"citation"`
		ValidityDays int    `yaml:"validity_days"`
		ExpiringDays int    `yaml:"expiring_days"`
	} `yaml:"verification"`
	ReviewDays int `yaml:"review_days"`
	Retention  struct {
		Citation     string `yaml:"citation"`
		MinimumDays  int    `yaml:"minimum_days"`
		DefaultDays  int    `yaml:"default_days"`
		ReportedDays int    `yaml:"reported_days"`
	} `yaml:"retention"`
	Resellers struct {
		Citation   string `yaml:"citation"`
		CopyDays   int    `yaml:"copy_days"`
		EndDays    int    `yaml:"end_days"`
		AttestDays int    `yaml:"attest_days"`
	} `yaml:"resellers"`
	Certification struct {
		Citation   string `yaml:"citation"`
		EveryDays  int    `yaml:"every_days"`
		Statements []struct {
			ID    string `yaml:"id"`
			Title string `yaml:"title"`
		} `yaml:"statements"`
	} `yaml:"certification"`
	ExemptionReviewDays int `yaml:"exemption_review_days"`

	Digest [32]byte `yaml:"-"` // SHA-256 of the file: its identity
}

// Field is something that a programme holds of a customer or beneficial owner.
// One of Personal, Fact, Identifiers and AccessLog says where it is.
type Field struct {
	ID          string                 `yaml:"id"`
	Title       string                 `yaml:"title"`
	Citation    string                 `yaml:"citation"`
	Of          []string               `yaml:"of"`    // customer, owner
	Forms       []party.Form           `yaml:"forms"` // all if empty
	Personal    string                 `yaml:"personal"`
	Fact        string                 `yaml:"fact"`
	Identifiers []party.IdentifierType `yaml:"identifiers"`
	AccessLog   bool                   `yaml:"access_log"`
	Optional    bool                   `yaml:"optional"`
}

// Read reads a pack.
func Read(name string, data []byte) (*Pack, error) {
	p := &Pack{Digest: sha256.Sum256(data)}
	if err := config.Decode(name, data, p); err != nil {
		return nil, err
	}
	return p, nil
}

// Validate checks what the types do not.
func (p *Pack) Validate() error {
	var faults []error
	fault := func(key, rule string) { faults = append(faults, fmt.Errorf("%s: %s", key, rule)) }
	for _, text := range []struct{ key, value string }{{"id", p.ID}, {"title", p.Title}, {"citation", p.Citation}, {"status", p.Status}, {"zone", p.Zone},
		{"definition.citation", p.Definition.Citation}, {"headquarters.citation", p.Headquarters.Citation}} {
		if text.value == "" {
			fault(text.key, "is empty")
		}
	}
	if p.Version < 1 {
		fault("version", "must be 1 or more")
	}
	if p.Definition.OwnPercent < 1 || p.Definition.OwnPercent > 100 {
		fault("definition.own_percent", "must be from 1 to 100")
	}
	if p.Definition.ForeignOwner != party.Foreign && p.Definition.ForeignOwner != party.Undetermined {
		fault("definition.foreign_owner", "must be foreign or undetermined: a foreign owner is never domestic")
	}
	for _, days := range []struct {
		key string
		n   int
	}{{"verification.validity_days", p.Verification.ValidityDays}, {"verification.expiring_days", p.Verification.ExpiringDays}, {"review_days", p.ReviewDays},
		{"retention.minimum_days", p.Retention.MinimumDays}, {"retention.default_days", p.Retention.DefaultDays}, {"retention.reported_days", p.Retention.ReportedDays},
		{"resellers.copy_days", p.Resellers.CopyDays}, {"resellers.end_days", p.Resellers.EndDays}, {"resellers.attest_days", p.Resellers.AttestDays},
		{"certification.every_days", p.Certification.EveryDays}, {"exemption_review_days", p.ExemptionReviewDays}} {
		if days.n < 1 || days.n > 36600 {
			fault(days.key, "must be from 1 to 36600")
		}
	}
	if p.Retention.DefaultDays < p.Retention.MinimumDays {
		fault("retention.default_days", "is below the minimum")
	}
	for i, f := range p.Fields {
		key := fmt.Sprintf("fields[%d]", i)
		places := 0
		for _, there := range []bool{f.Personal != "", f.Fact != "", len(f.Identifiers) > 0, f.AccessLog} {
			if there {
				places++
			}
		}
		if f.ID == "" || f.Title == "" || f.Citation == "" || len(f.Of) == 0 || places != 1 {
			fault(key, "must have id, title, citation, of, and one of personal, fact, identifiers and access_log")
		}
		if f.Fact != "" && facts[f.Fact] == nil {
			fault(key+".fact", "is not known")
		}
	}
	return errors.Join(faults...)
}

// Rules returns the pack's definition of who is foreign.
func (p *Pack) Rules() foreign.Rules {
	rules := control.Defaults
	rules.Own = control.Share(p.Definition.OwnPercent) * 10_000
	return foreign.Rules{Citation: p.Definition.Citation, UnitedStates: p.Definition.UnitedStates, Control: rules, ForeignOwner: p.Definition.ForeignOwner}
}

func (f Field) of(what string, form party.Form) bool {
	return slices.Contains(f.Of, what) && (len(f.Forms) == 0 || slices.Contains(f.Forms, form))
}

//go:embed packs/*.yaml
var shipped embed.FS

// Shipped returns the pack of the program. It is part of it and under test.
var Shipped = sync.OnceValue(func() *Pack {
	const name = "us-iaas-2024-proposed.yaml"
	data, err := shipped.ReadFile("packs/" + name)
	if err != nil {
		panic(err)
	}
	p, err := Read(name, data)
	if err != nil {
		panic(err)
	}
	return p
})
