package fleet_test

import (
	"compress/gzip"
	"encoding/csv"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// The recordings of node power know no device: an eighth of a node stands for
// each of its devices, host and all, so figures of it are on the high side.

// meter is the power of one recording, in the order of its file.
type meter struct {
	times []int64 // Unix nanoseconds
	watts []float64
}

// meters reads a file of the shared traces by recording; at gives the time of a
// row in Unix nanoseconds.
func meters(t *testing.T, file string, key func([]string) string, at func([]string) (int64, error), watts int) map[string]*meter {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "..", "..", "shared", "traces", file))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("the published power recordings are not here: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows := csv.NewReader(zr)
	rows.ReuseRecord = true
	all := map[string]*meter{}
	for n := 0; ; n++ {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			continue
		}
		ns, errTime := at(row)
		w, errWatts := strconv.ParseFloat(row[watts], 64)
		if err := errors.Join(errTime, errWatts); err != nil {
			t.Fatal(err)
		}
		m := all[key(row)]
		if m == nil {
			m = &meter{}
			all[key(row)] = m
		}
		m.times, m.watts = append(m.times, ns), append(m.watts, w)
	}
}

// account is what the windows of a device add up to.
type account struct {
	seconds, unobserved float64
	joules              float64
	ops                 compute.Bounds
	ceiling             compute.Operations
}

// play folds a recording as one device that draws a part of the node's power.
func (m *meter) play(t *testing.T, name string, devices int, period time.Duration, drop func(watts float64) bool) account {
	t.Helper()
	host := sampler.New([]measure.Device{{ID: "GPU-0", Name: name}}, measure.FoldConfig{Period: period, Window: 10 * time.Second})
	var a account
	add := func(windows []measure.Window) {
		for _, w := range windows {
			if !w.Balanced() {
				t.Fatalf("window %+v does not balance", w)
			}
			for _, e := range w.Entries {
				a.seconds += e.Duration.Seconds()
				if e.State == measure.Unobserved {
					a.unobserved += e.Duration.Seconds()
				}
				if e.EnergyMJ >= 0 {
					a.joules += float64(e.EnergyMJ) / 1000
				}
				a.ops = a.ops.Add(e.Operations)
				a.ceiling = a.ceiling.Add(e.Ceiling)
			}
		}
	}
	shares := []measure.Share{{State: measure.Attributed, Tenant: "t", PPM: 1_000_000}}
	for i := range m.times {
		if drop != nil && drop(m.watts[i]) {
			continue
		}
		s := measure.NewSample("GPU-0", m.times[i])
		s.SetGauge(measure.PowerMW, m.watts[i]*1000/float64(devices))
		add(host.Step([]sampler.Reading{{Sample: s, Shares: shares}}))
	}
	add(host.Flush())
	return a
}

// elapsed is the time from the first to the latest reading that is possible.
func (m *meter) elapsed() float64 {
	first, last := int64(0), int64(0)
	for i, at := range m.times {
		if m.watts[i] < 0 {
			continue
		}
		if first == 0 {
			first = at
		}
		last = max(last, at)
	}
	return float64(last-first) / 1e9
}

// TestTrainingPower plays the power of real training on H100 nodes: negative
// readings, times that run backwards and gaps of 23 s lose no second and move no
// total, and the figures hold the operations that were published.
func TestTrainingPower(t *testing.T) {
	all := meters(t, "mlperf-training-v4.0-h100-node-power/node_power.csv.gz",
		func(row []string) string { return row[0] + " " + row[1] },
		func(row []string) (int64, error) {
			ms, err := strconv.ParseInt(row[2], 10, 64)
			return ms * 1e6, err
		}, 3)
	if len(all) != 703 {
		t.Errorf("%d recordings, want 703", len(all))
	}
	const gpt3 = "smc-ac-power/64xSMC-H100-SXM-80GB/gpt3/"
	var total account
	nodes, negative := 0, 0
	for key, m := range all {
		a := m.play(t, "NVIDIA H100 80GB HBM3", 8, 2*time.Second, nil)
		if d := a.seconds - m.elapsed(); d > 1e-6 || d < -1e-6 {
			t.Errorf("%s: %.3f s accounted for of %.3f s", key, a.seconds, m.elapsed())
		}
		if !a.ops.Valid() || a.ops.Low != 0 || a.ops.High > a.ceiling || a.ops.Best > a.ops.High {
			t.Errorf("%s: %s, ceiling %s", key, a.ops, a.ceiling)
		}
		impossible := false
		for _, w := range m.watts {
			impossible = impossible || w < 0
		}
		if impossible {
			negative++
			without := m.play(t, "NVIDIA H100 80GB HBM3", 8, 2*time.Second, func(w float64) bool { return w < 0 })
			if without != a {
				t.Errorf("%s: with readings that cannot be %+v, without them %+v", key, a, without)
			}
		}
		if len(key) > len(gpt3) && key[:len(gpt3)] == gpt3 {
			nodes++
			total.joules += 8 * a.joules
			total.seconds += 8 * a.seconds
			total.unobserved += 8 * a.unobserved
			for range 8 {
				total.ops = total.ops.Add(a.ops)
			}
		}
	}
	if negative != 2 {
		t.Errorf("%d recordings hold negative readings, want 2", negative)
	}
	kwh := total.joules / 3.6e6
	t.Logf("gpt3 on %d nodes: %.2f kWh (published 415.26), %s, %.2f %% not observed", nodes, kwh, total.ops, 100*total.unobserved/total.seconds)
	if nodes != 64 || kwh < 415.26*0.99 || kwh > 415.26*1.01 {
		t.Errorf("gpt3 on %d nodes took %.2f kWh, want 415.26 within 1 %%", nodes, kwh)
	}
	const truth = 1.268e21
	if best := total.ops.Best.Float(); best < truth/2 || best > truth*2 || total.ops.High.Float() < truth {
		t.Errorf("gpt3: %s, want %g inside and best within a factor of two", total.ops, truth)
	}
}

// TestInferencePower plays the power of real A100 servers under inference load:
// "no reading" is a gap, and what is left gives bounded figures.
func TestInferencePower(t *testing.T) {
	all := meters(t, "mlperf-inference-v2.0-a100-node-power/power.csv.gz",
		func(row []string) string { return row[0] },
		func(row []string) (int64, error) {
			at, err := time.Parse("2006-01-02T15:04:05.999", row[1])
			return at.UnixNano(), err
		}, 2)
	if len(all) != 64 {
		t.Errorf("%d recordings, want 64", len(all))
	}
	peak := compute.RateFromTera(312)
	for key, m := range all {
		a := m.play(t, "NVIDIA A100-SXM4-80GB", 4, time.Second, nil)
		if d := a.seconds - m.elapsed(); d > 3.1 || d < -1e-6 { // "no reading" may end a recording
			t.Errorf("%s: %.3f s accounted for of %.3f s", key, a.seconds, m.elapsed())
		}
		d := time.Duration(a.seconds * 1e9)
		if !a.ops.Valid() || a.ops.Low != 0 || a.ops.High > a.ceiling+1 || a.ops.Best > (peak/100*41).Over(d, compute.Up) {
			t.Errorf("%s: %s over %s", key, a.ops, d)
		}
	}
}
