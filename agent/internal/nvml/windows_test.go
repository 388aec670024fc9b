package nvml

import (
	"math"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// From the driver's counters to windows: a tensor pipe that is busy 40 % of the
// cycles of 132 SMs at 1755 MHz, at 4096 dense BF16 operations a cycle.
func TestReadingsBecomeOperations(t *testing.T) {
	const perSecond = 0.40 * 132 * 4096 * 1755e6
	for _, method := range []measure.MethodName{measure.Cycles, measure.GPM} {
		t.Run(string(method), func(t *testing.T) {
			script := "devices=2\n" + h100 + "metric.9=0\nmetric.12=0\nprocess=4242:1024:70\n"
			if method == measure.Cycles {
				script += "cycles=1\n"
			}
			p := play(t, scene{script: script, ticks: 25})
			if len(p.Windows) == 0 || p.OpenError != "" {
				t.Fatalf("no windows: %s", p.OpenError)
			}
			best := map[measure.DeviceID]float64{}
			elapsed := map[measure.DeviceID]time.Duration{}
			for _, w := range p.Windows {
				if !w.Balanced() {
					t.Errorf("window %+v does not balance", w)
				}
				for _, e := range w.Entries {
					if e.State != measure.Attributed || e.Tenant != "ten-a" || e.Method.Name != method {
						t.Errorf("entry %+v, want it attributed to ten-a by %s", e, method)
					}
					best[w.Device] += e.Operations.Best.Float()
					elapsed[w.Device] += e.Duration
				}
			}
			for _, d := range p.Devices {
				got := best[d.ID] / elapsed[d.ID].Seconds()
				if math.Abs(got/perSecond-1) > 0.03 {
					t.Errorf("%s: best %.4g operations/s over %v, want %.4g", d.ID, got, elapsed[d.ID], perSecond)
				}
			}
		})
	}
}
