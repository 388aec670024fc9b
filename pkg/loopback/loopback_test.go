package loopback_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/pkg/loopback"
)

func TestOnlyLoopbackAddresses(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "[::]:0", "10.0.0.1:0", "localhost.evil.example:0", "9400"} {
		if err := loopback.Serve(t.Context(), address, http.NotFoundHandler(), nil); err == nil || !strings.Contains(err.Error(), address) {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// A request that does not end is broken off: the program must be able to stop.
func TestStopsDuringARequest(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	bound, entered, done := make(chan net.Addr, 1), make(chan struct{}), make(chan error, 1)
	hang := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
	})
	go func() { done <- loopback.Serve(ctx, "127.0.0.1:0", hang, func(a net.Addr) { bound <- a }) }()
	url := "http://" + (<-bound).String()
	asked := make(chan error, 1)
	go func() {
		response, err := http.Get(url)
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			err = response.Body.Close()
		}
		asked <- err
	}()
	<-entered
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("still serving")
	}
	if err := <-asked; err != nil {
		t.Logf("the request was broken off: %v", err)
	}
}
