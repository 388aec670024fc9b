package outbox

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// Events travel with the next batch, also where there is no window; one of a
// device that the batch does not list still gets through.
func TestEvents(t *testing.T) {
	box := open(t, t.TempDir(), options())
	lane := lane(t, box, "a")
	lane.Tell([]measure.Event{
		{TimeNS: 5, Device: "GPU-1", Kind: measure.EventXid, Code: 79},
		{TimeNS: 6, Device: "GPU-whole", Kind: measure.EventXid, Code: 31, Detail: strings.Repeat("é", 200)},
	})
	if err := lane.Describe([]wire.DeviceRow{{Device: measure.Device{ID: "GPU-2"}}}); err != nil {
		t.Fatal(err)
	}
	lane.Tell([]measure.Event{{TimeNS: 7, Device: "GPU-2", Kind: measure.EventBack}})
	many := make([]measure.Event, 2*wire.MaxEvents)
	for i := range many {
		many[i] = measure.Event{TimeNS: int64(i), Kind: measure.EventReader}
	}
	lane.Tell(many)
	if err := lane.Close(); err != nil {
		t.Fatal(err)
	}
	if err := box.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	batches := shipped(t, box.Spool())
	if len(batches) != 2 {
		t.Fatalf("%d batches", len(batches))
	}
	first := batches[0].Events
	if len(first) != 2 || first[0].Device != "GPU-1" || first[1].Device != "" || !strings.HasPrefix(first[1].Detail, "GPU-whole é") {
		t.Errorf("events %+v", first)
	}
	if diff := cmp.Diff(measure.Event{TimeNS: 7, Device: "GPU-2", Kind: measure.EventBack}, batches[1].Events[0]); diff != "" || len(batches[1].Events) != wire.MaxEvents {
		t.Errorf("%d events (-want +got):\n%s", len(batches[1].Events), diff)
	}
}
