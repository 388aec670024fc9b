package exporter_test

import (
	"fmt"
	"io"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"github.com/flopwatch/flopwatch/agent/internal/exporter"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// crowd adds a window of each of n tenants.
func crowd(e *exporter.Exporter, n int) {
	for i := range n {
		e.Windows([]measure.Window{window("GPU-0", measure.TenantID(fmt.Sprintf("tenant-%d", i)))})
	}
}

func series(s string) int {
	return strings.Count(s, "flopwatch_operations_total{") + strings.Count(s, "flopwatch_device_seconds_total{")
}

func TestTooManyTenants(t *testing.T) {
	e := filled()
	crowd(e, 20_000)
	got := text(t, e)
	if n := series(got); n > 10_000 {
		t.Errorf("%d series, want at most 10,000", n)
	}
	families := parse(t, got)
	if !strings.Contains(got, `tenant="_other"`) || value(families["flopwatch_series_overflow_total"]) == 0 {
		t.Error("what was too much is not shown")
	}
	if n := value(families["flopwatch_series_dropped_total"]); n != 0 {
		t.Errorf("%v series dropped, though all grew within a day", n)
	}
	total := 0.0
	for _, m := range families["flopwatch_device_seconds_total"].GetMetric() {
		total += m.GetCounter().GetValue()
	}
	if total != 20_003*10 {
		t.Errorf("%v s in all, want those of each window", total)
	}
}

// later is the window of a tenant that much later.
func later(tenant measure.TenantID, after time.Duration) measure.Window {
	w := window("GPU-0", tenant)
	w.StartNS, w.EndNS = w.StartNS+int64(after), w.EndNS+int64(after)
	return w
}

// Those idle for less than a day stay, though room is short.
func TestRecentTenantsStay(t *testing.T) {
	e := filled()
	crowd(e, 2_000)
	for i := range 1_000 {
		e.Windows([]measure.Window{later(measure.TenantID(fmt.Sprintf("new-%d", i)), 23*time.Hour)})
	}
	if got := text(t, e); !strings.Contains(got, `tenant="tenant-8"`) || !strings.Contains(got, `tenant="_other"`) || !strings.Contains(got, "flopwatch_series_dropped_total 0\n") {
		t.Error("tenants of the day were dropped")
	}
}

// Those idle for a day make room for new ones, and only when room is short.
func TestIdleTenantsAreDropped(t *testing.T) {
	e := filled()
	crowd(e, 2_000)
	e.Windows([]measure.Window{later("tenant-7", 25*time.Hour)})
	if got := text(t, e); !strings.Contains(got, `tenant="tenant-8"`) {
		t.Error("a tenant was dropped while there was room")
	}
	for i := range 1_000 {
		e.Windows([]measure.Window{later(measure.TenantID(fmt.Sprintf("new-%d", i)), 25*time.Hour)})
	}
	got := text(t, e)
	for tenant, want := range map[string]bool{"tenant-7": true, "tenant-8": false, "new-0": true, "new-999": true, "_other": false} {
		if strings.Contains(got, `tenant="`+tenant+`"`) != want {
			t.Errorf("%s is there: %v, want %v", tenant, !want, want)
		}
	}
	// Those of tenant-7 stay; ten-a of GPU-0 goes, ten-b of GPU-9 with its idle time too.
	if n := value(parse(t, got)["flopwatch_series_dropped_total"]); n != 4*2001+1 {
		t.Errorf("%v series dropped, want %d", n, 4*2001+1)
	}
}

// Sums end at the largest count.
func TestSumsNeverFall(t *testing.T) {
	e := filled()
	huge := window("GPU-0", "ten-a")
	huge.Entries[0].Operations = compute.Bounds{Low: 1, Best: compute.MaxOperations - 1, High: compute.MaxOperations}
	huge.Entries[0].Duration = math.MaxInt64
	before := counters(parse(t, text(t, e)))
	for _, w := range []measure.Window{window("GPU-0", "ten-a"), huge, huge} {
		e.Windows([]measure.Window{w})
		after := counters(parse(t, text(t, e)))
		for key, v := range before {
			if after[key] < v {
				t.Errorf("%s fell from %v to %v", key, v, after[key])
			}
		}
		before = after
	}
	if got := text(t, e); !strings.Contains(got, `bound="high"} `+compute.MaxOperations.Decimal()+"\n") {
		t.Error("the sum is not the largest count")
	}
}

func TestImpossibleEntriesAreLeftOut(t *testing.T) {
	e := filled()
	before := text(t, e)
	negative, crossed, back := window("GPU-0", "ten-a"), window("GPU-0", "ten-a"), window("GPU-0", "ten-a")
	negative.Entries[0].Operations.Low = -1
	crossed.Entries[0].Operations.High = 0
	back.Entries[0].Duration = -time.Second
	for _, w := range []measure.Window{negative, crossed, back} {
		w.Entries = w.Entries[:1]
		e.Windows([]measure.Window{w})
		if diff := cmp.Diff(before, text(t, e)); diff != "" {
			t.Errorf("%+v changed (-before +after):\n%s", w.Entries[0], diff)
		}
	}
}

// counters returns the value of each series of the counters.
func counters(families map[string]*dto.MetricFamily) map[string]float64 {
	values := map[string]float64{}
	for name, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetType() == dto.MetricType_COUNTER {
				values[name+fmt.Sprint(m.GetLabel())] = m.GetCounter().GetValue()
			}
		}
	}
	return values
}

// Scrapes beside the sample loop see whole values.
func TestScrapeWhileReading(t *testing.T) {
	e := filled()
	crowd(e, 200)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		r := readings()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			e.Read(r)
			e.Holder("GPU-0", measure.TenantID(fmt.Sprint(i%2)))
			e.Devices(devices())
			crowd(e, 3)
		}
	})
	for range 20 {
		parse(t, text(t, e))
	}
	close(stop)
	wait.Wait()
}

func TestReadAllocatesNothing(t *testing.T) {
	e, r, w := filled(), readings(), []measure.Window{window("GPU-0", "ten-a")}
	if n := testing.AllocsPerRun(100, func() {
		e.Read(r)
		e.Holder("GPU-0", "ten-a")
		e.Waiting(1)
		e.Windows(w)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRead(b *testing.B) {
	e, r, w := filled(), readings(), []measure.Window{window("GPU-0", "ten-a")}
	b.ReportAllocs()
	for b.Loop() {
		e.Read(r)
		e.Holder("GPU-0", "ten-a")
		e.Windows(w)
	}
}

func BenchmarkScrape(b *testing.B) {
	for _, tenants := range []int{1, 5_000} {
		b.Run(fmt.Sprintf("tenants=%d", tenants), func(b *testing.B) {
			e := filled()
			crowd(e, tenants)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.WriteTo(io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
