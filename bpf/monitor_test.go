package bpf

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

func TestConfig(t *testing.T) {
	for want, config := range map[string]Config{
		"method":       {Method: "guess"},
		"65 majors":    {Devices: true, Majors: make([]uint32, 65)},
		"Devices":      {Majors: []uint32{195}},
		"flows":        {Flows: -1},
		"key":          {CommunicatorKey: []byte("short")},
		"power of two": {RingBytes: 5000},
		"negative":     {Interval: -time.Second},
	} {
		if m, err := Open(config); err == nil {
			t.Errorf("%+v is taken: %v", config, m.Close())
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not name %q", err, want)
		}
	}
}

// Open and Close leave nothing behind, whatever was watched; TestMain looks after
// the rest.
func TestCloseReleasesAll(t *testing.T) {
	config := Config{Devices: true, Majors: []uint32{nvidia}, Flows: 16, CommunicatorKey: make([]byte, 32), RingBytes: 4096}
	for i := range 3 {
		before := descriptors()
		m := openMonitor(t, config)
		library, _ := stands(t)
		if _, err := m.WatchCommunicators(0, library); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Holders(); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		if after := descriptors(); i > 0 && after != before {
			t.Errorf("%d descriptors after Close, %d before Open", after, before)
		}
	}
}

func TestRunEnds(t *testing.T) {
	m := openMonitor(t, Config{Interval: time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx, func(Event) {}) }()
	// Until the first runs, the second does: it is stopped by a context that ended.
	for ended, end := context.WithCancel(context.Background()); ; {
		end()
		if err := m.Run(ended, func(Event) {}); errors.Is(err, errRunning) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the context ended: %v, want nil", err)
	}

	go func() { done <- m.Run(context.Background(), func(Event) {}) }()
	time.Sleep(10 * time.Millisecond)
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed under way: %v, want os.ErrClosed", err)
	}
}
