// Package accel is the catalogue of accelerators: what each kind of hardware can
// compute at most. Rates are dense; structured sparsity is never credited.
//
// A device is looked up by its exact name, then by its PCI id. A device that is
// in no row gets a derived model, never the row of another: its ceiling is meant
// to be true and its best to be plausible, and its grade says so.
package accel

import "github.com/flopwatch/flopwatch/pkg/compute"

// Grade is the confidence in a row of the catalogue.
type Grade string

// The grades: A vendor sheet and arithmetic agree within 3.5 %; B vendor value
// with some field derived; C secondary source; derived is no row at all.
const (
	GradeA  Grade = "A"
	GradeB  Grade = "B"
	GradeC  Grade = "C"
	Derived Grade = "derived"
)

// Model is one kind of accelerator.
type Model struct {
	SKU, Vendor, Arch, CC string
	Names                 []string // exact device names as drivers print them
	PCIIDs                []string // four hex digits, upper case
	SMCount               int      // streaming multiprocessors; compute units on AMD
	CoresPerSM            int
	PeakTensorMHz         int // clock at which the tensor peaks are quoted, 0 if unknown
	MaxSMMHz              int
	MemoryGB              []int // variants
	TDPWatts              int
	HasGPM                bool
	Grade                 Grade
	Notes                 string

	// OpsPerClock are dense operations per clock and SM (a fused multiply-add is
	// two). A precision that is missing is not supported or not known.
	OpsPerClock map[compute.Precision]int
	// Peaks are the vendor's dense peaks.
	Peaks map[compute.Precision]compute.Rate

	trainingPeak, ceiling compute.Rate
}

// TrainingPeak returns the dense FP16/BF16 peak, the basis of best figures.
func (m Model) TrainingPeak() compute.Rate { return m.trainingPeak }

// Ceiling returns the fastest dense rate at any precision, at the highest clock:
// the honest upper bound of what a device can do.
func (m Model) Ceiling() compute.Rate { return m.ceiling }

// Peak returns the dense peak at a precision and whether the catalogue has one.
func (m Model) Peak(p compute.Precision) (compute.Rate, bool) {
	r, ok := m.Peaks[p]
	return r, ok
}

// settle computes the rates that lookups return. Tensor peaks are quoted below
// the highest clock, so the ceiling takes the quicker of sheet and arithmetic.
func (m *Model) settle() {
	m.trainingPeak = m.Peaks[compute.BF16]
	for _, r := range m.Peaks {
		m.ceiling = max(m.ceiling, r)
	}
	for _, w := range m.OpsPerClock {
		m.ceiling = max(m.ceiling, compute.Rate(int64(m.SMCount)*int64(w)*int64(m.MaxSMMHz)))
	}
}
