package power

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/pkg/table"
)

// Bounds of one import.
const (
	MaxReadings = 500_000
	MaxSpan     = 24 * time.Hour // of one reading
	maxFaults   = 100
	maxLine     = 4 << 10
	maxWatts    = 1_000_000
)

var columns = []string{"meter_id", "host", "kind", "from", "to", "watts", "overhead_watts"}

// required are the first columns; overhead_watts may be left out and is then 0.
const required = 6

var (
	meterForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$`)
	hostForm  = regexp.MustCompile(`^[a-z2-7]{26}$`)
	wattsForm = regexp.MustCompile(`^\d{1,7}(\.\d{1,3})?$`)
)

// Times that readings may have.
var earliest, latest = time.Unix(1, 0), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// book collects readings and the faults of their file.
type book struct {
	name   string
	faults []error
	out    []Reading
}

func (b *book) fault(line int, column, rule string) {
	if len(b.faults) < maxFaults {
		b.faults = append(b.faults, fmt.Errorf("%s:%d: %s: %s", b.name, line, column, rule))
	}
}

func (b *book) full() bool { return len(b.faults) >= maxFaults || len(b.out) > MaxReadings }

// finish looks at the readings side by side.
func (b *book) finish() ([]Reading, error) {
	if len(b.out) > MaxReadings {
		b.fault(1, "file", fmt.Sprintf("has more than %d readings", MaxReadings))
	}
	if len(b.faults) == 0 {
		slices.SortFunc(b.out, func(x, y Reading) int {
			if c := strings.Compare(x.Meter, y.Meter); c != 0 {
				return c
			}
			return int(min(1, max(-1, x.StartNS-y.StartNS)))
		})
		for i := 1; i < len(b.out); i++ {
			was, is := &b.out[i-1], &b.out[i]
			switch {
			case was.Meter != is.Meter:
			case was.Host != is.Host || was.Kind != is.Kind:
				b.fault(1, "meter_id", "one meter is of two hosts or kinds")
			case is.StartNS < was.EndNS:
				b.fault(1, "from", "readings of one meter overlap")
			}
			if len(b.faults) > 0 {
				break
			}
		}
	}
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	return b.out, nil
}

// ReadCSV reads readings, one a row under a header. All faults are told, at most a
// hundred, each as "name:line: column: rule" and without the value. On an error no
// reading is returned.
func ReadCSV(name string, data []byte) ([]Reading, error) {
	b := &book{name: name}
	if !utf8.Valid(data) {
		b.fault(1, "text", "is not UTF-8")
		return b.finish()
	}
	in := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(data, []byte("\ufeff"))))
	in.FieldsPerRecord = -1
	header, err := in.Read()
	if err != nil || !b.header(header) {
		if len(b.faults) == 0 {
			b.fault(1, "header", "is missing or not CSV")
		}
		return b.finish()
	}
	rows := table.Reader{Name: name, Width: len(header), Full: b.full, Fault: b.fault, Row: func(line int, cells []string) {
		b.put(line, table.Named(header, cells))
	}}
	if err := rows.Read(in); err != nil {
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

// ReadNDJSON reads readings, an object a line with the columns of ReadCSV as keys
// and texts as values. Faults are told as by ReadCSV.
func ReadNDJSON(name string, data []byte) ([]Reading, error) {
	b := &book{name: name}
	line := 0
	for text := range bytes.Lines(data) {
		line++
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		if b.full() {
			break
		}
		if len(text) > maxLine || !utf8.Valid(text) {
			b.fault(line, "line", fmt.Sprintf("must be UTF-8 of at most %d bytes", maxLine))
			continue
		}
		fields, err := texts(text)
		if err != nil {
			b.fault(line, "line", err.Error())
			continue
		}
		b.put(line, fields)
	}
	return b.finish()
}

// texts reads one object whose values are texts, each key once.
func texts(line []byte) (map[string]string, error) {
	in := json.NewDecoder(bytes.NewReader(line))
	if t, err := in.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("is no object")
	}
	fields := map[string]string{}
	for in.More() {
		key, err := in.Token()
		name, ok := key.(string)
		if err != nil || !ok || !slices.Contains(columns, name) {
			return nil, fmt.Errorf("has a key that is not known; the keys are %v", columns)
		}
		if _, twice := fields[name]; twice {
			return nil, errors.New("has a key twice")
		}
		value, err := in.Token()
		text, ok := value.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("%s must be a text", name)
		}
		fields[name] = text
	}
	if _, err := in.Token(); err != nil {
		return nil, errors.New("is no object")
	}
	if _, err := in.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("has something after the object")
	}
	return fields, nil
}

// put takes one row.
func (b *book) put(line int, fields map[string]string) {
	before := len(b.faults)
	r := Reading{Meter: fields["meter_id"], Kind: Kind(fields["kind"]), Host: fields["host"]}
	if !meterForm.MatchString(r.Meter) {
		b.fault(line, "meter_id", "must be at most 128 letters, digits or any of . _ : / -")
	}
	if !hostForm.MatchString(r.Host) {
		b.fault(line, "host", "must be the id of a host, 26 characters")
	}
	if r.Kind != BMC && r.Kind != PDU && r.Kind != Other {
		b.fault(line, "kind", "must be bmc, pdu or other")
	}
	from, to := b.instant(line, "from", fields["from"]), b.instant(line, "to", fields["to"])
	watts, overhead := b.watts(line, "watts", fields["watts"]), 0.0
	if fields["overhead_watts"] != "" {
		overhead = b.watts(line, "overhead_watts", fields["overhead_watts"])
	}
	if len(b.faults) > before {
		return
	}
	d := to.Sub(from)
	if d <= 0 || d > MaxSpan {
		b.fault(line, "to", fmt.Sprintf("must be after from, by at most %s", MaxSpan))
	}
	if overhead > watts {
		b.fault(line, "overhead_watts", "must not be more than watts")
	}
	if len(b.faults) > before {
		return
	}
	r.StartNS, r.EndNS = from.UnixNano(), to.UnixNano()
	r.EnergyMJ, r.OverheadMJ = int64(math.Round(watts*d.Seconds()*1000)), int64(math.Round(overhead*d.Seconds()*1000))
	b.out = append(b.out, r)
}

func (b *book) instant(line int, column, text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Before(earliest) || at.After(latest) {
		b.fault(line, column, "must be a time as 2026-01-31T12:00:00Z")
	}
	return at
}

func (b *book) watts(line int, column, text string) float64 {
	v, err := strconv.ParseFloat(text, 64)
	if !wattsForm.MatchString(text) || err != nil || v > maxWatts {
		b.fault(line, column, fmt.Sprintf("must be a number of watts up to %d with at most three decimals", maxWatts))
	}
	return v
}
