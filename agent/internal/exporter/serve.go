package exporter

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/flopwatch/flopwatch/pkg/loopback"
)

// contentType is Prometheus' text format.
const contentType = "text/plain; version=0.0.4; charset=utf-8"

// Serve answers GET /metrics on a loopback address until ctx ends. listening is
// told the address, which matters for port 0.
func (e *Exporter) Serve(ctx context.Context, address string, listening func(net.Addr)) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", e)
	if err := loopback.Serve(ctx, address, mux, listening); err != nil {
		return fmt.Errorf("serve metrics: %w", err)
	}
	return nil
}

// ServeHTTP writes all metrics.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", contentType)
	_, _ = e.WriteTo(w) // a scraper that went away is no fault of ours
}
