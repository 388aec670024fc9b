package permission_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

func TestParseNetworks(t *testing.T) {
	for in, want := range map[string]string{
		"":                                  "",
		"192.0.2.0/24":                      "192.0.2.0/24",
		"2001:db8::/32 10.0.0.0/8":          "10.0.0.0/8 2001:db8::/32",
		"192.0.2.7 192.0.2.7/32 ::1":        "192.0.2.7/32 ::1/128",
		"0.0.0.0/0":                         "0.0.0.0/0",
		"192.0.2.7/24":                      "fault", // an address in it: which network was meant?
		"192.0.2.0/33":                      "fault",
		"192.0.2.0/024":                     "fault",
		"192.0.2":                           "fault",
		"::ffff:192.0.2.0/120":              "fault", // no address would ever be in it
		"::ffff:192.0.2.1":                  "fault",
		"fe80::1%eth0":                      "fault",
		"desk.example":                      "fault",
		"192.0.2.0/24,10.0.0.0/8":           "fault",
		"192.0.2.0/24 <script>":             "fault",
		strings.Repeat("192.0.2.0/24 ", 40): "192.0.2.0/24",
	} {
		got, err := permission.ParseNetworks(strings.Fields(in))
		text := strings.Join(got.Texts(), " ")
		if err != nil {
			if text = "fault"; strings.Contains(err.Error(), "script") {
				t.Errorf("%q: the fault repeats what was said: %v", in, err)
			}
		}
		if text != want {
			t.Errorf("%q is %q, want %q: %v", in, text, want, err)
		}
	}
	var many []string
	for i := range permission.MaxNetworks + 1 {
		many = append(many, fmt.Sprintf("10.%d.0.0/16", i))
	}
	if _, err := permission.ParseNetworks(many); err == nil {
		t.Errorf("%d networks are taken", len(many))
	}
	if n, err := permission.ParseNetworks(many[1:]); err != nil || len(n) != permission.MaxNetworks {
		t.Errorf("%d networks: %v", len(many)-1, err)
	}
}

func TestNetworksHave(t *testing.T) {
	n, err := permission.ParseNetworks([]string{"192.0.2.0/24", "2001:db8::/32"})
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{
		"192.0.2.0": true, "192.0.2.255": true, "::ffff:192.0.2.9": true, "192.0.3.0": false, "192.0.1.255": false, "2001:db8:ffff::1": true,
		"2001:db8::1%eth0": true, "2001:db9::": false, "::1": false, "127.0.0.1": false, "::192.0.2.1": false,
	} {
		if got := n.Has(netip.MustParseAddr(at)); got != want {
			t.Errorf("%s: %t", at, got)
		}
	}
	if n.Has(netip.Addr{}) || !(permission.Networks(nil)).Has(netip.Addr{}) {
		t.Error("an address that is not known is in a network, or not everywhere")
	}
}

// What was read is written and read again as the same.
func TestNetworksKeepTheirText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var texts []string
		for range rapid.IntRange(0, 10).Draw(t, "networks") {
			b := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address")
			p := netip.PrefixFrom(netip.AddrFrom4([4]byte(b)), rapid.IntRange(0, 32).Draw(t, "bits")).Masked()
			texts = append(texts, p.String())
		}
		once, err := permission.ParseNetworks(texts)
		if err != nil {
			t.Fatal(err)
		}
		again, err := permission.ParseNetworks(once.Texts())
		if err != nil || !slices.Equal(once, again) {
			t.Fatalf("%v then %v: %v", once, again, err)
		}
	})
}
