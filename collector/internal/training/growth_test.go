package training

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/metrics"
	"syscall"
	"testing"
	"time"
)

// processor returns the processor time that this process has used.
func processor() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// heap watches the bytes of the heap, garbage included, and tells the most that
// there were beyond those at its start.
func heap() (stop func() uint64) {
	read := func() uint64 {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(sample)
		return sample[0].Value.Uint64()
	}
	runtime.GC()
	before, most, done, ended := read(), uint64(0), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			most = max(most, read())
			select {
			case <-done:
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() uint64 {
		close(done)
		<-ended
		return most - min(most, before)
	}
}

// A day of a fleet is joined well within a minute, and neither work nor memory
// grow faster than what there is to join. Processor time is what is held to the
// limit: wall time on a busy machine says nothing.
func TestDayOfFleet(t *testing.T) {
	sizes := []int{1_000, 2_000}
	if os.Getenv("FLOPWATCH_LONG") != "" {
		sizes = []int{1_000, 10_000, 100_000, 125_000}
	}
	for _, hosts := range sizes {
		t.Run(fmt.Sprintf("%d hosts", hosts), func(t *testing.T) {
			fleet := day(rand.New(rand.NewPCG(1, uint64(hosts))), hosts)
			n, runs := 0, 0
			for _, all := range fleet {
				n += len(all)
			}
			stop, used, began := heap(), processor(), time.Now()
			for tenant, all := range fleet {
				runs += len(Runs(tenant, all, Knowledge{UntilNS: 25 * hour}))
			}
			took, used := time.Since(began), processor()-used
			peak := stop()
			t.Logf("| %d | %d | %d | %.2f s | %.2f s | %.0f MB |", hosts, n, runs, took.Seconds(), used.Seconds(), float64(peak)/1e6)
			if used > 60*time.Second {
				t.Errorf("%s of processor time, more than a minute", used)
			}
			if most := uint64(8<<20 + 4096*n); peak > most {
				t.Errorf("%d bytes of heap for %d stretches, more than %d", peak, n, most)
			}
		})
	}
}
