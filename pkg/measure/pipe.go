package measure

import (
	"math"

	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// pipe is one execution pipe with the dense operations per cycle and SM that
// its activity can mean.
type pipe struct {
	gauge           Gauge
	counter         Counter
	low, best, high uint64
	float           bool // its precision is an interval that a declaration narrows
}

// pipesOf lists the pipes whose operations are counted. Integer arithmetic of
// the CUDA cores is left out: it is addressing and loops, not the computation
// that the rules speak of.
func pipesOf(m accel.Model) []pipe {
	w := func(p compute.Precision) uint64 { return uint64(m.OpsPerClock[p]) }
	var pipes []pipe
	if bf16 := w(compute.BF16); bf16 > 0 {
		low, _, high := floatRates(m)
		// HMMA holds every floating format of the tensor cores up to 32 bit: an FP8
		// run on Hopper moved HMMA and left IMMA flat.
		pipes = append(pipes, pipe{HMMA, CycHMMA, low, bf16, high, true})
	}
	if int8 := w(compute.INT8); int8 > 0 {
		pipes = append(pipes, pipe{IMMA, CycIMMA, int8, int8, int8, false})
	}
	if fp64 := w(compute.FP64Tensor); fp64 > 0 {
		pipes = append(pipes, pipe{DMMA, CycDMMA, fp64, fp64, fp64, false})
	}
	// CUDA cores: activity counts issue slots, and a slot holds a multiply-add (two
	// operations) or a plain operation (one).
	if fp32 := w(compute.FP32); fp32 > 0 {
		pipes = append(pipes, pipe{FP32, CycFP32, fp32 / 2, fp32, fp32, false}, pipe{FP16, CycFP16, fp32, 2 * fp32, 4 * fp32, false})
	}
	if fp64 := m.Peaks[compute.FP64]; fp64 > 0 && m.SMCount > 0 && m.MaxSMMHz > 0 {
		slots := uint64(math.Round(float64(fp64) / float64(m.SMCount*m.MaxSMMHz)))
		pipes = append(pipes, pipe{FP64, CycFP64, slots / 2, slots, slots, false})
	}
	return pipes
}

// floatRates returns the operations per cycle and SM of the floating-point
// tensor pipe: at the slowest format that it may hold, at 16 bit, and at the
// fastest.
func floatRates(m accel.Model) (low, best, high uint64) {
	w := func(p compute.Precision) uint64 { return uint64(m.OpsPerClock[p]) }
	best = w(compute.BF16)
	low = best
	if tf32 := w(compute.TF32); tf32 > 0 {
		low = tf32
	}
	return low, best, max(best, w(compute.FP8), w(compute.FP4))
}

// tally adds up the operations of pipes.
type tally struct {
	ops   compute.Bounds
	float compute.Operations
	seen  bool
}

// add counts a pipe that was active for so many SM cycles, at the low, best and
// high reading of them; errorPermille is the relative error of the method.
func (t *tally) add(p *pipe, cycles [3]uint64, sms, errorPermille uint64) {
	best := product(cycles[1], sms*p.best, 1000, compute.Nearest)
	t.ops = t.ops.Add(compute.Bounds{
		Low:  product(cycles[0], sms*p.low, 1000-errorPermille, compute.Down),
		Best: best,
		High: product(cycles[2], sms*p.high, 1000+errorPermille, compute.Up),
	})
	if p.float {
		t.float = t.float.Add(best)
	}
	t.seen = true
}
