package ledger

import (
	"fmt"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Segments that can no longer grow leave the memory, or a year of jobs would
// stay in it.
func TestClosedSegmentsAreForgotten(t *testing.T) {
	l := New()
	b := &Batch{Host: "h", Devices: []Device{{Device: measure.Device{ID: "GPU-0"}}}}
	for i := range int64(1000) {
		at := (1 + 20*i) * int64(time.Second) // a hole before each
		b.Windows = []measure.Window{{Device: "GPU-0", StartNS: at, EndNS: at + int64(time.Second), Entries: []measure.Entry{{
			State: measure.Attributed, Workload: measure.Workload{ID: fmt.Sprint(i)}, Duration: time.Second,
		}}}}
		if err := l.Apply(b); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(l.Take().Opened); n != 1999 {
		t.Errorf("%d segments were opened, want 1999", n)
	}
	if n := len(l.hosts["h"].account("GPU-0").open); n != 1 {
		t.Errorf("%d segments are open, want 1", n)
	}
	for _, s := range l.hosts["h"].dirtySegments[:cap(l.hosts["h"].dirtySegments)] {
		if s != nil {
			t.Fatal("a segment that was given out is still held")
		}
	}
}
