package allocation

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// Bounds of one import.
const (
	MaxBytes       = 64 << 20
	MaxAllocations = 200_000
	maxLine        = 8 << 10
	maxFaults      = 100
	maxText        = 1000 // bytes of a host, device, workload or tenant
)

var columns = []string{"allocation_id", "tenant_id", "from", "host", "device", "workload_kind", "workload_id", "to"}

const required = 3 // the first columns

var kinds = []measure.WorkloadKind{measure.KindSlurmJob, measure.KindPod, measure.KindContainer, measure.KindUnit, measure.KindVM,
	measure.KindSession, measure.KindCgroup, measure.KindHost}

// Times that allocations may have.
var earliest, latest = time.Unix(0, 1), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// book collects allocations and the faults of their file.
type book struct {
	name   string
	faults []error
	out    []Allocation
	lines  map[string]int // id → line
}

func (b *book) fault(line int, column, rule string) {
	if !b.full() {
		b.faults = append(b.faults, fmt.Errorf("%s:%d: %s: %s", b.name, line, column, rule))
	}
}

// full reports whether no more faults will be told.
func (b *book) full() bool { return len(b.faults) >= maxFaults }

func (b *book) finish() ([]Allocation, error) {
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	slices.SortFunc(b.out, func(x, y Allocation) int { return strings.Compare(x.ID, y.ID) })
	return b.out, nil
}

// text reports whether the data can be read at all, and takes off the byte order
// mark that spreadsheet programs put before it.
func (b *book) text(data []byte) ([]byte, bool) {
	if len(data) > MaxBytes {
		b.fault(1, "text", fmt.Sprintf("is longer than %d bytes", MaxBytes))
	} else if !utf8.Valid(data) {
		line := 1
		for l := range bytes.Lines(data) {
			if !utf8.Valid(l) {
				break
			}
			line++
		}
		b.fault(line, "text", "is not UTF-8")
	}
	return bytes.TrimPrefix(data, []byte("\ufeff")), len(b.faults) == 0
}

// ReadCSV reads allocations, one a row under a header. All faults are told, at
// most a hundred, each as "name:line: column: rule" and without the value. On an
// error no allocation is returned.
func ReadCSV(name string, data []byte) ([]Allocation, error) {
	b := &book{name: name, lines: map[string]int{}}
	data, ok := b.text(data)
	if !ok {
		return b.finish()
	}
	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1
	header, err := reader.Read()
	if err != nil {
		b.fault(1, "header", "is missing or not CSV")
		return b.finish()
	}
	if !b.header(header) {
		return b.finish()
	}
	rows := table.Reader{Name: name, Width: len(header), Full: b.full, Fault: b.fault, Row: func(line int, cells []string) {
		b.put(line, table.Named(header, cells))
	}}
	if err := rows.Read(reader); err != nil {
		return nil, err
	}
	return b.finish()
}

// header reports whether the columns are known, there once, and enough.
func (b *book) header(header []string) bool {
	for i, column := range header[:min(len(header), 2*len(columns))] {
		at := fmt.Sprintf("column %d", i+1)
		if !slices.Contains(columns, column) {
			b.fault(1, at, fmt.Sprintf("is not known; the columns are %v", columns))
		} else if slices.Index(header, column) != i {
			b.fault(1, at, column+" is there twice")
		}
	}
	for _, column := range columns[:required] {
		if !slices.Contains(header, column) {
			b.fault(1, column, "is missing")
		}
	}
	return len(b.faults) == 0
}

// ReadNDJSON reads allocations, an object a line with the columns of ReadCSV as
// keys and texts as values. Faults are told as by ReadCSV.
func ReadNDJSON(name string, data []byte) ([]Allocation, error) {
	b := &book{name: name, lines: map[string]int{}}
	data, ok := b.text(data)
	if !ok {
		return b.finish()
	}
	line := 0
	for text := range bytes.Lines(data) {
		line++
		switch text = bytes.TrimSpace(text); {
		case b.full():
			return b.finish()
		case len(text) == 0:
		case len(text) > maxLine:
			b.fault(line, "line", fmt.Sprintf("is longer than %d bytes", maxLine))
		default:
			if fields, ok := b.object(line, text); ok {
				b.put(line, fields)
			}
		}
	}
	return b.finish()
}

