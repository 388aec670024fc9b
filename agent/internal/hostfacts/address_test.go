package hostfacts

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const trie = `Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.20.0.0/16 2 0 2
        |-- 10.20.0.0
           /16 link UNICAST
        |-- 10.20.3.7
           /32 host LOCAL
        |-- 10.20.255.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.1
           /32 host LOCAL
     |-- 203.0.113.9
        /32 host LOCAL
Local:
        |-- 10.20.3.7
           /32 host LOCAL
`

const table = `00000000000000000000000000000001 01 80 10 80       lo
fd000000000000000000000000000007 02 40 00 80     eth0
fe80000000000000a8aaaafffe000001 02 40 20 80     eth0
nothexadecimal 02 40 20 80     eth0
`

// The host's addresses are those of the network of process 1 in the fleet's
// networks: not of loops, of one link, of broadcasts, or of the Internet.
func TestAddresses(t *testing.T) {
	proc := t.TempDir()
	networks := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fc00::/7")}
	if _, err := Addresses(proc, networks); err == nil {
		t.Error("nothing could be read and that is no error")
	}
	if err := os.MkdirAll(filepath.Join(proc, "1/net"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"fib_trie": trie, "if_inet6": table} {
		if err := os.WriteFile(filepath.Join(proc, "1/net", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := Addresses(proc, networks)
	want := []netip.Addr{netip.MustParseAddr("10.20.3.7"), netip.MustParseAddr("fd00::7")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v %v, want %v", got, err, want)
	}
	if err := os.Remove(filepath.Join(proc, "1/net/if_inet6")); err != nil {
		t.Fatal(err)
	}
	if got, err := Addresses(proc, networks); err != nil || !slices.Equal(got, want[:1]) {
		t.Errorf("a host without IPv6: %v %v", got, err)
	}
	if _, err := Addresses("/proc", networks); err != nil {
		t.Errorf("this host: %v", err)
	}
}
