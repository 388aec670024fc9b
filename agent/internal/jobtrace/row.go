package jobtrace

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

const (
	maxHosts    = 1_000_000
	maxDuration = 20 * 365 * 24 * time.Hour
)

// parser collects jobs and faults.
type parser struct {
	name    string
	line    int
	columns []string
	trace   *Trace
	faults  []error
	seen    map[string]int // job id → line
	warned  map[string]bool
}

func (p *parser) fault(column string, err error) {
	place := fmt.Sprintf("%s:%d", p.name, p.line)
	if column != "" {
		place += ": " + column
	}
	p.faults = append(p.faults, fmt.Errorf("%s: %w", place, err))
}

func (p *parser) warn(text string) {
	if !p.warned[text] {
		p.warned[text] = true
		p.trace.Warnings = append(p.trace.Warnings, text)
	}
}

func (p *parser) cell(cells []string, column string) string {
	if i := slices.Index(p.columns, column); i >= 0 {
		return cells[i]
	}
	return ""
}

// jobRow reads one row of the job-trace format.
func (p *parser) jobRow(cells []string) {
	before := len(p.faults)
	j := Job{
		ID:          p.text(cells, "job_id", true),
		Tenant:      measure.TenantID(p.text(cells, "tenant", true)),
		Accelerator: p.text(cells, "accelerator", true),
		Hosts:       p.count(cells, "hosts", maxHosts),
		GPUsPerHost: p.count(cells, "gpus_per_host", wire.MaxDevices),
		StartNS:     p.time(cells, "start"),
		EndNS:       p.time(cells, "end"),
		MFU:         p.number(cells, "mfu", 1),
		OpsPerGPU:   p.number(cells, "ops_per_gpu_s", 1e18),
		Kind:        p.text(cells, "kind", false),
		NetworkGbit: p.number(cells, "network_gbit_s", 1e9),
		RunHint:     p.text(cells, "run_hint", false),

		Image:           p.word(cells, "image"),
		Communicator:    p.word(cells, "communicator"),
		ReadCheckpoint:  p.word(cells, "checkpoint_read"),
		WroteCheckpoint: p.word(cells, "checkpoint_written"),
	}
	if j.Kind != "" && j.Kind != "training" && j.Kind != "inference" && j.Kind != "other" {
		p.fault("kind", fmt.Errorf("%q: must be training, inference or other", j.Kind))
	}
	if j.MFU > 0 && j.OpsPerGPU > 0 {
		p.fault("ops_per_gpu_s", errors.New("mfu is given too: one of the two"))
	}
	if len(p.faults) > before {
		return
	}
	if j.EndNS <= j.StartNS {
		p.fault("end", errors.New("is not after start"))
	} else if time.Duration(j.EndNS-j.StartNS) > maxDuration {
		p.fault("end", errors.New("is more than 20 years after start"))
	}
	p.add(j)
}

// add takes a job whose cells are good.
func (p *parser) add(j Job) {
	if line, twice := p.seen[j.ID]; twice {
		p.fault("job_id", fmt.Errorf("%q is also in line %d", j.ID, line))
		return
	}
	p.seen[j.ID] = p.line
	j.Model, j.Grade, _ = accel.Lookup(accel.Identity{Name: j.Accelerator})
	if j.Grade == accel.Derived {
		p.warn(fmt.Sprintf("accelerator %q is not in the catalogue: kept with grade derived, its ceiling is the catalogue's largest", j.Accelerator))
	}
	if j.OpsPerGPU > j.Model.Ceiling().OpsPerSecond() {
		p.fault("ops_per_gpu_s", fmt.Errorf("%g is more than %s can do (%g)", j.OpsPerGPU, j.Accelerator, j.Model.Ceiling().OpsPerSecond()))
		return
	}
	p.trace.Jobs = append(p.trace.Jobs, j)
}

func (p *parser) text(cells []string, column string, must bool) string {
	s := p.cell(cells, column)
	if must && s == "" {
		p.fault(column, errors.New("is empty"))
	} else if !plain(s) {
		p.fault(column, errors.New("is longer than 200 bytes or holds control, direction or zero-width characters"))
	}
	return s
}

// word reads an optional word of a sign.
func (p *parser) word(cells []string, column string) string {
	s := p.text(cells, column, false)
	if len(s) > measure.MaxSignWord || strings.ContainsFunc(s, unicode.IsSpace) {
		p.fault(column, fmt.Errorf("%q: must be at most %d bytes without spaces", s, measure.MaxSignWord))
	}
	return s
}

func (p *parser) count(cells []string, column string, most int) int {
	s := p.cell(cells, column)
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		p.fault(column, fmt.Errorf("%q: must be a whole number from 1 to %d", s, most))
	}
	return n
}

// number reads an optional number above zero; an empty cell is 0, not stated.
func (p *parser) number(cells []string, column string, most float64) float64 {
	s := p.cell(cells, column)
	if s == "" {
		return 0
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil || !(v > 0) || v > most {
		p.fault(column, fmt.Errorf("%q: must be a number above 0 and at most %g", s, most))
		return 0
	}
	return v
}

// time reads RFC 3339 or Unix seconds, between 1970 and 2200.
func (p *parser) time(cells []string, column string) int64 {
	s := p.cell(cells, column)
	if at, err := time.Parse(time.RFC3339Nano, s); err == nil && at.Year() >= 1970 && at.Year() < 2200 {
		return at.UnixNano()
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || !(seconds >= 0) || seconds > 7e9 {
		p.fault(column, fmt.Errorf("%q: must be RFC 3339 or Unix seconds between 1970 and 2200", s))
		return 0
	}
	whole, fraction := math.Modf(seconds)
	return int64(whole)*1e9 + int64(math.Round(fraction*1e9))
}
