package store

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// What a past date was told to have been is told again later, whatever the
// allocations became in between: corrections are taken back exactly.
func TestTotalsAsRecordedThen(t *testing.T) {
	accounts := map[string]string{"t1": "a1", "t2": "a2", "t3": "a3", "t8": "a8", "t9": "a9"}
	tenants := []measure.TenantID{"t1", "t3", "t8", "t9"}
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			s := open(t, t.TempDir())
			count(t, s, nil, fleet()...)
			total := func(known time.Time) map[string]compute.Bounds {
				ns := int64(0)
				if !known.IsZero() {
					ns = known.UnixNano()
				}
				out, err := accountTotals(t.Context(), s.read, accounts, 0, ns)
				if err != nil {
					t.Fatal(err)
				}
				for a, b := range out {
					if b == (compute.Bounds{}) {
						delete(out, a) // it has nothing, or never had
					}
				}
				return out
			}
			now := noon
			told := map[time.Time]map[string]compute.Bounds{}
			for range 6 {
				now = now.Add(time.Hour)
				from := r.IntN(50)
				a := allocation.Allocation{ID: fmt.Sprint("al_", r.IntN(3)), Host: []string{"alpha", "beta"}[r.IntN(2)], Tenant: tenants[r.IntN(len(tenants))], FromNS: at(from), ToNS: at(from + 1 + r.IntN(30))}
				if _, err := s.PutAllocations(t.Context(), []allocation.Allocation{a}, now, false); err != nil {
					t.Fatal(err)
				}
				told[now] = total(time.Time{})
			}
			for known, want := range told {
				if d := cmp.Diff(want, total(known)); d != "" {
					t.Errorf("as recorded at %s (-then +now):\n%s", known.Format(time.TimeOnly), d)
				}
			}
		})
	}
}
