package hostfacts

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Addresses returns the host's own addresses that lie in the networks, in order.
// They are those of the network that process 1 is in: a unit of the agent may have
// no network of its own.
func Addresses(proc string, networks []netip.Prefix) ([]netip.Addr, error) {
	four, err4 := os.ReadFile(filepath.Join(proc, "1/net/fib_trie"))
	six, err6 := os.ReadFile(filepath.Join(proc, "1/net/if_inet6"))
	var found []netip.Addr
	for _, a := range append(localAddresses(four), interfaceAddresses(six)...) {
		if Within(networks, a) {
			found = append(found, a)
		}
	}
	slices.SortFunc(found, netip.Addr.Compare)
	found = slices.Compact(found)
	if err4 != nil && err6 != nil { // a host may have one of the two only
		return found, fmt.Errorf("read own addresses: %w", errors.Join(err4, err6))
	}
	return found, nil
}

// Within reports whether the address is in one of the networks.
func Within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// localAddresses finds in the kernel's routing trie the addresses that are local:
// a leaf "|-- 10.0.0.5" whose next line says "/32 host LOCAL".
func localAddresses(trie []byte) (out []netip.Addr) {
	lines := bufio.NewScanner(bytes.NewReader(trie))
	var leaf netip.Addr
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		if rest, ok := strings.CutPrefix(text, "|-- "); ok {
			leaf, _ = netip.ParseAddr(rest)
		} else if leaf.IsValid() && text == "/32 host LOCAL" && !leaf.IsLoopback() {
			out = append(out, leaf)
		}
	}
	return out
}

// interfaceAddresses reads /proc/net/if_inet6: 32 hex digits, then what is not
// needed, the scope in the fourth column. Those of one link only are left out.
func interfaceAddresses(table []byte) (out []netip.Addr) {
	for line := range strings.Lines(string(table)) {
		columns := strings.Fields(line)
		if len(columns) < 6 {
			continue
		}
		raw, err := hex.DecodeString(columns[0])
		a, ok := netip.AddrFromSlice(raw)
		if err == nil && ok && a.Is6() && !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			out = append(out, a)
		}
	}
	return out
}
