package nvml

import (
	"encoding/binary"
	"math"

	nv "github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// clockHistory integrates the SM clock over the samples that the driver buffers,
// which are denser than ours.
type clockHistory struct {
	seenUS uint64 // newest sample taken, in the driver's microseconds
	newUS  uint64 // seenUS once the reading is accepted
}

// mean returns the mean clock in MHz of the time that the rows cover, each
// holding since the one before it; ok is false without rows newer than the last
// taken. The first row after a start has no beginning and is left out.
func (c *clockHistory) mean(kind nv.ValueType, rows []nv.Sample) (mhz float64, ok bool) {
	last := c.seenUS
	var sum, span float64
	for i := range rows {
		at := rows[i].TimeStamp
		if at <= last {
			continue
		}
		v, valid := sampleValue(kind, rows[i].SampleValue)
		if last > 0 && valid && v > 0 {
			sum += v * float64(at-last)
			span += float64(at - last)
		}
		last = at
	}
	c.newUS = last
	if span == 0 {
		return 0, false
	}
	return sum / span, true
}

func sampleValue(kind nv.ValueType, raw [8]byte) (float64, bool) {
	bits := binary.NativeEndian.Uint64(raw[:])
	switch kind {
	case nv.VALUE_TYPE_DOUBLE:
		v := math.Float64frombits(bits)
		return v, !math.IsNaN(v) && v >= 0
	case nv.VALUE_TYPE_UNSIGNED_INT:
		return float64(uint32(bits)), true
	case nv.VALUE_TYPE_UNSIGNED_LONG, nv.VALUE_TYPE_UNSIGNED_LONG_LONG:
		return float64(bits), bits != unlimited
	case nv.VALUE_TYPE_SIGNED_LONG_LONG:
		return float64(int64(bits)), int64(bits) >= 0
	case nv.VALUE_TYPE_SIGNED_INT:
		return float64(int32(bits)), int32(bits) >= 0
	case nv.VALUE_TYPE_UNSIGNED_SHORT:
		return float64(uint16(bits)), true
	}
	return 0, false
}

// clockMean adds the integrated clock to a sample.
func (w *worker) clockMean(s *measure.Sample) {
	if w.disabled[callSamples] {
		return
	}
	kind, rows, ret := w.hot.clocks(w.clocks.seenUS)
	if ok, _ := w.try(callSamples, ret); !ok {
		return // NOT_FOUND: nothing newer yet
	}
	if mhz, ok := w.clocks.mean(kind, rows); ok {
		s.SetGauge(measure.SMClockMeanMHz, mhz)
	}
}
