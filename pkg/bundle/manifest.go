// Package bundle seals a report with everything that it rests on, and checks such
// a bundle without the collector that made it.
//
// A bundle is a ZIP of stored files in one form, so that each of its bytes is
// either hashed or fixed. Its first two files are the manifest, canonical JSON
// that names every other file by SHA-256, and the collector's signature over the
// manifest. The rest are the report in its outputs, the policy pack and the form,
// the signed batches of the hosts behind each figure, and what the audit log
// holds of all of it.
package bundle

import (
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Schema names the form of a bundle.
const Schema = "flopwatch/bundle/1"

// Domain is that of the collector's signature over the manifest's SHA-256.
const Domain = "flopwatch/bundle/v1"

// Names of files in a bundle.
const (
	ManifestName   = "manifest.json"
	SignatureName  = "manifest.sig"
	ReportName     = "report.json"
	PackName       = "policy.yaml"
	FormName       = "form.yaml"
	CheckpointName = "audit/checkpoint.txt"
	ProofsName     = "audit/proofs.json"
	FleetName      = "evidence/fleet.json"
	evidencePrefix = "evidence/"
	evidenceSuffix = ".fwe"
)

// Manifest says what is in a bundle and what it claims.
type Manifest struct {
	Schema       string `json:"schema"`
	Report       string `json:"report"`
	Version      int64  `json:"version"`
	Content      string `json:"content"` // digest of what the report says
	Collector    string `json:"collector"`
	CollectorKey string `json:"collector_key"` // Ed25519, hexadecimal
	Origin       string `json:"origin"`        // of the audit log
	Pack         Source `json:"pack"`
	Form         Source `json:"form"`
	Files        []File `json:"files"` // all but the manifest and its signature, by name
	Claims       []Run  `json:"claims"`
}

// Source is a versioned file, by digest.
type Source struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	SHA256  string `json:"sha256"`
}

// File is one file of a bundle.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Run is what the collector counts for one training run, and what it is made of.
type Run struct {
	ID          string `json:"id"`
	Tenant      string `json:"tenant"`
	Parts       []Part `json:"parts"`
	Empirical   Bounds `json:"empirical"`
	Theoretical Bounds `json:"theoretical"`
}

// Part is what one workload did on one host within a span of time.
type Part struct {
	Host     string `json:"host"`
	Kind     string `json:"kind"`
	Workload string `json:"workload"`
	Hint     string `json:"hint,omitempty"`
	FromNS   string `json:"from_ns"`
	ToNS     string `json:"to_ns"`
}

// Bounds are operations as decimal integers.
type Bounds struct {
	Low  string `json:"low"`
	Best string `json:"best"`
	High string `json:"high"`
}

// BoundsOf writes bounds.
func BoundsOf(b compute.Bounds) Bounds {
	return Bounds{b.Low.Decimal(), b.Best.Decimal(), b.High.Decimal()}
}

// Fleet is what the collector knows of the hosts behind the figures.
type Fleet struct {
	Hosts       []Host       `json:"hosts"`
	Allocations []Allocation `json:"allocations,omitempty"`
	// Corrected says that time of a part was given to another tenant after it was
	// counted. It is then cut by the share of its time, and a fold from the start
	// cuts it by what was done in it.
	Corrected bool `json:"corrected,omitempty"`
}

// Host is one host with the keys that it signed with.
type Host struct {
	ID   string   `json:"id"`
	Name string   `json:"name"`
	Keys []string `json:"keys"`
	// Placeholders are hashes of batches that the collector gave their place in
	// the chain and did not count, because they were ahead of its clock.
	Placeholders []string `json:"placeholders,omitempty"`
	// Clocks says from which batch on the collector shifted the host's times, in
	// the order of the batches: its wall clock was wrong.
	Clocks []Clock `json:"clocks,omitempty"`
}

// Clock is a correction of a host's times from one batch on.
type Clock struct {
	Epoch   uint64 `json:"epoch"`
	Seq     uint64 `json:"seq"`
	ShiftNS string `json:"shift_ns"`
}

// Allocation is an allocation as JSON holds it.
type Allocation struct {
	ID           string `json:"id"`
	Host         string `json:"host,omitempty"`
	Device       string `json:"device,omitempty"`
	WorkloadKind string `json:"workload_kind,omitempty"`
	WorkloadID   string `json:"workload_id,omitempty"`
	Tenant       string `json:"tenant"`
	FromNS       string `json:"from_ns"`
	ToNS         string `json:"to_ns"`
}

// AllocationOf writes an allocation.
func AllocationOf(a allocation.Allocation) Allocation {
	return Allocation{a.ID, a.Host, string(a.Device), string(a.WorkloadKind), a.WorkloadID, string(a.Tenant), fmt.Sprint(a.FromNS), fmt.Sprint(a.ToNS)}
}

func (a Allocation) read() (allocation.Allocation, error) {
	out := allocation.Allocation{ID: a.ID, Host: a.Host, Device: measure.DeviceID(a.Device), WorkloadKind: measure.WorkloadKind(a.WorkloadKind), WorkloadID: a.WorkloadID, Tenant: measure.TenantID(a.Tenant)}
	var err error
	if out.FromNS, err = nanoseconds(a.FromNS); err == nil {
		out.ToNS, err = nanoseconds(a.ToNS)
	}
	return out, err
}

// Proof shows that the audit log holds an object as the bundle has it. Rows are
// the object's protected state, whose digest the entry names; they are left out
// where they are not in the bundle.
type Proof struct {
	Leaf  json.RawMessage   `json:"leaf"`
	Path  []string          `json:"path"` // hashes in hexadecimal
	Rows  []json.RawMessage `json:"rows,omitempty"`
	About string            `json:"about"` // what it is in words
}

var whole = regexp.MustCompile(`^-?[0-9]{1,19}$`)

func nanoseconds(text string) (int64, error) {
	var n int64
	if !whole.MatchString(text) {
		return 0, fmt.Errorf("%.40q is no number of nanoseconds", text)
	}
	_, err := fmt.Sscan(text, &n)
	return n, err
}
