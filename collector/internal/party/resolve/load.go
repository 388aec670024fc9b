package resolve

import (
	"runtime"
	"sync"
)

// loadStep is how many parties one goroutine compares before it asks for more.
const loadStep = 500

// compareAll compares every party with its candidates, on all processors: what
// one comparison reads, none writes. What it finds does not depend on who came
// first, because each pair is compared once. The goroutines end before it returns.
func (r *Register) compareAll(progress func(done int) bool) {
	var (
		mu      sync.Mutex // of what follows
		next    int
		done    int
		stopped bool
		all     sync.WaitGroup
	)
	take := func() (from int, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		if stopped || next >= len(r.parties) {
			return 0, false
		}
		from, next = next, next+loadStep
		return from, true
	}
	give := func(found map[pair][]Found) {
		mu.Lock()
		defer mu.Unlock()
		for p, links := range found {
			r.links[p] = links
		}
		done = min(done+loadStep, len(r.parties))
		stopped = stopped || progress != nil && !progress(done)
	}
	for range max(1, runtime.GOMAXPROCS(0)) {
		all.Go(func() {
			var near []int32
			for from, ok := take(); ok; from, ok = take() {
				found := map[pair][]Found{}
				for i := from; i < min(from+loadStep, len(r.parties)); i++ {
					near = r.candidates(int32(i), near[:0])
					for _, j := range near {
						p := pair{j, int32(i)}
						if links := r.compare(p); len(links) > 0 {
							found[p] = links
						}
					}
				}
				give(found)
			}
		})
	}
	all.Wait()
}
