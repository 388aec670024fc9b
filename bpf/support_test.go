package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

func TestSupport(t *testing.T) {
	needHost(t)
	for _, f := range Support() {
		t.Logf("%s: %s %s", f.Name, f.Answer, f.Reason)
		if f.Answer != Yes && (f.Reason == "" || f.Lost == "") {
			t.Errorf("%+v does not say why, or what is lost", f)
		}
		if f.Name == "process events" && f.Answer != Yes {
			t.Errorf("%+v on a kernel that is new enough", f)
		}
	}
}

func TestTried(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Answer
	}{
		{nil, Yes},
		{fmt.Errorf("load: %w", unix.EPERM), No},
		{fmt.Errorf("load: %w", unix.EACCES), No},
		{fmt.Errorf("load: %w", ebpf.ErrNotSupported), No},
		{fmt.Errorf("load: %w", fs.ErrNotExist), No},
		{fmt.Errorf("socket: %w", unix.EPROTONOSUPPORT), No},
		{errors.New("out of memory"), Unknown},
	} {
		if f := tried("it", "all", c.err); f.Answer != c.want || (f.Reason == "") != (c.err == nil) {
			t.Errorf("%v: %+v, want %q", c.err, f, c.want)
		}
	}
}

func TestLockdown(t *testing.T) {
	for _, c := range []struct {
		data string
		err  error
		want Answer
	}{
		{"[none] integrity confidentiality\n", nil, Yes},
		{"none [integrity] confidentiality\n", nil, Yes},
		{"none integrity [confidentiality]\n", nil, No},
		{"", fs.ErrNotExist, Unknown},
		{"", fs.ErrPermission, Unknown},
	} {
		if f := lockdownFeature(func(string) ([]byte, error) { return []byte(c.data), c.err }); f.Answer != c.want {
			t.Errorf("%q %v: %+v, want %q", c.data, c.err, f, c.want)
		}
	}
}

func TestCapabilities(t *testing.T) {
	held, err := parseCapabilities([]byte("Name:\tx\nCapInh:\t0000000000000001\nCapEff:\t0000008000200000\n"))
	if err != nil || held != 1<<unix.CAP_BPF|1<<unix.CAP_SYS_ADMIN {
		t.Fatalf("capabilities %x %v", held, err)
	}
	want := map[string]Answer{"CAP_BPF": Yes, "CAP_PERFMON": Yes, "CAP_SYS_PTRACE": No, "CAP_DAC_READ_SEARCH": No, "CAP_NET_ADMIN": No}
	for _, c := range neededCapabilities() {
		if f := c.feature(held, nil); f.Answer != want[c.name] {
			t.Errorf("%+v, want %q", f, want[c.name])
		}
		if f := c.feature(0, errors.New("no status")); f.Answer != Unknown {
			t.Errorf("%+v, want %q", f, Unknown)
		}
	}
	for _, status := range []string{"", "CapEff:\tx\n"} {
		if _, err := parseCapabilities([]byte(status)); err == nil {
			t.Errorf("%q is taken", status)
		}
	}
}

func TestFindCgroupRoot(t *testing.T) {
	const mounts = "30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n" +
		"31 30 0:27 /kubepods /c rw shared:5 - cgroup2 cgroup2 rw\n" +
		"32 30 0:27 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
	if root, err := findCgroupRoot(strings.NewReader(mounts)); err != nil || root != "/sys/fs/cgroup/unified" {
		t.Errorf("root %q %v", root, err)
	}
	if root, err := findCgroupRoot(strings.NewReader("x\n- cgroup2 \n")); err == nil {
		t.Errorf("root %q of nothing", root)
	}
}

func TestRelease(t *testing.T) {
	for text, want := range map[string]bool{"5.10.0-32-cloud-amd64": true, "6.1.0": true, "5.9.16": false, "4.19.0": false, "10.0-rc1": true} {
		if r, err := parseRelease(text); err != nil || r.atLeast(5, 10) != want {
			t.Errorf("%s: %+v %v, want at least 5.10 %v", text, r, err, want)
		}
	}
	if r, err := parseRelease("linux"); err == nil {
		t.Errorf("taken as %+v", r)
	}
}
