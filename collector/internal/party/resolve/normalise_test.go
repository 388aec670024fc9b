package resolve

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNormalise(t *testing.T) {
	for _, c := range []struct {
		kind                 Kind
		value, country, want string // "" for refused
	}{
		{Email, "Jane.Doe+gpu@GoogleMail.com", "", "janedoe@gmail.com"},
		{Email, "jane.doe+gpu@outlook.com", "", "jane.doe@outlook.com"},
		{Email, "Jane.Doe+gpu@Example.ORG", "", "jane.doe+gpu@example.org"},
		{Email, "info@münchen.example", "", "info@xn--mnchen-3ya.example"},
		{Email, "no mail", "", ""}, {Email, "a@localhost", "", ""}, {Email, "@b.com", "", ""}, {Email, "a b@c.de", "", ""},
		{Phone, "+1 (302) 555-0142", "", "13025550142"},
		{Phone, "(302) 555-0142", "US", "13025550142"},
		{Phone, "011 44 20 7946 0958", "US", "442079460958"},
		{Phone, "0044 (0)20 7946 0958 ext. 7", "DE", "442079460958"},
		{Phone, "030 901820", "DE", "4930901820"},
		{Phone, "06 6982 1234", "IT", "390669821234"},
		{Phone, "8 (495) 123-45-68", "RU", "74951234568"},
		{Phone, "555-0142", "", ""}, {Phone, "0000000000", "US", ""}, {Phone, "+12", "", ""},
		{Phone, "０３０ ９０１８２０", "DE", "4930901820"},
		{TaxID, "12-3456 788", "US", "123456788"}, {TaxID, "DE 811.907.980", "DE", "DE811907980"},
		{TaxID, "000000000", "", ""}, {TaxID, "123456789", "", ""}, {TaxID, "N/A", "", ""}, {TaxID, "999-99-9999", "", ""},
		{LEI, "5493001kjtiigc8y1r12", "", "5493001KJTIIGC8Y1R12"},
		{Card, "4242 4242 4242 4241", "", "4242424242424241"},
		{Domain, "https://www.Orion-Labs.co.uk/about", "", "orion-labs.co.uk"}, {Domain, "compute.orion.ai:443", "", "orion.ai"},
		{Domain, "co.uk", "", ""}, {Domain, "localhost", "", ""},
		{IP, "203.0.114.77", "", "203.0.114.0/24"}, {IP, "2a01:db8:17:9::1", "", "2a01:db8:17::/48"}, {IP, "::ffff:203.0.114.77", "", "203.0.114.0/24"},
		{IP, "10.1.2.3", "", ""}, {IP, "127.0.0.1", "", ""}, {IP, "100.64.3.1", "", ""}, {IP, "fe80::1%eth0", "", ""}, {IP, "x", "", ""},
		{Address, "1209 Orange Street, Suite 4, Wilmington", "US", "US 1209 4 orange st ste wilmington"},
		{Address, "Suite 4; 1209 ORANGE ST. Wilmington", "US", "US 1209 4 orange st ste wilmington"},
		{Address, "Hauptstraße 5, Köln", "DE", "DE 5 hauptstr koln"}, {Address, "here", "US", ""},
	} {
		got, ok := Normalise(c.kind, c.value, c.country)
		if !ok {
			got = ""
		}
		if got != c.want {
			t.Errorf("%s %q (%s): %q, want %q", c.kind, c.value, c.country, got, c.want)
		}
	}
}

func TestNamesInOneForm(t *testing.T) {
	for name, want := range map[string]string{
		"ORION  Labs, Inc.":             "orion labs",
		"The Orion Labs Corporation":    "orion labs",
		"Ørion-Läbs GmbH & Co. KG":      "orion labs",
		"Ｏｒｉｏｎ　Ｌａｂｓ":                    "orion labs",
		"S.A. de C.V.":                  "sa de cv", // nothing but a legal form stays a name
		"O'Neill Trading Ltd":           "oneill trading",
		"Or\u200bion La\u202ebs":        "orion labs",
		"ООО «Орион Лабс»":              "orion labs",
		"Щербаков Юрий":                 "shcherbakov iurii",
		"Ώριον Εργαστήρια Α.Ε.":         "orion ergastiria",
		"한빛컴퓨팅 주식회사":                    "hanbitkeompyuting",
		"株式会社オリオン":                      "orion",
		"北京星云科技有限公司":                    "北京星云科技",
		"=HYPERLINK(\"http://x\") GmbH": "hyperlink http x",
	} {
		all := scripts(name, false)
		got := strings.Join(all[len(all)-1], " ")
		if got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestLikeness(t *testing.T) {
	h := NewHasher(make([]byte, 32))
	best := func(a, b string) (most float64) {
		for _, x := range h.Names(a, false) {
			for _, y := range h.Names(b, false) {
				most = max(most, x.alike(&y))
			}
		}
		return most
	}
	n := DefaultWeights().Name
	for _, c := range []struct {
		a, b string
		from float64
		to   float64
	}{
		{"Orion Labs Inc", "ORION LABS LLC", 1, 1}, {"Labs Orion", "Orion Labs", 1, 1}, {"Орион Лабс ООО", "Orion Labs", 1, 1},
		{"Orionquantum Labs", "Orionqantum Labs", n.CloseFrom, 0.99}, {"Orion Labs", "Oroin Labs", 0.6, 0.99},
		{"Orion Labs", "Delta Compute", 0, n.DifferentBelow}, {"Orion Labs", "Orion Trading", 0, n.NearFrom},
	} {
		if got := best(c.a, c.b); got < c.from || got > c.to {
			t.Errorf("%q and %q: %.2f, want %.2f to %.2f", c.a, c.b, got, c.from, c.to)
		}
	}
}

// The form of a form is that form, so that what was normalised once can be again.
func TestFoldTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		once := Fold(s)
		if d := cmp.Diff(once, Fold(once)); d != "" {
			t.Fatal(d)
		}
	})
}

func FuzzNormalise(f *testing.F) {
	f.Add("a+b@gmail.com", "US")
	f.Add("ООО «Орион»", "RU")
	f.Fuzz(func(t *testing.T, value, country string) {
		h := NewHasher(make([]byte, 32))
		for _, k := range []Kind{TaxID, Email, Phone, Address, Domain, IP, Card} {
			if normal, ok := Normalise(k, value, country); ok && normal == "" {
				t.Errorf("%s: an empty form", k)
			}
		}
		h.Names(value, false)
		h.Names(value, true)
	})
}
