package exporter_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestServe(t *testing.T) {
	e := filled()
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "10.0.0.1:0", "localhost.evil.example:0", "9400"} {
		if err := e.Serve(t.Context(), address, nil); err == nil || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v", address, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	bound, done := make(chan net.Addr, 1), make(chan error, 1)
	go func() { done <- e.Serve(ctx, "127.0.0.1:0", func(a net.Addr) { bound <- a }) }()
	url := "http://" + (<-bound).String() + "/metrics"
	get := func(method, url, host string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			r.Host = host
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	if status, body := get("GET", url, ""); status != 200 || body != text(t, e) {
		t.Errorf("GET gives %d", status)
	}
	if status, _ := get("GET", url, "evil.example"); status != http.StatusMisdirectedRequest {
		t.Errorf("another name gives %d", status)
	}
	if status, _ := get("POST", url, ""); status != http.StatusMethodNotAllowed {
		t.Errorf("POST gives %d", status)
	}
	for _, host := range []string{"LOCALHOST:9400", "127.0.0.7", "[::1]", "[::1]:9400"} {
		if status, _ := get("GET", url, host); status != http.StatusOK {
			t.Errorf("%s gives %d", host, status)
		}
	}
	for _, host := range []string{"127.0.0.1.evil.example", "localhost.evil.example:9400", "10.0.0.1", "[fe80::1]:9400"} {
		if status, _ := get("GET", url, host); status != http.StatusMisdirectedRequest {
			t.Errorf("%s gives %d", host, status)
		}
	}
	if status, _ := get("GET", strings.TrimSuffix(url, "/metrics")+"/debug/pprof/", ""); status != http.StatusNotFound {
		t.Errorf("another path gives %d", status)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A reader that does not read does not hold the sample loop up.
func TestSlowReader(t *testing.T) {
	e := filled()
	crowd(e, 2_000)
	entered, proceed := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		_, err := e.WriteTo(slow{entered, proceed})
		done <- err
	}()
	<-entered
	e.Read(readings()) // would not return if the lock were held
	close(proceed)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

type slow struct{ entered, proceed chan struct{} }

func (s slow) Write(b []byte) (int, error) {
	select {
	case s.entered <- struct{}{}:
	case <-s.proceed:
	}
	<-s.proceed
	return len(b), nil
}
