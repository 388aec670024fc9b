package resolve

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/party/control"
)

func TestWeightsAreRefused(t *testing.T) {
	good := string(weightsFile)
	if w := DefaultWeights(); w.Digest != sha256.Sum256(weightsFile) || !strings.HasPrefix(w.Title(), "party-links 1 ") {
		t.Errorf("title %q", w.Title())
	}
	for name, c := range map[string][2]string{
		"no version":              {"version: 1", "version: 0"},
		"no population":           {"population: 100000", "population: 0"},
		"a cap below full":        {"cap: 20", "cap: 4"},
		"a line twice":            {"class: control, propose", "class: identity, propose"},
		"automatic below propose": {"propose: 14, automatic: 22", "propose: 14, automatic: 2"},
		"m above 1":               {"identity: 0.95, against: -5", "identity: 1.95, against: -5"},
		"no floor":                {"kind: email, floor: 0.000005", "kind: email, floor: 0"},
		"a kind twice":            {"kind: phone", "kind: email"},
		"strong of control":       {"kind: lei, strong: true", "kind: lei, strong: true, control: 0.5"},
		"likeness that falls":     {"near_from: 0.70", "near_from: 0.95"},
		"an unknown key":          {"version: 1", "version: 1\nspeed: 2"},
	} {
		if !strings.Contains(good, c[0]) {
			t.Fatalf("%s: %q is not in the file", name, c[0])
		}
		if _, err := ReadWeights("w.yaml", []byte(strings.Replace(good, c[0], c[1], 1))); err == nil || !strings.HasPrefix(err.Error(), "w.yaml") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// More holders never say more, and a hub says nothing.
func TestBitsFallWithHolders(t *testing.T) {
	w := DefaultWeights()
	for i := range w.Identifiers {
		k := &w.Identifiers[i]
		for _, class := range Classes {
			for holders := 2; holders <= w.Hub.Cap; holders++ {
				if a, b := w.bits(k, class, holders), w.bits(k, class, holders+1); b > a {
					t.Errorf("%s of %s: %d holders %.2f, one more %.2f", class, k.Kind, holders, a, b)
				}
			}
			if b := w.bits(k, class, w.Hub.Cap+1); b != 0 {
				t.Errorf("a hub of %s says %.2f", k.Kind, b)
			}
			// One value alone never decides identity or control.
			if class != Coordination && w.bits(k, class, 2) >= w.lines[class].Automatic {
				t.Errorf("%s alone decides %s", k.Kind, class)
			}
		}
	}
}

// The order of what is stated does not matter, and only what is verified decides by
// itself.
func TestOwnershipOrder(t *testing.T) {
	ids := []string{"a", "b", "c", "d", "e"}
	rapid.Check(t, func(t *rapid.T) {
		var stakes []Stake
		for range rapid.IntRange(0, 10).Draw(t, "stakes") {
			o, s := rapid.SampledFrom(ids).Draw(t, "owner"), rapid.SampledFrom(ids).Draw(t, "subject")
			if o != s {
				stakes = append(stakes, stake(o, s, rapid.IntRange(0, 100).Draw(t, "percent"), rapid.Bool().Draw(t, "verified")))
			}
		}
		links := func(all []Stake) []Found {
			s, err := NewStructure(control.Defaults, all, nil)
			if err != nil {
				t.Fatal(err)
			}
			return s.Links()
		}
		if d := cmp.Diff(links(stakes), links(rapid.Permutation(stakes).Draw(t, "order"))); d != "" {
			t.Fatal(d)
		}
		for _, l := range links(stakes) {
			if l.Automatic != l.Evidence[0].Verified || l.A == l.B || !l.Directed {
				t.Fatalf("link %+v", l)
			}
		}
	})
}
