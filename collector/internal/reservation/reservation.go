// Package reservation knows what customers have reserved: so many accelerators
// from when to when. It is what can be known of a run before its first step. It
// is pure.
package reservation

import (
	"fmt"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// Reservation holds accelerators for a tenant from FromNS until before ToNS. It
// is never edited: a later record with its ID takes its place.
type Reservation struct {
	ID           string
	Tenant       measure.TenantID
	Accelerator  string // name in the catalogue
	Devices      int
	FromNS       int64
	ToNS         int64 // FromNS withdraws it, as if it had never been made
	NetworkGbitS int   // speed at which the devices are connected, 0 if not stated
	DeclaredUse  Use   // what the customer says that it is for, "" where nobody said
	RecordedNS   int64 // when the collector took it
	Source       string
}

// Use is what devices are said to be for.
type Use string

// The uses.
const (
	Training  Use = "training"
	Inference Use = "inference"
	Other     Use = "other"
)

// Withdrawn reports whether it was taken back.
func (r *Reservation) Withdrawn() bool { return r.ToNS <= r.FromNS }

// Same reports whether two say the same, whenever they were recorded.
func (r Reservation) Same(o Reservation) bool {
	r.RecordedNS, r.Source = o.RecordedNS, o.Source
	return r == o
}

// Peak returns the dense training peak of all its devices, 0 for an accelerator
// that the catalogue does not know.
func (r *Reservation) Peak() compute.Rate {
	model, grade, _ := accel.Lookup(accel.Identity{Name: r.Accelerator})
	if grade == accel.Derived {
		return 0
	}
	return model.TrainingPeak() * compute.Rate(r.Devices)
}

// Most returns what the reserved devices can do from an instant on at peak.
func (r *Reservation) Most(fromNS int64) compute.Operations {
	if from := max(fromNS, r.FromNS); from < r.ToNS {
		return r.Peak().Over(time.Duration(r.ToNS-from), compute.Up)
	}
	return 0
}

// MaxBytes and MaxDevices bound one import and one reservation.
const (
	MaxBytes   = 16 << 20
	MaxDevices = 10_000_000
	maxRows    = 100_000
)

var sheet = table.Sheet{Columns: []string{"reservation_id", "tenant_id", "accelerator", "devices", "from", "to", "network_gbit_s", "declared_use"}, Required: 6}

// ReadCSV reads reservations: a header line with reservation_id, tenant_id,
// accelerator, devices, from, to and optionally network_gbit_s and declared_use; times are RFC
// 3339. All faults are told, at most a hundred, each as "name:line: column: rule".
func ReadCSV(name string, data []byte) ([]Reservation, error) {
	r := &rows{Faults: table.Faults{File: name}, seen: map[string]bool{}}
	if data, ok := r.Text(data, MaxBytes); ok {
		sheet.CSV(data, &r.Faults, r.row)
	}
	if err := r.Err(); err != nil {
		return nil, err
	}
	return r.all, nil
}

type rows struct {
	table.Faults
	all  []Reservation
	seen map[string]bool
}

func (r *rows) row(line int, cells map[string]string) {
	if len(r.all) == maxRows {
		r.Add(line, "row", fmt.Sprintf("is one too many: at most %d", maxRows))
		return
	}
	before := r.Count()
	text := func(column string) string { return cells[column] }
	number := func(column string, most int) int {
		n, err := strconv.Atoi(text(column))
		if err != nil || n < 1 || n > most {
			r.Add(line, column, fmt.Sprintf("must be a whole number from 1 to %d", most))
		}
		return n
	}
	instant := func(column string) int64 {
		t, err := time.Parse(time.RFC3339, text(column))
		if err != nil || t.Year() < 1971 || t.Year() > 2200 {
			r.Add(line, column, "must be a time such as 2026-01-01T00:00:00Z")
			return 0
		}
		return t.UnixNano()
	}
	v := Reservation{ID: text("reservation_id"), Tenant: measure.TenantID(text("tenant_id")), Accelerator: text("accelerator"), Source: fmt.Sprintf("%s:%d", r.File, line)}
	if !word(v.ID, 64) || r.seen[v.ID] {
		r.Add(line, "reservation_id", "must be 1 to 64 visible ASCII characters, and there once")
	}
	r.seen[v.ID] = true
	if !word(string(v.Tenant), 200) {
		r.Add(line, "tenant_id", "must be 1 to 200 visible ASCII characters")
	}
	if _, grade, _ := accel.Lookup(accel.Identity{Name: v.Accelerator}); grade == accel.Derived {
		r.Add(line, "accelerator", "is not in the catalogue")
	}
	v.Devices = number("devices", MaxDevices)
	v.FromNS, v.ToNS = instant("from"), instant("to")
	if v.ToNS < v.FromNS {
		r.Add(line, "to", "is before from; the same time withdraws")
	}
	if text("network_gbit_s") != "" {
		v.NetworkGbitS = number("network_gbit_s", 1_000_000)
	}
	switch v.DeclaredUse = Use(text("declared_use")); v.DeclaredUse {
	case "", Training, Inference, Other:
	default:
		r.Add(line, "declared_use", "must be training, inference or other")
	}
	if r.Count() == before {
		r.all = append(r.all, v)
	}
}

func word(s string, most int) bool {
	for _, c := range s {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return s != "" && len(s) <= most
}

// Diff is what an import changes, by id.
type Diff = table.Diff

// Compare says what recording next over current changes. Reservations that are
// not named stay as they are.
func Compare(current map[string]Reservation, next []Reservation) Diff {
	return table.Compare(current, next, func(r Reservation) string { return r.ID }, Reservation.Same)
}
