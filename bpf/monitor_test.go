package bpf

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
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
	// run runs the monitor in the background, until it has told something at least.
	run := func(ctx context.Context) chan error {
		told, done := make(chan bool, 1), make(chan error, 1)
		go func() {
			done <- m.Run(ctx, func(Event) {
				select {
				case told <- true:
				default:
				}
			})
		}()
		start(t, nil, syscall.SysProcAttr{}, self("sleep")...).wait()
		<-told
		return done
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := run(ctx)
	if err := m.Run(ctx, func(Event) {}); !errors.Is(err, errRunning) {
		t.Errorf("a second Run beside the first: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("the context ended: %v, want nil", err)
	}

	done = run(context.Background())
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed under way: %v, want os.ErrClosed", err)
	}
}
