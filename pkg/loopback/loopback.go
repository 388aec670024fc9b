// Package loopback serves what programs of the same machine may read without an
// account, such as metrics: on loopback addresses only, and under loopback names
// only, so that no page in a browser can reach it by another name.
package loopback

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// Serve answers on a loopback address until ctx ends. listening, if not nil, is
// told the address, which matters for port 0.
func Serve(ctx context.Context, address string, handler http.Handler, listening func(net.Addr)) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return fmt.Errorf("serve on %s: %w", address, err)
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("serve on %s: only a loopback address, such as 127.0.0.1:9400, is served", address)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve on %s: %w", address, err)
	}
	if listening != nil {
		listening(listener.Addr())
	}
	server := &http.Server{
		Handler: loopbackOnly(handler), MaxHeaderBytes: 16 << 10,
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
		return fmt.Errorf("serve on %s: %w", address, err)
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
