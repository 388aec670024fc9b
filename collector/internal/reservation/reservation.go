// Package reservation knows what customers have reserved: so many accelerators
// from when to when. It is what can be known of a run before its first step. It
// is pure.
package reservation

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
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
	maxFaults  = 100
)

// columns of the file; the last two are optional.
var columns = []string{"reservation_id", "tenant_id", "accelerator", "devices", "from", "to", "network_gbit_s", "declared_use"}

// ReadCSV reads reservations: a header line with reservation_id, tenant_id,
// accelerator, devices, from, to and optionally network_gbit_s and declared_use; times are RFC
// 3339. All faults are told, each as "name:line: column: rule".
func ReadCSV(name string, data []byte) ([]Reservation, error) {
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("%s:1: text: is longer than %d bytes", name, MaxBytes)
	}
	table := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	table.FieldsPerRecord = -1
	header, err := table.Read()
	if err != nil {
		return nil, fmt.Errorf("%s:1: header: cannot be read", name)
	}
	place := map[string]int{}
	for i, column := range header {
		if _, twice := place[column]; twice || !slices.Contains(columns, column) {
			return nil, fmt.Errorf("%s:1: header: must be %s", name, strings.Join(columns, ","))
		}
		place[column] = i
	}
	for _, column := range columns[:6] {
		if _, there := place[column]; !there {
			return nil, fmt.Errorf("%s:1: header: must be %s", name, strings.Join(columns, ","))
		}
	}
	r := &rows{name: name, place: place, seen: map[string]bool{}}
	for len(r.faults) < maxFaults && len(r.all) <= maxRows {
		cells, err := table.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if bad := (*csv.ParseError)(nil); errors.As(err, &bad) {
			r.line = bad.StartLine
		} else if err == nil {
			r.line, _ = table.FieldPos(0)
		}
		if err != nil || len(cells) != len(header) {
			r.fault("text", "is no row of the table")
			if err != nil {
				break
			}
			continue
		}
		r.row(cells)
	}
	if len(r.all) > maxRows {
		r.fault("reservation_id", fmt.Sprintf("is one too many: at most %d", maxRows))
	}
	return r.all, errors.Join(r.faults...)
}

type rows struct {
	name   string
	place  map[string]int
	line   int
	all    []Reservation
	seen   map[string]bool
	faults []error
}

func (r *rows) fault(column, rule string) {
	r.faults = append(r.faults, fmt.Errorf("%s:%d: %s: %s", r.name, r.line, column, rule))
}

func (r *rows) row(cells []string) {
	before := len(r.faults)
	text := func(column string) string {
		if i, there := r.place[column]; there {
			return cells[i]
		}
		return ""
	}
	number := func(column string, most int) int {
		n, err := strconv.Atoi(text(column))
		if err != nil || n < 1 || n > most {
			r.fault(column, fmt.Sprintf("must be a whole number from 1 to %d", most))
		}
		return n
	}
	instant := func(column string) int64 {
		t, err := time.Parse(time.RFC3339, text(column))
		if err != nil || t.Year() < 1971 || t.Year() > 2200 {
			r.fault(column, "must be a time such as 2026-01-01T00:00:00Z")
			return 0
		}
		return t.UnixNano()
	}
	v := Reservation{ID: text("reservation_id"), Tenant: measure.TenantID(text("tenant_id")), Accelerator: text("accelerator"), Source: fmt.Sprintf("%s:%d", r.name, r.line)}
	if !word(v.ID, 64) || r.seen[v.ID] {
		r.fault("reservation_id", "must be 1 to 64 visible ASCII characters, and there once")
	}
	r.seen[v.ID] = true
	if !word(string(v.Tenant), 200) {
		r.fault("tenant_id", "must be 1 to 200 visible ASCII characters")
	}
	if _, grade, _ := accel.Lookup(accel.Identity{Name: v.Accelerator}); grade == accel.Derived {
		r.fault("accelerator", "is not in the catalogue")
	}
	v.Devices = number("devices", MaxDevices)
	v.FromNS, v.ToNS = instant("from"), instant("to")
	if v.ToNS < v.FromNS {
		r.fault("to", "is before from; the same time withdraws")
	}
	if text("network_gbit_s") != "" {
		v.NetworkGbitS = number("network_gbit_s", 1_000_000)
	}
	switch v.DeclaredUse = Use(text("declared_use")); v.DeclaredUse {
	case "", Training, Inference, Other:
	default:
		r.fault("declared_use", "must be training, inference or other")
	}
	if len(r.faults) == before {
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
type Diff struct {
	New, Changed, Unchanged []string
}

// Compare says what recording next over current changes. Reservations that are
// not named stay as they are.
func Compare(current map[string]Reservation, next []Reservation) Diff {
	var d Diff
	for _, r := range next {
		old, known := current[r.ID]
		switch {
		case !known:
			d.New = append(d.New, r.ID)
		case old.Same(r):
			d.Unchanged = append(d.Unchanged, r.ID)
		default:
			d.Changed = append(d.Changed, r.ID)
		}
	}
	return d
}
