package recording

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Writer writes a recording into a folder, as time goes by.
type Writer struct {
	devices   map[measure.DeviceID]bool
	samples   *table
	processes *table
	network   *table
	events    *lines
	cells     []string
}

// Create makes a recording in a folder, which must be empty or missing. Of
// about, Samples, Processes, Network and Events are not used.
func Create(folder string, about Recording) (*Writer, error) {
	if entries, err := os.ReadDir(folder); err == nil && len(entries) > 0 {
		return nil, fmt.Errorf("create recording %s: the folder is not empty", folder)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, fmt.Errorf("create recording: %w", err)
	}
	h := hostFile{Host: about.Host, BootID: about.BootID, Source: about.Source, Driver: about.Driver}
	w := &Writer{devices: map[measure.DeviceID]bool{}}
	for _, d := range about.Devices {
		w.devices[d.ID] = true
		h.Devices = append(h.Devices, deviceFile{
			UUID: string(d.ID), Name: d.Name, PCIID: d.PCIID, CC: d.CC, SMCount: d.SMCount, MaxSMMHz: d.MaxSMMHz, MemoryMiB: d.MemoryMiB, Parent: string(d.Parent),
		})
	}
	text, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("create recording: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "host.json"), append(text, '\n'), 0o644); err != nil {
		return nil, fmt.Errorf("create recording: %w", err)
	}
	header := []string{"time_ns", "device"}
	for _, c := range measure.Columns {
		header = append(header, c.Name)
	}
	if w.samples, err = newTable(filepath.Join(folder, "samples.csv.gz"), header); err != nil {
		return nil, err
	}
	if w.processes, err = newTable(filepath.Join(folder, "processes.csv.gz"), processColumns); err != nil {
		return nil, errors.Join(err, w.samples.close())
	}
	if w.network, err = newTable(filepath.Join(folder, "network.csv.gz"), networkColumns); err != nil {
		return nil, errors.Join(err, w.samples.close(), w.processes.close())
	}
	if w.events, err = newLines(filepath.Join(folder, "events.ndjson.gz")); err != nil {
		return nil, errors.Join(err, w.samples.close(), w.processes.close(), w.network.close())
	}
	return w, nil
}

// Sample writes one sample. A reading that is not there is an empty cell.
func (w *Writer) Sample(s *measure.Sample) error {
	if !w.devices[s.Device] {
		return fmt.Errorf("write sample: device %s is not in the recording", s.Device)
	}
	w.cells = append(w.cells[:0], strconv.FormatInt(s.TimeNS, 10), string(s.Device))
	for _, c := range measure.Columns {
		cell := ""
		if c.IsCounter {
			if v, ok := s.Counter(c.Counter); ok {
				cell = strconv.FormatUint(v, 10)
			}
		} else if v, ok := s.Gauge(c.Gauge); ok {
			cell = strconv.FormatFloat(v, 'g', 6, 64)
		}
		w.cells = append(w.cells, cell)
	}
	return w.samples.write(w.cells)
}

// Process writes one process that held a device. MemoryBytes and SMUtil below
// zero are not known.
func (w *Writer) Process(p Process) error {
	known := func(v float64, text string) string {
		if v < 0 || math.IsNaN(v) {
			return ""
		}
		return text
	}
	return w.processes.write([]string{
		strconv.FormatInt(p.TimeNS, 10), string(p.Device), strconv.Itoa(p.PID), strconv.FormatInt(p.StartNS, 10),
		known(p.SMUtil, strconv.FormatFloat(p.SMUtil, 'g', 6, 64)), known(float64(p.MemoryBytes), strconv.FormatInt(p.MemoryBytes, 10)), p.Cgroup,
	})
}

// Event writes one event.
func (w *Writer) Event(e measure.Event) error {
	return w.events.write(eventLine{TimeNS: e.TimeNS, Device: string(e.Device), Kind: string(e.Kind), Code: e.Code, Detail: e.Detail})
}

// Close writes out what is held back. Without it the recording is damaged.
func (w *Writer) Close() error {
	return errors.Join(w.samples.close(), w.processes.close(), w.network.close(), w.events.close())
}

// packed is a file that is zipped as it is written.
type packed struct {
	file *os.File
	buf  *bufio.Writer
	zip  *gzip.Writer
}

func pack(path string) (*packed, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("create recording: %w", err)
	}
	buf := bufio.NewWriter(f)
	return &packed{file: f, buf: buf, zip: gzip.NewWriter(buf)}, nil
}

func (p *packed) close() error {
	if err := errors.Join(p.zip.Close(), p.buf.Flush(), p.file.Sync(), p.file.Close()); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}

type table struct {
	*packed
	csv *csv.Writer
}

func newTable(path string, header []string) (*table, error) {
	p, err := pack(path)
	if err != nil {
		return nil, err
	}
	t := &table{p, csv.NewWriter(p.zip)}
	if err := t.write(header); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return t, nil
}

func (t *table) write(cells []string) error {
	if err := t.csv.Write(cells); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}

func (t *table) close() error {
	t.csv.Flush()
	return errors.Join(t.csv.Error(), t.packed.close())
}

type lines struct {
	*packed
	json *json.Encoder
}

func newLines(path string) (*lines, error) {
	p, err := pack(path)
	if err != nil {
		return nil, err
	}
	return &lines{p, json.NewEncoder(p.zip)}, nil
}

func (l *lines) write(v any) error {
	if err := l.json.Encode(v); err != nil {
		return fmt.Errorf("write recording: %w", err)
	}
	return nil
}

// eventLine is one line of events.ndjson.
type eventLine struct {
	TimeNS int64  `json:"time_ns"`
	Device string `json:"device,omitempty"`
	Kind   string `json:"kind"`
	Code   int64  `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
}

// parseEvents reads events.ndjson.
func (r *Recording) parseEvents(data []byte) error {
	if data == nil {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	for n := 1; ; n++ {
		var e eventLine
		err := dec.Decode(&e)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("events.ndjson: event %d: %w", n, err)
		}
		if e.Kind == "" || e.TimeNS <= 0 || len(e.Detail) > 256 {
			return fmt.Errorf("events.ndjson: event %d: needs time_ns, kind and a detail of at most 256 bytes", n)
		}
		r.Events = append(r.Events, measure.Event{TimeNS: e.TimeNS, Device: measure.DeviceID(e.Device), Kind: measure.EventKind(e.Kind), Code: e.Code, Detail: e.Detail})
	}
}
