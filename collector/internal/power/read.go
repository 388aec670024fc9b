package power

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/table"
)

// Bounds of one import.
const (
	MaxBytes    = 64 << 20
	MaxReadings = 500_000
	MaxSpan     = 24 * time.Hour // of one reading
	maxWatts    = 1_000_000
)

// sheet is the table of readings; overhead_watts may be left out and is then 0.
var sheet = table.Sheet{Columns: []string{"meter_id", "host", "kind", "from", "to", "watts", "overhead_watts"}, Required: 6}

var (
	meterForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$`)
	hostForm  = regexp.MustCompile(`^[a-z2-7]{26}$`)
	wattsForm = regexp.MustCompile(`^\d{1,7}(\.\d{1,3})?$`)
)

// Times that readings may have.
var earliest, latest = time.Unix(1, 0), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// book collects readings and the faults of their file.
type book struct {
	table.Faults
	out []placed
}

type placed struct {
	Reading
	line int
}

// finish looks at the readings side by side.
func (b *book) finish() ([]Reading, error) {
	slices.SortStableFunc(b.out, func(x, y placed) int {
		return cmp.Or(strings.Compare(x.Meter, y.Meter), cmp.Compare(x.StartNS, y.StartNS))
	})
	out := make([]Reading, len(b.out))
	for i, is := range b.out {
		out[i] = is.Reading
		if i == 0 || b.Full() {
			continue
		}
		switch was := b.out[i-1]; {
		case was.Meter != is.Meter:
		case was.Host != is.Host || was.Kind != is.Kind:
			b.Add(is.line, "meter_id", fmt.Sprintf("is of another host or kind than on line %d", was.line))
		case is.StartNS < was.EndNS:
			b.Add(is.line, "from", fmt.Sprintf("overlaps the reading of the meter on line %d", was.line))
		}
	}
	if err := b.Err(); err != nil {
		return nil, err
	}
	return out, nil
}

// ReadCSV reads readings, one a row under a header. All faults are told, at most a
// hundred, each as "name:line: column: rule" and without the value. On an error no
// reading is returned.
func ReadCSV(name string, data []byte) ([]Reading, error) { return read(name, data, sheet.CSV) }

// ReadNDJSON reads readings, an object a line with the columns of ReadCSV as keys
// and texts as values. Faults are told as by ReadCSV.
func ReadNDJSON(name string, data []byte) ([]Reading, error) { return read(name, data, sheet.NDJSON) }

func read(name string, data []byte, form func([]byte, *table.Faults, func(int, map[string]string))) ([]Reading, error) {
	b := &book{Faults: table.Faults{File: name}}
	if data, ok := b.Text(data, MaxBytes); ok {
		form(data, &b.Faults, b.put)
	}
	return b.finish()
}

// put takes one row.
func (b *book) put(line int, fields map[string]string) {
	if len(b.out) == MaxReadings {
		b.Add(line, "row", fmt.Sprintf("is one too many: at most %d readings", MaxReadings))
		return
	}
	before := b.Count()
	r := Reading{Meter: fields["meter_id"], Kind: Kind(fields["kind"]), Host: fields["host"]}
	if !meterForm.MatchString(r.Meter) {
		b.Add(line, "meter_id", "must be at most 128 letters, digits or any of . _ : / -")
	}
	if !hostForm.MatchString(r.Host) {
		b.Add(line, "host", "must be the id of a host, 26 characters")
	}
	if r.Kind != BMC && r.Kind != PDU && r.Kind != Other {
		b.Add(line, "kind", "must be bmc, pdu or other")
	}
	from, to := b.instant(line, "from", fields["from"]), b.instant(line, "to", fields["to"])
	watts, overhead := b.watts(line, "watts", fields["watts"]), 0.0
	if fields["overhead_watts"] != "" {
		overhead = b.watts(line, "overhead_watts", fields["overhead_watts"])
	}
	if b.Count() > before {
		return
	}
	d := to.Sub(from)
	if d <= 0 || d > MaxSpan {
		b.Add(line, "to", fmt.Sprintf("must be after from, by at most %s", MaxSpan))
	}
	if overhead > watts {
		b.Add(line, "overhead_watts", "must not be more than watts")
	}
	if b.Count() > before {
		return
	}
	r.StartNS, r.EndNS = from.UnixNano(), to.UnixNano()
	r.EnergyMJ, r.OverheadMJ = int64(math.Round(watts*d.Seconds()*1000)), int64(math.Round(overhead*d.Seconds()*1000))
	b.out = append(b.out, placed{r, line})
}

func (b *book) instant(line int, column, text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Before(earliest) || at.After(latest) {
		b.Add(line, column, "must be a time as 2026-01-31T12:00:00Z")
	}
	return at
}

func (b *book) watts(line int, column, text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if !wattsForm.MatchString(text) || err != nil || v > maxWatts {
		b.Add(line, column, fmt.Sprintf("must be a number of watts up to %d with at most three decimals", maxWatts))
	}
	return v
}
