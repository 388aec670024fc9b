// Package jobtrace reads tables of jobs: who ran what, where, from when to when.
//
// A trace is read as a whole before anything is done with it, and every fault is
// told with file, line and column, so that a file is either good or changes
// nothing. A table of published MLPerf Training results is recognised by its
// header and read as a trace that states no rates.
package jobtrace

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Limits of a trace.
const (
	MaxLine   = 64 << 10 // bytes
	MaxJobs   = 1_000_000
	MaxBytes  = 1 << 30 // uncompressed
	maxFaults = 100
)

// Job is one row of a trace.
type Job struct {
	ID          string
	Tenant      measure.TenantID
	Accelerator string // as the trace names it
	Hosts       int
	GPUsPerHost int
	StartNS     int64   // Unix nanoseconds
	EndNS       int64   // after StartNS
	MFU         float64 // share of the dense 16-bit peak, 0 if not stated
	OpsPerGPU   float64 // operations per second and device, 0 if not stated
	Kind        string  // training, inference, other or ""; for scoring only
	NetworkGbit float64 // network speed of the hosts, 0 if not stated
	RunHint     string

	// What hosts would have seen of the job beside its figures, "" where they saw
	// nothing. Equal words are one thing.
	Image           string
	Communicator    string
	ReadCheckpoint  string
	WroteCheckpoint string

	Model accel.Model
	Grade accel.Grade
}

// DeviceHours returns devices × hours.
func (j Job) DeviceHours() float64 {
	return float64(j.Hosts*j.GPUsPerHost) * float64(j.EndNS-j.StartNS) / 3.6e12
}

// Trace is a table of jobs in the order of the file.
type Trace struct {
	Name     string
	Jobs     []Job
	Warnings []string // accelerators that are not in the catalogue, rows that were mended
}

// Open reads the trace at path, plain or gzipped. A folder stands for the
// runs.csv.gz or runs.csv in it.
func Open(path string) (*Trace, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		for _, name := range []string{"runs.csv.gz", "runs.csv", "jobs.csv.gz", "jobs.csv"} {
			if _, err := os.Stat(filepath.Join(path, name)); err == nil {
				return Open(filepath.Join(path, name))
			}
		}
		return nil, fmt.Errorf("open job trace %s: the folder holds no runs.csv or jobs.csv", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open job trace: %w", err)
	}
	defer file.Close()
	buffered := bufio.NewReader(file)
	var r io.Reader = buffered
	if head, _ := buffered.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("open job trace %s: %w", path, err)
		}
		r = unzipped
	}
	return Read(filepath.Base(path), r)
}

// Read reads a trace. The error joins all faults, at most a hundred.
func Read(name string, r io.Reader) (*Trace, error) {
	lines := &lineReader{r: bufio.NewReaderSize(r, MaxLine), name: name}
	header, err := lines.record()
	if errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:1: the file is empty; a header is required", name)
	}
	if err != nil {
		return nil, err
	}
	p := &parser{name: name, trace: &Trace{Name: name}, seen: map[string]int{}, warned: map[string]bool{}}
	row := p.jobRow
	if isPublished(header) {
		row = p.publishedRow
	} else {
		p.header(header)
	}
	if len(p.faults) > 0 {
		return nil, errors.Join(p.faults...)
	}
	p.columns = header
	for len(p.faults) < maxFaults {
		cells, err := lines.record()
		if errors.Is(err, io.EOF) {
			break
		}
		p.line = lines.line
		switch {
		case err != nil:
			p.faults = append(p.faults, err)
			if lines.broken {
				return nil, errors.Join(p.faults...)
			}
		case len(cells) != len(header):
			p.fault("", fmt.Errorf("%d cells, the header has %d", len(cells), len(header)))
		default:
			row(cells)
		}
		if len(p.trace.Jobs) > MaxJobs {
			return nil, fmt.Errorf("%s:%d: more than %d jobs", name, p.line, MaxJobs)
		}
	}
	if len(p.faults) > 0 {
		return nil, errors.Join(p.faults...)
	}
	if len(p.trace.Jobs) == 0 {
		return nil, fmt.Errorf("%s: no jobs after the header", name)
	}
	return p.trace, nil
}

// lineReader reads CSV line by line with a bound, so that one endless line
// costs no memory. A quoted cell may not hold a line break.
type lineReader struct {
	r      *bufio.Reader
	name   string
	line   int
	bytes  int64
	broken bool // the stream cannot be read on
}

func (l *lineReader) record() ([]string, error) {
	for {
		raw, err := l.r.ReadSlice('\n')
		l.line++
		l.bytes += int64(len(raw))
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			l.broken = true
			return nil, fmt.Errorf("%s:%d: line is longer than %d bytes", l.name, l.line, MaxLine)
		case err != nil && !errors.Is(err, io.EOF):
			l.broken = true
			return nil, fmt.Errorf("%s:%d: read: %w", l.name, l.line, err)
		case l.bytes > MaxBytes:
			l.broken = true
			return nil, fmt.Errorf("%s:%d: file is longer than %d bytes", l.name, l.line, MaxBytes)
		case errors.Is(err, io.EOF) && len(raw) == 0:
			return nil, io.EOF
		}
		text := strings.TrimRight(string(raw), "\r\n")
		if text == "" {
			continue
		}
		if !utf8.ValidString(text) {
			return nil, fmt.Errorf("%s:%d: not UTF-8", l.name, l.line)
		}
		cells, err := csv.NewReader(strings.NewReader(text)).Read()
		if err != nil {
			return nil, fmt.Errorf("%s:%d: not CSV: %w", l.name, l.line, err)
		}
		return cells, nil
	}
}

// plain reports whether a text may become an id or a label: short, and without
// characters that change what a person reads.
func plain(s string) bool {
	if len(s) > 200 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) })
}

// Hosts returns the number of simulated hosts, and Devices of devices.
func (t *Trace) Size() (hosts, devices int) {
	for _, j := range t.Jobs {
		hosts += j.Hosts
		devices += j.Hosts * j.GPUsPerHost
	}
	return hosts, devices
}

var columns = []string{"job_id", "tenant", "accelerator", "hosts", "gpus_per_host", "start", "end",
	"mfu", "ops_per_gpu_s", "kind", "network_gbit_s", "run_hint", "image", "communicator", "checkpoint_read", "checkpoint_written"}

const required = 7

func (p *parser) header(header []string) {
	p.line = 1
	for i, column := range header {
		if !slices.Contains(columns, column) {
			p.fault(column, errors.New("unknown column"))
		} else if slices.Index(header, column) != i {
			p.fault(column, errors.New("column is there twice"))
		}
	}
	for _, column := range columns[:required] {
		if !slices.Contains(header, column) {
			p.fault(column, errors.New("column is missing"))
		}
	}
}