// object reads one line and reports whether it can be used.
func (b *book) object(line int, text []byte) (map[string]string, bool) {
	if !json.Valid(text) || text[0] != '{' {
		b.fault(line, "line", "must be a JSON object")
		return nil, false
	}
	before := len(b.faults)
	dec := json.NewDecoder(bytes.NewReader(text))
	fields := map[string]string{}
	_, err := dec.Token()
	for err == nil && dec.More() {
		var token json.Token
		if token, err = dec.Token(); err != nil {
			break
		}
		key, _ := token.(string)
		var raw json.RawMessage
		if err = dec.Decode(&raw); err != nil {
			break
		}
		_, twice := fields[key]
		var value *string
		switch {
		case !slices.Contains(columns, key):
			b.fault(line, "line", fmt.Sprintf("has a key that is not known; the keys are %v", columns))
		case twice:
			b.fault(line, key, "is there twice")
		case json.Unmarshal(raw, &value) != nil || value == nil:
			b.fault(line, key, "must be a text")
		default:
			fields[key] = *value
		}
	}
	if err != nil {
		b.fault(line, "line", "is not JSON")
	}
	return fields, len(b.faults) == before
}

// put takes one allocation, or tells all that is wrong with it.
func (b *book) put(line int, fields map[string]string) {
	before := len(b.faults)
	a := Allocation{
		ID: fields["allocation_id"], Host: fields["host"], Device: measure.DeviceID(fields["device"]),
		WorkloadKind: measure.WorkloadKind(fields["workload_kind"]), WorkloadID: fields["workload_id"],
		Tenant: measure.TenantID(fields["tenant_id"]), Source: fmt.Sprintf("%s:%d", b.name, line),
	}
	if !identifier(a.ID) {
		b.fault(line, "allocation_id", "must be 1 to 64 letters, digits, dots, underscores, colons or dashes")
	}
	if a.Tenant == "" {
		b.fault(line, "tenant_id", "is missing")
	}
	for _, column := range []string{"tenant_id", "host", "device", "workload_id"} {
		if !readable(fields[column]) {
			b.fault(line, column, fmt.Sprintf("must be text of at most %d bytes, without control, direction or invisible characters and without spaces around it", maxText))
		}
	}
	switch {
	case a.WorkloadKind != "" && !slices.Contains(kinds, a.WorkloadKind):
		b.fault(line, "workload_kind", fmt.Sprintf("must be empty or one of %v", kinds))
	case (a.WorkloadKind == "") != (a.WorkloadID == ""):
		b.fault(line, "workload_id", "must stand with workload_kind: both or neither")
	}
	if a.Host == "" && a.WorkloadKind == "" {
		b.fault(line, "host", "is missing; only an allocation that names a workload may be about every host")
	}
	a.FromNS = b.time(line, "from", fields["from"])
	if fields["to"] != "" {
		if a.ToNS = b.time(line, "to", fields["to"]); a.ToNS != 0 && a.ToNS < a.FromNS {
			b.fault(line, "to", "is before from")
		}
	}
	if first, twice := b.lines[a.ID]; twice && a.ID != "" {
		b.fault(line, "allocation_id", fmt.Sprintf("is there before, on line %d", first))
	}
	if len(b.out) >= MaxAllocations {
		b.fault(line, "allocation_id", fmt.Sprintf("is one too many: at most %d allocations", MaxAllocations))
	}
	b.lines[a.ID] = line
	if len(b.faults) == before && !b.full() {
		b.out = append(b.out, a)
	}
}

// time reads a time, or tells what is wrong with it and returns 0.
func (b *book) time(line int, column, text string) int64 {
	at, err := time.Parse(time.RFC3339Nano, text)
	switch {
	case text == "":
		b.fault(line, column, "is missing")
	case err != nil:
		b.fault(line, column, "must be a time as 2026-01-31T12:00:00Z (RFC 3339)")
	case at.Before(earliest) || at.After(latest):
		b.fault(line, column, "must be between 1970 and 2200")
	default:
		return at.UnixNano()
	}
	return 0
}

func identifier(s string) bool {
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._:-", r)) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// readable refuses what changes how a person reads the text around it, or makes
// two texts look the same that are not.
func readable(s string) bool {
	if len(s) > maxText || strings.TrimSpace(s) != s {
		return false
	}
	for _, r := range s {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Co,
			unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return false
		}
	}
	return true
}
