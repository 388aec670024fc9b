package resolve_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve/registertest"
)

// small has low lines and caps, so that few records reach them.
func small(t testing.TB) *resolve.Weights {
	t.Helper()
	w, err := resolve.ReadWeights("small.yaml", []byte(`
id: small
version: 1
population: 100
hub: {full: 2, cap: 3}
name_block: 3
lines:
  - {class: identity, propose: 1, automatic: 8}
  - {class: control, propose: 1, automatic: 20}
  - {class: coordination, propose: 1, automatic: 1}
name: {exact: 0.6, floor: 0.001, close: 3, near: 1, different: -2, close_from: 0.8, near_from: 0.7, different_below: 0.4}
country: {same: 1, different: -1}
person_and_organisation: -20
identifiers:
  - {kind: tax_id, strong: true, floor: 0.001, identity: 0.9, against: -2, against_verified: -4}
  - {kind: email, floor: 0.01, identity: 0.5, control: 0.3, coordination: 0.3}
  - {kind: card, floor: 0.01, identity: 0.2, control: 0.3, coordination: 0.4}
`))
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Links depend on the records and not on the order in which they came, on how
// often they were put, or on what was there in between.
func TestOrderDoesNotMatter(t *testing.T) {
	w := small(t)
	h := hasher()
	rapid.Check(t, func(t *rapid.T) {
		record := func(i int) resolve.Record {
			rec := resolve.Record{Party: resolve.ID(rune('a' + i)), Countries: []string{rapid.SampledFrom([]string{"US", "DE"}).Draw(t, "country")}}
			if rapid.Bool().Draw(t, "is a customer") {
				rec.Customer = rapid.SampledFrom([]string{"c1", "c2", "c3", "c4", "c5"}).Draw(t, "customer")
			}
			rec.Names = h.Names(rapid.SampledFrom([]string{"Orion Labs", "Orion Laps", "Delta Compute", "Orion", "Labs Orion Ltd"}).Draw(t, "name"), false)
			for _, v := range rapid.SliceOfNDistinct(rapid.SampledFrom([]registertest.Value{{Kind: resolve.TaxID, Scheme: "US", Text: "918273"}, {Kind: resolve.TaxID, Scheme: "US", Text: "554433"},
				{Kind: resolve.Email, Text: "a@b.com"}, {Kind: resolve.Email, Text: "c@d.org"}, {Kind: resolve.Card, Text: "42424111"}}), 0, 4, func(v registertest.Value) string { return string(v.Kind) + v.Text }).Draw(t, "values") {
				id, _ := h.Identifier(v.Kind, v.Scheme, v.Text, "US")
				id.Verified = rapid.Bool().Draw(t, "verified")
				rec.Identifiers = append(rec.Identifiers, id)
			}
			return rec
		}
		n := rapid.IntRange(2, 9).Draw(t, "parties")
		final := make([]resolve.Record, n)
		for i := range final {
			final[i] = record(i)
		}
		batch := resolve.NewRegister(w)
		batch.Load(final, nil)

		one := resolve.NewRegister(w)
		for range rapid.IntRange(0, 12).Draw(t, "earlier acts") {
			i := rapid.IntRange(0, n+2).Draw(t, "which")
			if rapid.Bool().Draw(t, "remove") {
				one.Remove(resolve.ID(rune('a' + i)))
			} else {
				one.Put(record(i))
			}
		}
		for i := n; i < n+3; i++ {
			one.Remove(resolve.ID(rune('a' + i)))
		}
		for _, rec := range rapid.Permutation(final).Draw(t, "order") {
			one.Put(rec)
		}
		if d := cmp.Diff(batch.Links(), one.Links()); d != "" {
			t.Fatalf("at once (-) and one after the other (+):\n%s", d)
		}
	})
}

// What Put says changed is what changed.
func TestPutTellsWhatChanged(t *testing.T) {
	w := small(t)
	h := hasher()
	rapid.Check(t, func(t *rapid.T) {
		r := resolve.NewRegister(w)
		mirror := map[[2]resolve.ID][]resolve.Found{}
		for range rapid.IntRange(1, 15).Draw(t, "acts") {
			rec := resolve.Record{Party: resolve.ID(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "party"))}
			rec.Names = h.Names(rapid.SampledFrom([]string{"Orion Labs", "Delta Compute"}).Draw(t, "name"), false)
			if rapid.Bool().Draw(t, "mail") {
				id, _ := h.Identifier(resolve.Email, "", "a@b.com", "")
				rec.Identifiers = append(rec.Identifiers, id)
			}
			for _, c := range r.Put(rec) {
				if mirror[[2]resolve.ID{c.A, c.B}] = c.Now; len(c.Now) == 0 {
					delete(mirror, [2]resolve.ID{c.A, c.B})
				}
			}
		}
		got := map[[2]resolve.ID][]resolve.Found{}
		for _, l := range r.Links() {
			k := [2]resolve.ID{l.A, l.B}
			got[k] = append(got[k], l)
		}
		if len(got) != len(mirror) {
			t.Fatalf("%d pairs are linked, %d were told", len(got), len(mirror))
		}
	})
}
