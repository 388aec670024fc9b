package witness_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/witness"
	"github.com/flopwatch/flopwatch/bpf"
)

// The library of a process that holds a device is found by what it has mapped;
// the next process that sets up a communicator through it is told. Without a key
// nothing is probed.
func TestCommunicators(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("probing needs root")
	}
	folder := t.TempDir()
	lib, caller := filepath.Join(folder, "libnccl.so.2"), filepath.Join(folder, "caller")
	for _, args := range [][]string{
		{"-O2", "-shared", "-fPIC", "-o", lib, "../../../bpf/testdata/nccl.c"}, {"-O2", "-o", caller, "../../../bpf/testdata/caller.c", "-ldl"},
	} {
		if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
			t.Fatalf("cc: %v\n%s", err, out)
		}
	}
	w := witness.Open(t.Context(), witness.Config{Method: bpf.Programs, CommunicatorKey: []byte("a key of the fleet, for tests"), Log: slog.New(slog.DiscardHandler)})
	if w.By() != witness.ByBPF {
		t.Skipf("by %s", w.By())
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		wait.Wait()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	// A process that has the library mapped, and one that does not.
	holder := exec.Command("sh", "-c", "read line")
	holder.Env = append(os.Environ(), "LD_PRELOAD="+lib)
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	mapped := fmt.Sprintf("/proc/%d/maps", holder.Process.Pid)
	for range 100 {
		if text, err := os.ReadFile(mapped); err == nil && strings.Contains(string(text), "libnccl") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.WatchLibraries(t.Context(), []int{holder.Process.Pid, os.Getpid()})
	if err := exec.Command(caller, lib).Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := in.Write([]byte("end\n")); err != nil {
		t.Fatal(err)
	}
	if err := holder.Wait(); err != nil {
		t.Fatal(err)
	}
	var joined []witness.Joined
	for range 80 { // the ring is read every five seconds
		if joined = append(joined, w.TakeJoined()...); len(joined) >= 3 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if len(joined) != 3 || joined[0].Communicator.Ranks != 8 || joined[1].Communicator.Rank != 15 || joined[0].Communicator.Hash == joined[1].Communicator.Hash {
		t.Errorf("joined %+v", joined)
	}
	off := watch(t, bpf.Programs)
	off.WatchLibraries(t.Context(), []int{os.Getpid()})
}

func TestReadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, tt := range []struct {
		text string
		mode os.FileMode
		want string
	}{
		{"sixteen bytes at least\n", 0o600, ""},
		{"sixteen bytes at least\n", 0o644, "may be read by others"},
		{"short", 0o600, "shorter than 16 bytes"},
	} {
		if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, tt.mode); err != nil {
			t.Fatal(err)
		}
		key, err := witness.ReadKey(path)
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || err == nil && string(key) != "sixteen bytes at least" {
			t.Errorf("%q %o: %q, %v", tt.text, tt.mode, key, err)
		}
	}
	if _, err := witness.ReadKey(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a key that is not there is read")
	}
}
