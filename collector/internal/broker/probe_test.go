package broker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

// smallDisk is a file system of so many MiB.
func smallDisk(t *testing.T, mib int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", mib)); err != nil {
		t.Skipf("no file system of its own (are you root?): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestProbeOfAHealthyBroker(t *testing.T) {
	b := start(t, Options{Dir: t.TempDir()})
	for range maxProbes + 3 { // nobody consumes
		if err := b.Probe(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := stored(t, b, wire.BatchSubject(wire.ProbeHost)); n != maxProbes {
		t.Errorf("%d probes wait", n)
	}
}

// A store that met the end of its disk takes nothing, also when there is room
// again; the probe sees it, and a start anew brings it back on the same address
// with what it had.
func TestStuckStoreIsSeenAndRestarted(t *testing.T) {
	dir := smallDisk(t, 24)
	b := start(t, Options{Dir: dir, MaxPerHost: 10_000, MaxBytes: 64 << 20})
	if err := b.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := b.URL()
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	c, _ := agent(t, b)
	for range 64 { // what is left in the pages of open files is used up
		publish(t, c, &nats.Msg{Subject: wire.BatchSubject("a"), Data: make([]byte, 256<<10)})
	}
	err := b.Probe(t.Context())
	if !errors.Is(err, ErrStuck) {
		t.Fatalf("a full disk: %v", err)
	}
	t.Logf("seen: %v", err)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond)
	t.Logf("with room again: %v", b.Probe(t.Context()))
	kept := stored(t, b, wire.BatchSubject("a"))
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := b.Probe(t.Context()); err != nil {
		t.Errorf("after the restart: %v", err)
	}
	if b.URL() != before {
		t.Errorf("agents look at %s, it listens on %s", before, b.URL())
	}
	again, _ := agent(t, b)
	publish(t, again, &nats.Msg{Subject: wire.BatchSubject("b"), Data: []byte("y")})
	waitStored(t, b, wire.BatchSubject("b"), 1)
	if n := stored(t, b, wire.BatchSubject("a")); n > kept {
		t.Errorf("%d messages of %d", n, kept)
	}
}

func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 64<<10)
	for len(chunk) > 0 {
		if _, err := f.Write(chunk); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			chunk = chunk[:len(chunk)/2]
		}
	}
	if err := f.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}
