package store

import (
	"fmt"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// BenchmarkHeadquarters is what each look ahead pays for the facts of 10,000 customers:
// worked out anew, and as somebody had them before.
func BenchmarkHeadquarters(b *testing.B) {
	s, err := openOn(b, b.TempDir()+"/flopwatch.db", Options{Now: atNoon})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	const customers = 10_000
	var all []party.Change
	for i := range customers {
		id := fmt.Sprintf("p-%05d", i)
		all = append(all,
			party.Change{Object: party.Party{ID: id, Form: party.Organisation, Incorporation: party.Is("SG"), Headquarters: party.Is([]string{"SG", "CN"}[i%2]), UltimateParent: party.Is(id)}},
			party.Change{Object: party.Contract{ID: fmt.Sprintf("cus_%05d", i), Party: id}, Name: "Customer"},
			party.Change{Object: party.Account{ID: fmt.Sprintf("acc_%05d", i), Customer: fmt.Sprintf("cus_%05d", i), Tenants: []measure.TenantID{measure.TenantID(fmt.Sprint("t", i))}}})
	}
	if _, err := s.RecordParties(b.Context(), all, nil, false); err != nil {
		b.Fatal(err)
	}
	r := NewReader(s, "", false)
	for _, anew := range []bool{true, false} {
		b.Run(map[bool]string{true: "anew", false: "known"}[anew], func(b *testing.B) {
			for b.Loop() {
				if anew {
					s.seats.mu.Lock()
					s.seats.known = nil
					s.seats.mu.Unlock()
				}
				state, _, err := r.Foresight(b.Context())
				if err != nil || len(state.Facts) != customers {
					b.Fatalf("%d facts, %v", len(state.Facts), err)
				}
			}
		})
	}
}
