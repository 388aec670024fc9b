package systemd_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/pkg/systemd"
)

func TestNotifier(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = manager.Close() }()
	heard := func() string {
		t.Helper()
		buf := make([]byte, 100)
		if err := manager.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		n, err := manager.Read(buf)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
	env := map[string]string{"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": strconv.Itoa(os.Getpid())}
	n := systemd.New(func(k string) string { return env[k] })
	begin := time.Unix(1_800_000_000, 0)
	for _, step := range []struct {
		do   func() error
		want string
	}{
		{n.Ready, "READY=1"},
		{func() error { return n.Alive(begin) }, "WATCHDOG=1"},
		{func() error { return n.Alive(begin.Add(9 * time.Second)) }, ""},
		{func() error { return n.Alive(begin.Add(10 * time.Second)) }, "WATCHDOG=1"},
		{n.Stopping, "STOPPING=1"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		if got := heard(); got != step.want {
			t.Errorf("heard %q, want %q", got, step.want)
		}
	}
	env["WATCHDOG_PID"] = "1"
	other := systemd.New(func(k string) string { return env[k] })
	if err := other.Alive(begin); err != nil || heard() != "" {
		t.Errorf("a watchdog of another process is fed, %v", err)
	}
	nobody := systemd.New(func(string) string { return "" })
	if err := nobody.Ready(); err != nil {
		t.Errorf("without a manager: %v", err)
	}
	env["NOTIFY_SOCKET"] = filepath.Join(t.TempDir(), "none")
	gone := systemd.New(func(k string) string { return env[k] })
	if err := gone.Ready(); err == nil {
		t.Error("a manager that is gone hears")
	}
}
