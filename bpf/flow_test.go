package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// network is a pair of joined network namespaces.
type network struct{ a, b string }

func newNetwork(t testing.TB) network {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skipf("needs ip of iproute2: %v", err)
	}
	n := network{a: fmt.Sprintf("flopwatch-a-%d", os.Getpid()), b: fmt.Sprintf("flopwatch-b-%d", os.Getpid())}
	for _, name := range []string{n.a, n.b} {
		ip(t, "netns add "+name)
		t.Cleanup(func() { ip(t, "netns del "+name) })
		ip(t, "-n "+name+" link set lo up")
	}
	ip(t, "link add fw0 netns "+n.a+" type veth peer name fw1 netns "+n.b)
	for _, side := range []struct{ space, link, last string }{{n.a, "fw0", "1"}, {n.b, "fw1", "2"}} {
		ip(t, "-n "+side.space+" addr add 192.0.2."+side.last+"/24 dev "+side.link)
		ip(t, "-n "+side.space+" addr add 2001:db8::"+side.last+"/64 dev "+side.link+" nodad")
		ip(t, "-n "+side.space+" link set "+side.link+" up")
	}
	return n
}

func ip(t testing.TB, arguments string) {
	t.Helper()
	if out, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v: %s", arguments, err, out)
	}
}

// inside is the command line of a helper in a network namespace.
func inside(t testing.TB, space, name string, args ...string) []string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return append([]string{"ip", "netns", "exec", space, program, "helper", name}, args...)
}

// Every byte between two hosts is told to its cgroup and its peer, once.
func TestTraffic(t *testing.T) {
	m := openMonitor(t, Config{Flows: 1024})
	n := newNetwork(t)
	for _, c := range []struct{ a, b, address string }{
		{"192.0.2.1", "192.0.2.2", "192.0.2.2:7000"},
		{"2001:db8::1", "2001:db8::2", "[2001:db8::2]:7000"},
	} {
		sender, receiver := newCgroup(t), newCgroup(t)
		rx := start(t, receiver, syscall.SysProcAttr{}, inside(t, n.b, "receive", c.address)...)
		rx.line()
		tx := start(t, sender, syscall.SysProcAttr{}, inside(t, n.a, "send", c.address, c.a)...)
		tx.wait()
		rx.wait()
		flows, err := m.Traffic()
		if err != nil {
			t.Fatal(err)
		}
		wantFlow(t, flows, sender, c.b, sentBytes, answeredBytes)
		wantFlow(t, flows, receiver, c.a, answeredBytes, sentBytes)
		again, err := m.Traffic()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range again {
			if f.Cgroup == sender.id || f.Cgroup == receiver.id {
				t.Errorf("told twice: %+v", f)
			}
		}
	}
}

func wantFlow(t *testing.T, flows []Flow, group *cgroup, peer string, sent, received uint64) {
	t.Helper()
	want := Flow{Cgroup: group.id, Peer: netip.MustParseAddr(peer), Sent: sent, Received: received}
	var mine []Flow
	for _, f := range flows {
		if f.Cgroup == group.id {
			mine = append(mine, f)
		}
	}
	if len(mine) != 1 || mine[0] != want {
		t.Errorf("flows %+v, want %+v", mine, want)
	}
}

// What stays on the host is not counted, and a table that is full counts drops.
func TestTrafficBounds(t *testing.T) {
	m := openMonitor(t, Config{Flows: 1})
	group := newCgroup(t)
	rx := start(t, group, syscall.SysProcAttr{}, self("receive", "127.0.0.1:47113")...)
	rx.line()
	tx := start(t, group, syscall.SysProcAttr{}, self("send", "127.0.0.1:47113", "127.0.0.1")...)
	tx.wait()
	rx.wait()
	flows, err := m.Traffic()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range flows {
		if f.Cgroup == group.id {
			t.Errorf("traffic of the host with itself: %+v", f)
		}
	}
	n := newNetwork(t)
	for range 2 {
		group := newCgroup(t)
		rx := start(t, group, syscall.SysProcAttr{}, inside(t, n.b, "receive", "192.0.2.2:7000")...)
		rx.line()
		start(t, nil, syscall.SysProcAttr{}, inside(t, n.a, "send", "192.0.2.2:7000", "192.0.2.1")...).wait()
		rx.wait()
		time.Sleep(10 * time.Millisecond)
	}
	drops, err := m.Drops()
	if err != nil || drops.Flows == 0 {
		t.Errorf("drops %+v %v: three cgroups share a table of one line", drops, err)
	}
}

func TestNotWatched(t *testing.T) {
	m := openMonitor(t, Config{})
	_, traffic := m.Traffic()
	_, holders := m.Holders()
	_, communicators := m.WatchCommunicators(0, "/lib/libnccl.so.2")
	for what, err := range map[string]error{"traffic": traffic, "holders": holders, "communicators": communicators, "majors": m.SetMajors(nil)} {
		if !errors.Is(err, ErrNotWatched) {
			t.Errorf("%s: %v, want ErrNotWatched", what, err)
		}
	}
}
