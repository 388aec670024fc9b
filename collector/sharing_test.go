package collector

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// Collectors that come and go end with even shares, every partition has somebody
// who stands by for it, and then nothing moves any more.
func TestSharesBecomeEven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.IntRange(1, 32).Draw(t, "partitions")
		held := make([]store.Held, parts)
		minds, beats := map[string]*sharing{}, map[string]int64{}
		now, moves := time.Unix(0, 0), 0
		step := func() {
			now = now.Add(beatEvery)
			var all []store.Sharer
			for id := range minds {
				beats[id]++
			}
			for id, beat := range beats {
				all = append(all, store.Sharer{ID: id, Beat: beat})
			}
			stand := make([][]string, parts)
			for id, s := range minds {
				for no, want := range s.decide(all, held, now) {
					switch {
					case want:
						stand[no] = append(stand[no], id)
					case held[no].Owner == id:
						held[no] = store.Held{Fence: held[no].Fence}
					}
				}
			}
			for no := range held { // the broker pins one of those that stand by
				if minds[held[no].Owner] == nil && len(stand[no]) > 0 {
					held[no] = store.Held{Owner: stand[no][rapid.IntRange(0, len(stand[no])-1).Draw(t, "pinned")], Fence: held[no].Fence + 1}
					moves++
				}
				if minds[held[no].Owner] != nil {
					held[no].RenewedNS = now.UnixNano()
				}
			}
		}
		next := 0
		for range rapid.IntRange(1, 5).Draw(t, "changes") {
			if len(minds) < 2 || rapid.Bool().Draw(t, "comes") {
				next++
				id := fmt.Sprint("c", next)
				minds[id] = newSharing(id)
			} else {
				for id := range minds {
					delete(minds, id)
					break
				}
			}
			for range 20 + 6*parts {
				step()
			}
		}
		counts := map[string]int{}
		for no, h := range held {
			if minds[h.Owner] == nil {
				t.Fatalf("nobody counts partition %d", no)
			}
			counts[h.Owner]++
		}
		share := (parts + len(minds) - 1) / len(minds)
		for id, n := range counts {
			if n > share {
				t.Fatalf("%s counts %d partitions of %d, %d collectors: %v", id, n, parts, len(minds), counts)
			}
		}
		was := moves
		for range 20 {
			step()
		}
		if moves != was {
			t.Fatalf("partitions go on to move: %v", counts)
		}
	})
}
