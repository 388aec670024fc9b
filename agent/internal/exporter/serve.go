package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// contentType is Prometheus' text format.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// Serve answers GET /metrics on a loopback address until ctx ends. listening is
// told the address, which matters for port 0.
func (e *Exporter) Serve(ctx context.Context, address string, listening func(net.Addr)) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("serve metrics on %s: %w", address, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("serve metrics on %s: only a loopback address, such as 127.0.0.1:9400, is served", address)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	if listening != nil {
		listening(listener.Addr())
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", e)
	server := &http.Server{Handler: loopbackOnly(mux), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		if server.Shutdown(closing) != nil { // a scrape that does not end is broken off
			err = server.Close()
		}
		cancel()
		err = errors.Join(err, <-served)
	}
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics on %s: %w", address, err)
	}
	return nil
}

// loopbackOnly refuses requests by another name, which a page in a browser on
// this host could make.
func loopbackOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, err := net.SplitHostPort(r.Host)
		if err != nil {
			host = r.Host
		}
		if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "only loopback names are served", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP writes all metrics.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(e.render(nil)) // a scraper that went away is no fault of ours
}

// WriteTo writes all metrics.
func (e *Exporter) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(e.render(nil))
	if err != nil {
		return int64(n), fmt.Errorf("write metrics: %w", err)
	}
	return int64(n), nil
}

func (e *Exporter) render(b []byte) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range gauges {
		g := &gauges[i]
		kind := "gauge"
		if g.counter {
			kind = "counter"
		}
		headed := false
		for _, d := range e.devices {
			if !d.seen || !d.up {
				continue
			}
			if v, ok := g.value(d); ok {
				if !headed {
					b, headed = head(b, g.name, kind, g.help), true
				}
				b = append(b, g.name+"{"+d.labels+`,tenant="`+label(string(d.tenant))+`"} `...)
				b = strconv.AppendFloat(b, v, 'g', -1, 64)
				b = append(b, '\n')
			}
		}
	}
	b = head(b, "flopwatch_device_up", "gauge", "1 while the device answers")
	for _, d := range e.devices {
		b = append(b, "flopwatch_device_up{"+d.labels+"} "...)
		b = append(b, "01"[bit(d.up)], '\n')
	}
	b = e.renderSums(b)
	b = head(b, "flopwatch_agent_info", "gauge", "1, with the agent's version")
	b = append(b, `flopwatch_agent_info{version="`+label(e.version)+`"} 1`+"\n"...)
	if e.waiting >= 0 {
		b = head(b, "flopwatch_spool_batches", "gauge", "Batches on this host without a receipt")
		b = append(b, "flopwatch_spool_batches "+strconv.Itoa(e.waiting)+"\n"...)
	}
	b = head(b, "flopwatch_series_overflow_total", "counter", "Sums that went to a series without a tenant because there were too many")
	return append(b, "flopwatch_series_overflow_total "+strconv.FormatInt(e.overflow, 10)+"\n"...)
}

func bit(v bool) int {
	if v {
		return 1
	}
	return 0
}

func (e *Exporter) renderSums(b []byte) []byte {
	b = head(b, "flopwatch_operations_total", "counter", "Integer and floating-point operations since the agent started, with bounds")
	for _, key := range e.order {
		s := e.sums[key]
		if key.method == measure.NoMethod && s.ops == (compute.Bounds{}) {
			continue
		}
		for _, bound := range [...]struct {
			name string
			ops  compute.Operations
		}{{"low", s.ops.Low}, {"best", s.ops.Best}, {"high", s.ops.High}} {
			b = append(b, "flopwatch_operations_total{"...)
			b = e.sumLabels(b, key)
			b = append(b, `,bound="`+bound.name+`"} `...)
			b = append(b, bound.ops.Decimal()...)
			b = append(b, '\n')
		}
	}
	b = head(b, "flopwatch_device_seconds_total", "counter", "Device time since the agent started, by what it was")
	for _, key := range e.order {
		b = append(b, "flopwatch_device_seconds_total{"...)
		b = e.sumLabels(b, key)
		b = append(b, "} "...)
		b = strconv.AppendFloat(b, e.sums[key].time.Seconds(), 'f', -1, 64)
		b = append(b, '\n')
	}
	return b
}

// sumLabels renders the labels of a sum. A device that is gone keeps its id.
func (e *Exporter) sumLabels(b []byte, key sumKey) []byte {
	if d := e.byID[key.device]; d != nil {
		b = append(b, d.labels...)
	} else {
		b = append(b, `UUID="`+label(string(key.device))+`",Hostname="`+label(e.hostname)+`"`...)
	}
	return append(b, `,tenant="`+label(string(key.tenant))+`",state="`+key.state.String()+`",method="`+string(key.method)+
		`",precision_class="`+label(key.precision)+`",grade="`+label(key.grade)+`"`...)
}

func head(b []byte, name, kind, help string) []byte {
	return append(b, "# HELP "+name+" "+help+"\n# TYPE "+name+" "+kind+"\n"...)
}
