package exporter

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
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
	server := &http.Server{
		Handler: loopbackOnly(mux), MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second,
		IdleTimeout: 2 * time.Minute, // longer than scrapers wait between two scrapes
	}
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
		if !isLoopback(r.Host) {
			http.Error(w, "only loopback names are served", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isLoopback reports whether a Host header names this host: with or without a
// port, and IPv6 addresses in brackets.
func isLoopback(name string) bool {
	host, _, err := net.SplitHostPort(name)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(name, "["), "]")
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// ServeHTTP writes all metrics.
func (e *Exporter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", contentType)
	_, _ = e.WriteTo(w) // a scraper that went away is no fault of ours
}
