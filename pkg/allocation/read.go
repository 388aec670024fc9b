package allocation

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// Bounds of one import.
const (
	MaxBytes       = 64 << 20
	MaxAllocations = 200_000
	maxText        = 1000 // bytes of a host, device, workload or tenant
)

// sheet is the table of allocations.
var sheet = table.Sheet{Columns: []string{"allocation_id", "tenant_id", "from", "host", "device", "workload_kind", "workload_id", "to"}, Required: 3}

var kinds = []measure.WorkloadKind{measure.KindSlurmJob, measure.KindPod, measure.KindContainer, measure.KindUnit, measure.KindVM,
	measure.KindSession, measure.KindCgroup, measure.KindHost}

// Times that allocations may have.
var earliest, latest = time.Unix(0, 1), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// book collects allocations and the faults of their file.
type book struct {
	table.Faults
	out   []Allocation
	lines map[string]int // id → line
}

// ReadCSV reads allocations, one a row under a header. All faults are told, at
// most a hundred, each as "name:line: column: rule" and without the value. On an
// error no allocation is returned.
func ReadCSV(name string, data []byte) ([]Allocation, error) { return read(name, data, sheet.CSV) }

// ReadNDJSON reads allocations, an object a line with the columns of ReadCSV as
// keys and texts as values. Faults are told as by ReadCSV.
func ReadNDJSON(name string, data []byte) ([]Allocation, error) {
	return read(name, data, sheet.NDJSON)
}

func read(name string, data []byte, form func([]byte, *table.Faults, func(int, map[string]string))) ([]Allocation, error) {
	b := &book{Faults: table.Faults{File: name}, lines: map[string]int{}}
	if data, ok := b.Text(data, MaxBytes); ok {
		form(data, &b.Faults, b.put)
	}
	if err := b.Err(); err != nil {
		return nil, err
	}
	slices.SortFunc(b.out, func(x, y Allocation) int { return strings.Compare(x.ID, y.ID) })
	return b.out, nil
}

// put takes one allocation, or tells all that is wrong with it.
func (b *book) put(line int, fields map[string]string) {
	before := b.Count()
	a := Allocation{
		ID: fields["allocation_id"], Host: fields["host"], Device: measure.DeviceID(fields["device"]),
		WorkloadKind: measure.WorkloadKind(fields["workload_kind"]), WorkloadID: fields["workload_id"],
		Tenant: measure.TenantID(fields["tenant_id"]), Source: fmt.Sprintf("%s:%d", b.File, line),
	}
	if !table.Identifier(a.ID) {
		b.Add(line, "allocation_id", "must be 1 to 64 letters, digits, dots, underscores, colons or dashes")
	}
	if a.Tenant == "" {
		b.Add(line, "tenant_id", "is missing")
	}
	for _, column := range []string{"tenant_id", "host", "device", "workload_id"} {
		if !table.Readable(fields[column], maxText) {
			b.Add(line, column, fmt.Sprintf("must be text of at most %d bytes, %s", maxText, table.Plain))
		}
	}
	switch {
	case a.WorkloadKind != "" && !slices.Contains(kinds, a.WorkloadKind):
		b.Add(line, "workload_kind", fmt.Sprintf("must be empty or one of %v", kinds))
	case (a.WorkloadKind == "") != (a.WorkloadID == ""):
		b.Add(line, "workload_id", "must stand with workload_kind: both or neither")
	}
	if a.Host == "" && a.WorkloadKind == "" {
		b.Add(line, "host", "is missing; only an allocation that names a workload may be about every host")
	}
	a.FromNS = b.time(line, "from", fields["from"])
	if fields["to"] != "" {
		if a.ToNS = b.time(line, "to", fields["to"]); a.ToNS != 0 && a.ToNS < a.FromNS {
			b.Add(line, "to", "is before from")
		}
	}
	if first, twice := b.lines[a.ID]; twice && a.ID != "" {
		b.Add(line, "allocation_id", fmt.Sprintf("is there before, on line %d", first))
	}
	if len(b.out) >= MaxAllocations {
		b.Add(line, "allocation_id", fmt.Sprintf("is one too many: at most %d allocations", MaxAllocations))
	}
	b.lines[a.ID] = line
	if b.Count() == before && !b.Full() {
		b.out = append(b.out, a)
	}
}

// time reads a time, or tells what is wrong with it and returns 0.
func (b *book) time(line int, column, text string) int64 {
	at, err := time.Parse(time.RFC3339Nano, text)
	switch {
	case text == "":
		b.Add(line, column, "is missing")
	case err != nil:
		b.Add(line, column, "must be a time as 2026-01-31T12:00:00Z (RFC 3339)")
	case at.Before(earliest) || at.After(latest):
		b.Add(line, column, "must be between 1970 and 2200")
	default:
		return at.UnixNano()
	}
	return 0
}
