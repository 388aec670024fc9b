package witness_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/witness"
)

// talker is this program again, in a network namespace and a cgroup of its own.
func talker(t *testing.T, space, dir, role string) *exec.Cmd {
	t.Helper()
	script := fmt.Sprintf("echo $$ > %s/cgroup.procs; exec ip netns exec %s %s -test.run='^TestTalk$'", dir, space, os.Args[0])
	c := exec.Command("sh", "-c", script)
	c.Env = append(os.Environ(), "FLOPWATCH_TALK="+role)
	c.Stderr = os.Stderr
	return c
}

const talked = 1 << 20 // bytes that one side sends

// TestTalk is what talkers run; by itself it does nothing.
func TestTalk(t *testing.T) {
	switch os.Getenv("FLOPWATCH_TALK") {
	case "listen":
		l, err := net.Listen("tcp", "192.0.2.2:7001")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("listening")
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, c); err != nil || n != talked {
			t.Fatal(n, err)
		}
	case "dial":
		c, err := net.Dial("tcp", "192.0.2.2:7001")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(make([]byte, talked)); err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
	default:
		t.Skip("run by the test of traffic")
	}
}

// Bytes between two hosts are told by the paths of their cgroups, also when those
// are gone, once.
func TestTraffic(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("watching traffic needs root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("needs ip of iproute2: %v", err)
	}
	w := witness.Open(t.Context(), witness.Config{Traffic: true, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() { _ = w.Close() })
	if _, _, known, err := w.Traffic(); err != nil || !known {
		t.Skipf("this kernel does not tell traffic (%v)", err)
	}
	a, b := fmt.Sprintf("fw-wa-%d", os.Getpid()), fmt.Sprintf("fw-wb-%d", os.Getpid())
	ip := func(args string) {
		t.Helper()
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Fatalf("ip %s: %v: %s", args, err, out)
		}
	}
	for _, space := range []string{a, b} {
		ip("netns add " + space)
		t.Cleanup(func() { ip("netns del " + space) })
	}
	ip("link add fw0 netns " + a + " type veth peer name fw1 netns " + b)
	ip("-n " + a + " addr add 192.0.2.1/24 dev fw0")
	ip("-n " + b + " addr add 192.0.2.2/24 dev fw1")
	ip("-n " + a + " link set fw0 up")
	ip("-n " + b + " link set fw1 up")
	from, to := cgroup(t, fmt.Sprintf("fw-from-%d", os.Getpid())), cgroup(t, fmt.Sprintf("fw-to-%d", os.Getpid()))
	listener := talker(t, b, to, "listen")
	out, err := listener.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	if err := talker(t, a, from, "dial").Run(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, out)
	if err := listener.Wait(); err != nil {
		t.Fatal(err)
	}
	for range 50 { // the sender's cgroup is gone before anyone asks for its name
		if err := os.Remove(from); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	all, lost, _, err := w.Traffic()
	if err != nil || lost > 0 {
		t.Errorf("%d calls of nobody, %v", lost, err)
	}
	want := map[witness.Exchange]bool{
		{Cgroup: "/" + filepath.Base(from), Peer: netip.MustParseAddr("192.0.2.2"), Sent: talked}:   true,
		{Cgroup: "/" + filepath.Base(to), Peer: netip.MustParseAddr("192.0.2.1"), Received: talked}: true,
	}
	for _, e := range all {
		delete(want, e)
	}
	if len(want) > 0 {
		t.Errorf("not told: %v; told: %v", want, all)
	}
	// By default nothing of the kind is counted.
	plain := witness.Open(context.Background(), witness.Config{Log: slog.New(slog.DiscardHandler)})
	defer func() { _ = plain.Close() }()
	if _, _, known, err := plain.Traffic(); known || err != nil {
		t.Errorf("traffic without being asked: %v %v", known, err)
	}
}
