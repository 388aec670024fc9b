package training

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

func identify(prefix string, words ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	return prefix + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:20]
}

// runID is the id of a run that the part founded.
func runID(tenant measure.TenantID, founder PartKey) string {
	return identify("run_", string(tenant), string(founder))
}

// JoinID is the id of a join of two parts, whichever began first.
func JoinID(tenant measure.TenantID, a, b PartKey) string {
	p := pairOf(a, b)
	return identify("jon_", string(tenant), string(p.a), string(p.b))
}

// name gives each run its id. A run that is known keeps the id as long as its
// founding part is in it, whatever comes before it later: findings name runs.
// Of several known ids that come together the one whose founder began first
// stays. A run whose founder is gone goes on in the run that has most of it.
func name(tenant measure.TenantID, runs []Run, known map[PartKey]string) {
	taken := map[string]bool{}
	where := map[string]map[int]int{} // known id → run → parts in common
	for i := range runs {
		for _, p := range runs[i].Parts {
			id := known[p.Key]
			if id == "" {
				continue
			}
			if where[id] == nil {
				where[id] = map[int]int{}
			}
			where[id][i]++
		}
	}
	for i := range runs {
		if len(where) == 0 {
			break // nothing has an id yet
		}
		for _, p := range runs[i].Parts {
			// The founder may come back from another run to which it was moved.
			if id := runID(tenant, p.Key); runs[i].ID == "" && where[id][i] > 0 && !taken[id] {
				runs[i].ID = id
				taken[id] = true
				break
			}
		}
	}
	for _, id := range orphans(where, taken) {
		best := -1
		for i, n := range where[id] {
			if runs[i].ID == "" && (best < 0 || cmp.Or(cmp.Compare(n, where[id][best]), cmp.Compare(best, i)) > 0) {
				best = i
			}
		}
		if best >= 0 {
			runs[best].ID = id
			taken[id] = true
		}
	}
	for i := range runs {
		r := &runs[i]
		for at := 0; r.ID == ""; at++ {
			// The founder's id may be in use by a run that it was taken out of.
			key := r.Parts[min(at, len(r.Parts)-1)].Key
			if at >= len(r.Parts) {
				key += PartKey(strings.Repeat("'", at))
			}
			if id := runID(tenant, key); !taken[id] {
				r.ID = id
				taken[id] = true
			}
		}
	}
}

// orphans are the known ids that no run has by its founder, in order.
func orphans(where map[string]map[int]int, taken map[string]bool) []string {
	var ids []string
	for id := range where {
		if !taken[id] {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
