// Package monitor tells those who run a collector how it does: is it alive, is it
// ready, and the figures that alerts are made of. It names no tenant, customer or
// person, and needs no account, so it is for loopback only.
package monitor

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Source is what the figures come from. Its errors make a scrape incomplete and
// the collector not ready; they are counted and never shown.
type Source interface {
	Status(ctx context.Context) (desk.Status, error)
	Hosts(ctx context.Context) ([]desk.Host, error)
	Cases(ctx context.Context) ([]desk.Case, error)
	// FindingCounts returns how many findings there are of each severity.
	FindingCounts(ctx context.Context) (map[string]int64, error)
}

// Options of a handler.
type Options struct {
	Source Source
	// Connected says whether the broker can be reached.
	Connected func() bool
	// DiskFree returns the bytes that are free where the data lies.
	DiskFree func() (uint64, error)
	Version  string
	Now      func() time.Time // nil is the real clock
}

// answerTimeout bounds a question of readiness and a scrape.
const answerTimeout = 10 * time.Second

// Handler serves /healthz (the process answers), /readyz (store and broker
// answer, else 503) and /metrics.
func Handler(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), newFigures(o))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), answerTimeout)
		defer cancel()
		if _, err := o.Source.Status(ctx); err != nil {
			answer(w, http.StatusServiceUnavailable, "the store does not answer\n")
		} else if !o.Connected() {
			answer(w, http.StatusServiceUnavailable, "the broker does not answer\n")
		} else {
			answer(w, http.StatusOK, "ready\n")
		}
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: answerTimeout, MaxRequestsInFlight: 4}))
	return mux
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // who asked and went away does not need the answer
}
