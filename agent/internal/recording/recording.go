// Package recording reads captured hosts: who the host was, what its devices
// said over time, and which processes held them. The format is in
// docs/formats.md; what does not fit it is refused with file, line and column.
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
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// MaxBytes bounds each file of a recording after decompression.
const MaxBytes = 1 << 30

// maxFaults bounds how many faults are told.
const maxFaults = 100

// Recording is one captured host.
type Recording struct {
	Host      string
	BootID    string
	Source    string // where it comes from; "synthetic" for one that was made
	Driver    string // version of the driver, "" if not known
	Devices   []measure.Device
	Samples   []measure.Sample // in the order of the file, which may step back in time
	Processes []Process        // in the order of the file
	Network   []Flow           // in the order of the file
	Events    []measure.Event  // in the order of the file
}

// Process is one process that held a device at an instant.
type Process struct {
	TimeNS  int64
	Device  measure.DeviceID
	PID     int
	StartNS int64
	SMUtil  float64 // percent, -1 if not known
	// MemoryBytes is the device memory that it held, -1 if not known.
	MemoryBytes int64
	Cgroup      string
}

type hostFile struct {
	Host    string       `json:"host"`
	BootID  string       `json:"boot_id"`
	Driver  string       `json:"driver,omitempty"`
	Source  string       `json:"source"`
	Devices []deviceFile `json:"devices"`
}

type deviceFile struct {
	UUID      string `json:"uuid"`
	Name      string `json:"name"`
	PCIID     string `json:"pci_id,omitempty"`
	CC        string `json:"cc,omitempty"`
	SMCount   int    `json:"sm_count,omitempty"`
	MaxSMMHz  int    `json:"max_sm_mhz,omitempty"`
	MemoryMiB int64  `json:"memory_mib,omitempty"`
	Parent    string `json:"parent,omitempty"`
}

// Is reports whether path looks like a recording: a folder with a host.json, or
// a .tar.gz.
func Is(path string) bool {
	if strings.HasSuffix(path, ".tar.gz") || strings.HasSuffix(path, ".tgz") {
		return true
	}
	_, err := os.Stat(filepath.Join(path, "host.json"))
	return err == nil
}

// Open reads the recording in a folder or a .tar.gz of one.
func Open(path string) (*Recording, error) {
	files, err := load(path)
	if err != nil {
		return nil, fmt.Errorf("open recording %s: %w", path, err)
	}
	r, err := parse(files)
	if err != nil {
		return nil, fmt.Errorf("open recording %s: %w", path, err)
	}
	return r, nil
}

// parse reads the files of a recording, by name without .gz.
func parse(files map[string][]byte) (*Recording, error) {
	r := &Recording{}
	if err := r.host(files["host.json"]); err != nil {
		return nil, err
	}
	if files["samples.csv"] == nil {
		return nil, errors.New("samples.csv is missing")
	}
	if err := errors.Join(r.samples(files["samples.csv"]), r.processes(files["processes.csv"]), r.network(files["network.csv"]), r.parseEvents(files["events.ndjson"])); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Recording) host(data []byte) error {
	if data == nil {
		return errors.New("host.json is missing")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var h hostFile
	if err := dec.Decode(&h); err != nil {
		return fmt.Errorf("host.json: %w", err)
	}
	if h.Host == "" || len(h.Host) > 200 || len(h.Devices) == 0 || len(h.Devices) > wire.MaxDevices {
		return fmt.Errorf("host.json: host must be named and have 1 to %d devices", wire.MaxDevices)
	}
	r.Host, r.BootID, r.Source, r.Driver = h.Host, h.BootID, h.Source, h.Driver
	for i, d := range h.Devices {
		if d.UUID == "" || slices.ContainsFunc(r.Devices, func(o measure.Device) bool { return string(o.ID) == d.UUID }) {
			return fmt.Errorf("host.json: devices[%d].uuid: is empty or there twice", i)
		}
		r.Devices = append(r.Devices, measure.Device{ID: measure.DeviceID(d.UUID), Name: d.Name, PCIID: d.PCIID, CC: d.CC,
			SMCount: d.SMCount, MaxSMMHz: d.MaxSMMHz, MemoryMiB: d.MemoryMiB, Parent: measure.DeviceID(d.Parent)})
	}
	return nil
}

// rows walks over a CSV file with its faults collected.
type rows struct {
	name   string
	line   int
	header []string
	cells  []string
	faults []error
}

func (w *rows) fault(column string, err error) {
	w.faults = append(w.faults, fmt.Errorf("%s:%d: %s: %w", w.name, w.line, column, err))
}

func (w *rows) cell(column string) string {
	if i := slices.Index(w.header, column); i >= 0 {
		return w.cells[i]
	}
	return ""
}

func (w *rows) integer(column string) int64 {
	n, err := strconv.ParseInt(w.cell(column), 10, 64)
	if err != nil || n < 0 {
		w.fault(column, fmt.Errorf("%q: must be a whole number, not negative", w.cell(column)))
	}
	return n
}

// walk calls row for each line after a header whose columns are all known.
func walk(name string, data []byte, known []string, required []string, row func(*rows)) error {
	reader := csv.NewReader(bufio.NewReader(bytes.NewReader(data)))
	reader.ReuseRecord = true
	header, err := reader.Read()
	if err != nil {
		return fmt.Errorf("%s:1: header: %w", name, err)
	}
	w := &rows{name: name, line: 1, header: slices.Clone(header)}
	for _, column := range w.header {
		if !slices.Contains(known, column) {
			w.fault(column, errors.New("unknown column"))
		}
	}
	for _, column := range required {
		if !slices.Contains(w.header, column) {
			w.fault(column, errors.New("column is missing"))
		}
	}
	for len(w.faults) == 0 || (w.line > 1 && len(w.faults) < maxFaults) {
		w.cells, err = reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			w.faults = append(w.faults, fmt.Errorf("%s: %w", name, err))
			break
		}
		w.line, _ = reader.FieldPos(0)
		row(w)
	}
	return errors.Join(w.faults...)
}

