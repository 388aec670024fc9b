package exporter

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// sumsPerPage is how many sums are rendered under the lock at a time. A scrape
// of all of them would hold megabytes, and the sample loop up.
const sumsPerPage = 64

// WriteTo writes all metrics in Prometheus' text format. It holds no lock while
// it writes, so that a slow reader does not hold the sample loop up.
func (e *Exporter) WriteTo(w io.Writer) (int64, error) {
	p := pager{w: w}
	e.mu.Lock()
	p.b = e.renderDevices(p.b, e.now())
	p.b = e.renderAgent(p.b)
	order := e.sums.order
	e.mu.Unlock()
	p.b = head(p.b, "flopwatch_operations_total", "counter", "Integer and floating-point operations since the agent started, with bounds")
	p.sums(e, order, (*Exporter).appendOperations)
	p.b = head(p.b, "flopwatch_device_seconds_total", "counter", "Device time since the agent started, by what it was")
	p.sums(e, order, (*Exporter).appendSeconds)
	p.flush()
	if p.err != nil {
		return p.n, fmt.Errorf("write metrics: %w", p.err)
	}
	return p.n, nil
}

// pager writes what was rendered and uses the memory again.
type pager struct {
	w   io.Writer
	b   []byte
	n   int64
	err error
}

func (p *pager) flush() {
	if p.err == nil {
		var n int
		n, p.err = p.w.Write(p.b)
		p.n += int64(n)
	}
	p.b = p.b[:0]
}

func (p *pager) sums(e *Exporter, order []*sum, render func(*Exporter, []byte, *sum) []byte) {
	for len(order) > 0 && p.err == nil {
		page := order[:min(sumsPerPage, len(order))]
		order = order[len(page):]
		e.mu.Lock()
		for _, s := range page {
			p.b = render(e, p.b, s)
		}
		e.mu.Unlock()
		p.flush()
	}
}

func (e *Exporter) renderDevices(b []byte, now time.Time) []byte {
	for i := range metrics {
		m := &metrics[i]
		b = e.renderMetric(b, m, m.dcgm, m.dcgmUnit, m.dcgmScale, now)
		b = e.renderMetric(b, m, m.own, m.ownUnit, m.ownScale, now)
	}
	b = head(b, "flopwatch_device_up", "gauge", "1 while the device answers")
	for _, d := range e.devices {
		b = append(b, "flopwatch_device_up{"+d.labels+"} "...)
		if d.shown(now) {
			b = append(b, "1\n"...)
		} else {
			b = append(b, "0\n"...)
		}
	}
	headed := false
	for _, d := range e.devices {
		if d.readAt.IsZero() {
			continue
		}
		if !headed {
			b, headed = head(b, "flopwatch_sample_age_seconds", "gauge", "Time since the device answered, in s"), true
		}
		b = append(b, "flopwatch_sample_age_seconds{"+d.labels+"} "...)
		b = appendFloat(b, now.Sub(d.readAt).Seconds())
	}
	return b
}

// renderMetric renders a metric under one of its names. A metric that no device
// has is left out whole.
func (e *Exporter) renderMetric(b []byte, m *metric, name, unit string, scale float64, now time.Time) []byte {
	kind, headed := "gauge", false
	if m.counter {
		kind = "counter"
	}
	for _, d := range e.devices {
		v, ok := m.value(d)
		if !ok || !d.shown(now) {
			continue
		}
		if !headed {
			b, headed = head(b, name, kind, m.help+unit), true
		}
		b = append(b, name+"{"+d.labels...)
		if !m.counter {
			// On a counter the label would count twice: when the holder changes and
			// changes back, each series shows the growth of the time between.
			b = append(b, `,tenant="`+d.holder+`"`...)
		}
		b = append(b, "} "...)
		b = appendFloat(b, v*scale)
	}
	return b
}

func (e *Exporter) renderAgent(b []byte) []byte {
	b = head(b, "flopwatch_agent_info", "gauge", "1, with the agent's version")
	b = append(b, `flopwatch_agent_info{version="`+e.version+`"} 1`+"\n"...)
	if e.waiting >= 0 {
		b = head(b, "flopwatch_spool_batches", "gauge", "Batches on this host without a receipt")
		b = append(b, "flopwatch_spool_batches "+strconv.Itoa(e.waiting)+"\n"...)
	}
	b = head(b, "flopwatch_series_overflow_total", "counter", "Entries of windows that were added to tenant _other because there were too many series")
	b = append(b, "flopwatch_series_overflow_total "+strconv.FormatInt(e.sums.overflow, 10)+"\n"...)
	b = head(b, "flopwatch_series_dropped_total", "counter", "Series that had not grown for a day and were dropped to make room")
	return append(b, "flopwatch_series_dropped_total "+strconv.FormatInt(e.sums.dropped, 10)+"\n"...)
}

func (e *Exporter) appendOperations(b []byte, s *sum) []byte {
	if !s.hasOperations() {
		return b
	}
	for _, bound := range [...]struct {
		name string
		ops  compute.Operations
	}{{"low", s.ops.Low}, {"best", s.ops.Best}, {"high", s.ops.High}} {
		b = append(b, "flopwatch_operations_total{"...)
		b = e.appendSumLabels(b, &s.key)
		b = append(b, `,bound="`+bound.name+`"} `...)
		b = append(b, bound.ops.Decimal()...)
		b = append(b, '\n')
	}
	return b
}

func (e *Exporter) appendSeconds(b []byte, s *sum) []byte {
	b = append(b, "flopwatch_device_seconds_total{"...)
	b = e.appendSumLabels(b, &s.key)
	b = append(b, "} "...)
	return appendFloat(b, s.time.Seconds())
}

// appendSumLabels renders the labels of a sum. A device that is gone keeps its
// id.
func (e *Exporter) appendSumLabels(b []byte, key *sumKey) []byte {
	if d := e.byID[string(key.device)]; d != nil {
		b = append(b, d.labels...)
	} else {
		b = append(b, `UUID="`+label(string(key.device))+`",Hostname="`+e.hostname+`"`...)
	}
	return append(b, `,tenant="`+label(string(key.tenant))+`",state="`+key.state.String()+`",method="`+label(string(key.method))+
		`",precision_class="`+label(key.precision)+`",grade="`+label(key.grade)+`"`...)
}

func head(b []byte, name, kind, help string) []byte {
	return append(b, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"...)
}

// appendFloat ends a line with a value, without the digits that scaling makes
// up: 0.001 is not a binary fraction.
func appendFloat(b []byte, v float64) []byte {
	const digits = 15
	return append(strconv.AppendFloat(b, v, 'g', digits, 64), '\n')
}
