package control_test

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/control"
)

// serve answers requests until the test ends.
func serve(t *testing.T, folder string, handle func(control.Request) control.Reply) *control.Server {
	t.Helper()
	s, err := control.Listen(folder)
	if err != nil {
		t.Fatal(err)
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				s.Answer(handle)
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-stopped
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConversation(t *testing.T) {
	folder := t.TempDir()
	if _, err := control.Ask(t.Context(), folder, control.Request{Status: true}); err == nil || !strings.Contains(err.Error(), "is one running on this folder?") {
		t.Errorf("no agent: %v", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "control.sock"), nil, 0o600); err != nil { // left behind
		t.Fatal(err)
	}
	serve(t, folder, func(r control.Request) control.Reply {
		if slices.Contains(r.Release, "bad") {
			return control.Reply{Error: "no such device"}
		}
		return control.Reply{Released: r.Release, Until: r.For.String()}
	})
	reply, err := control.Ask(t.Context(), folder, control.Request{Release: []string{"all"}, For: time.Minute})
	if err != nil || !slices.Equal(reply.Released, []string{"all"}) || reply.Until != "1m0s" {
		t.Errorf("reply %+v, %v", reply, err)
	}
	if _, err := control.Ask(t.Context(), folder, control.Request{Release: []string{"bad"}}); err == nil || err.Error() != "no such device" {
		t.Errorf("a refused request: %v", err)
	}
	if info, err := os.Stat(filepath.Join(folder, "control.sock")); err != nil || info.Mode().Perm() != 0o700&^0o077 && info.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v: want it closed to others", info.Mode(), err)
	}
	if _, err := control.Listen(folder); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second agent: %v", err)
	}
}

func TestHostileCaller(t *testing.T) {
	folder := t.TempDir()
	serve(t, folder, func(control.Request) control.Reply { return control.Reply{} })
	conn, err := net.Dial("unix", filepath.Join(folder, "control.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write([]byte(strings.Repeat("x", 1000) + "\n")); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	n, err := conn.Read(buf)
	if err != nil || !strings.Contains(string(buf[:n]), "not a message") {
		t.Errorf("answer %q, %v", buf[:n], err)
	}
	if _, err := control.Ask(t.Context(), folder, control.Request{Status: true}); err != nil {
		t.Errorf("the next caller: %v", err)
	}
}
