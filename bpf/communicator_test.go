package bpf

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/link"
)

// stands are the stand-in for NCCL and the program that calls it: built here, or
// built before for a host without a compiler.
func stands(t *testing.T) (library, caller string) {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		library, caller = "testdata/built/libnccl.so.2", "testdata/built/caller"
		if _, err := os.Stat(library); err != nil {
			t.Skipf("needs a C compiler, or %s: %v", library, err)
		}
	} else {
		folder := t.TempDir()
		library, caller = filepath.Join(folder, "libnccl.so.2"), filepath.Join(folder, "caller")
		for _, args := range [][]string{
			{"-O2", "-shared", "-fPIC", "-o", library, "testdata/nccl.c"},
			{"-O2", "-o", caller, "testdata/caller.c", "-ldl"},
		} {
			if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
				t.Fatalf("cc %v: %v: %s", args, err, out)
			}
		}
	}
	if library, err = filepath.Abs(library); err != nil {
		t.Fatal(err)
	}
	if caller, err = filepath.Abs(caller); err != nil {
		t.Fatal(err)
	}
	return library, caller
}

// A process in another mount namespace sets up communicators through a library
// that only it can see.
func TestCommunicators(t *testing.T) {
	key := []byte("a key of the fleet, 32 bytes long")
	m := openMonitor(t, Config{CommunicatorKey: key})
	r := watch(t, m)
	library, caller := stands(t)
	folder, group := t.TempDir(), newCgroup(t)
	begin := func() *process {
		p := start(t, group, syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}, self("mounts", folder, library, caller)...)
		if line := p.line(); line != "ready" {
			t.Fatal(line)
		}
		return p
	}
	p := begin()
	if _, err := os.Stat(filepath.Join(folder, "libnccl.so.2")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the library is visible outside: %v", err)
	}
	w, err := m.WatchCommunicators(p.pid(), filepath.Join(folder, "libnccl.so.2"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	p.wait()
	joins := r.find(3, "joins", func(e Event) bool { return e.Kind == Joined && e.PID == p.pid() })
	for i, want := range []Communicator{{Ranks: 8, Rank: 3}, {Ranks: 16, Rank: 15}, {Ranks: 1024, Rank: 512}} {
		id := make([]byte, 128)
		for j := range id {
			id[j] = byte(i + j)
		}
		mac := hmac.New(sha256.New, key)
		mac.Write(id)
		want.Hash = [32]byte(mac.Sum(nil))
		if joins[i].Communicator != want || joins[i].Cgroup != group.id || joins[i].Start == 0 {
			t.Errorf("join %d is %+v, want %+v in cgroup %d", i, joins[i], want, group.id)
		}
	}
	// The library is let go: nothing is told any more.
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	q := begin()
	if _, err := q.in.Write([]byte("go\n")); err != nil {
		t.Fatal(err)
	}
	q.wait()
	r.find(1, "exit", func(e Event) bool { return e.Kind == Exited && e.PID == q.pid() })
	for _, e := range r.all() {
		if e.Kind == Joined && e.PID == q.pid() {
			t.Errorf("a join is told after Close: %+v", e)
		}
	}
}

// What a container puts in the way of its library harms nobody.
func TestCommunicatorsHostilePaths(t *testing.T) {
	m := openMonitor(t, Config{CommunicatorKey: make([]byte, 32)})
	folder := t.TempDir()
	fifo, text, loop := filepath.Join(folder, "fifo"), filepath.Join(folder, "text"), filepath.Join(folder, "loop")
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.WriteFile(text, []byte("not a library"), 0o600), os.Symlink(loop, loop)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{fifo, text, loop, folder, "", "/proc/self/exe/..", "/proc/self/exe"} {
		if w, err := m.WatchCommunicators(os.Getpid(), path); err == nil {
			t.Errorf("%q is watched: %v", path, w.Close())
		}
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.WatchCommunicators(0, program); !errors.Is(err, link.ErrNoSymbol) {
		t.Errorf("a program without NCCL: %v, want ErrNoSymbol", err)
	}
}
