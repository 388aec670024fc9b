package permission

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// MaxNetworks is how many networks a token can be bound to.
const MaxNetworks = 20

// Networks are those from which alone something is taken. None of them are everywhere.
type Networks []netip.Prefix

// ParseNetworks reads networks as 192.0.2.0/24 or 2001:db8::/32, or single addresses.
// They come back in their order, each once. A network that is written with an address
// inside it is a fault: it may be another one than was meant.
func ParseNetworks(texts []string) (Networks, error) {
	var all Networks
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if !strings.Contains(text, "/") {
			var at netip.Addr
			if at, err = netip.ParseAddr(text); err == nil && at.Zone() == "" {
				p = netip.PrefixFrom(at, at.BitLen())
			}
		}
		if err != nil || !p.IsValid() || p.Addr().Is4In6() || p != p.Masked() {
			return nil, fmt.Errorf("from: each must be a network such as 192.0.2.0/24 or 2001:db8::/32, or one address")
		}
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b netip.Prefix) int {
		return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
	})
	if all = slices.Compact(all); len(all) > MaxNetworks {
		return nil, fmt.Errorf("from: at most %d networks", MaxNetworks)
	}
	return all, nil
}

// Has reports whether an address is in one of the networks, or there are none. An IPv4
// address is the same however it is written.
func (n Networks) Has(at netip.Addr) bool {
	at = at.Unmap().WithZone("")
	return len(n) == 0 || slices.ContainsFunc(n, func(p netip.Prefix) bool { return p.Contains(at) })
}

// Texts are the networks as ParseNetworks reads them.
func (n Networks) Texts() []string {
	texts := make([]string, len(n))
	for i, p := range n {
		texts[i] = p.String()
	}
	return texts
}