func (r *Recording) samples(data []byte) error {
	known := []string{"time_ns", "device"}
	for _, c := range measure.Columns {
		known = append(known, c.Name)
	}
	return walk("samples.csv", data, known, known[:2], func(w *rows) {
		s := measure.NewSample(r.device(w), w.integer("time_ns"))
		for _, c := range measure.Columns {
			text := w.cell(c.Name)
			if text == "" {
				continue
			}
			if c.IsCounter {
				n, err := strconv.ParseUint(text, 10, 64)
				if err != nil {
					w.fault(c.Name, fmt.Errorf("%q: must be a whole number, not negative", text))
				}
				s.SetCounter(c.Counter, n)
				continue
			}
			// A value that cannot be true is what a real device said; it stays absent.
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				w.fault(c.Name, fmt.Errorf("%q: must be a number", text))
			}
			s.SetGauge(c.Gauge, v)
		}
		r.Samples = append(r.Samples, s)
	})
}

func (r *Recording) device(w *rows) measure.DeviceID {
	name := w.cell("device")
	for i := range r.Devices {
		if string(r.Devices[i].ID) == name {
			return r.Devices[i].ID
		}
	}
	w.fault("device", fmt.Errorf("%q: is not in host.json", name))
	return ""
}

// processColumns are the columns of processes.csv, of which the first three must
// be there.
var processColumns = []string{"time_ns", "device", "pid", "start_ns", "sm_util_pct", "mem_used_bytes", "cgroup"}

func (r *Recording) processes(data []byte) error {
	if data == nil {
		return nil
	}
	return walk("processes.csv", data, processColumns, processColumns[:3], func(w *rows) {
		p := Process{TimeNS: w.integer("time_ns"), Device: r.device(w), PID: int(w.integer("pid")), SMUtil: -1, MemoryBytes: -1, Cgroup: w.cell("cgroup")}
		if w.cell("mem_used_bytes") != "" {
			p.MemoryBytes = w.integer("mem_used_bytes")
		}
		if w.cell("start_ns") != "" {
			p.StartNS = w.integer("start_ns")
		}
		if text := w.cell("sm_util_pct"); text != "" {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v >= 0 && v <= 100) {
				w.fault("sm_util_pct", fmt.Errorf("%q: must be a number from 0 to 100", text))
			}
			p.SMUtil = v
		}
		r.Processes = append(r.Processes, p)
	})
}

// unzip decompresses within MaxBytes.
func unzip(r io.Reader) ([]byte, error) {
	zr, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	return bounded(zr)
}

func bounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("is longer than %d bytes", MaxBytes)
	}
	return data, nil
}
