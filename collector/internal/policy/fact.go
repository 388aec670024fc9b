package policy

import (
	"fmt"
	"strconv"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Measure is what a condition looks at.
type Measure string

// The measures. What a rule counts comes first; the others narrow it.
const (
	RunOperations        Measure = "run_operations"
	CustomerOperations   Measure = "customer_operations"    // of all runs, in the last window_days or since first use
	ProjectedOperations  Measure = "projected_operations"   // of a run or customer, at the end of the next window_days
	ClusterRate          Measure = "cluster_rate"           // peak operations per second of devices joined at network_gbit_s
	DeviceCount          Measure = "device_count"           // held at once
	AccountAgeDays       Measure = "account_age_days"       // since the customer's first account
	TrainingPercent      Measure = "training_percent"       // probability that a run is training
	BiologicalPercent    Measure = "biological_percent"     // probability that it trains on biological sequence data
	CoveragePercent      Measure = "coverage_percent"       // of the time that was observed
	HeadquartersInGroup  Measure = "headquarters_in_group"  // of the customer or its ultimate parent, in country_group: 100 or 0
	DeclaredBusinessNeed Measure = "declared_business_need" // 100 or 0
)

// unit is how the figures of a measure are written and compared.
type unit int

const (
	unitOperations unit = iota // whole giga-operations
	unitRate                   // mega-operations per second
	unitCount
	unitPercent // 0 to 100
)

// measures tells of each measure its unit and what its subject may be, and
// whether it only grows, so that a rule can count it.
var measures = map[Measure]struct {
	unit     unit
	run      bool
	customer bool
	counter  bool
}{
	RunOperations:        {unitOperations, true, false, true},
	CustomerOperations:   {unitOperations, false, true, true},
	ProjectedOperations:  {unitOperations, true, true, true},
	ClusterRate:          {unitRate, true, true, true},
	DeviceCount:          {unitCount, true, true, true},
	AccountAgeDays:       {unitCount, true, true, false},
	TrainingPercent:      {unitPercent, true, false, false},
	BiologicalPercent:    {unitPercent, true, false, false},
	CoveragePercent:      {unitPercent, true, true, false},
	HeadquartersInGroup:  {unitPercent, true, true, false},
	DeclaredBusinessNeed: {unitPercent, true, true, false},
}

// FactKey names a fact about a subject. The parameters are 0 or empty where the
// measure has none.
type FactKey struct {
	Measure      Measure
	WindowDays   int
	NetworkGbitS int
	CountryGroup string
}

// Figure is a fact with its bounds, in the unit of its measure: giga-operations,
// mega-operations per second, a count, or percent.
type Figure struct{ Low, Best, High int64 }

// Facts are what is known about a subject. What is not there is not known, which
// is neither 0 nor no.
type Facts map[FactKey]Figure

// Exactly returns a figure that is known exactly.
func Exactly(n int64) Figure { return Figure{n, n, n} }

func operationsFigure(b compute.Bounds) Figure {
	return Figure{int64(b.Low), int64(b.Best), int64(b.High)}
}

// parse reads a threshold in the unit.
func (u unit) parse(s string) (int64, error) {
	switch u {
	case unitOperations:
		n, err := compute.ParseOperations(s)
		return int64(n), err
	case unitRate:
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return 0, fmt.Errorf("rate %.40q: must be operations per second, such as 1e20", s)
		}
		r, err := compute.RateFromOpsPerSecond(v)
		return int64(r), err
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || u == unitPercent && n > 100 {
		return 0, fmt.Errorf("%.40q: must be a whole number", s)
	}
	return n, nil
}

// format writes a figure in the unit.
func (u unit) format(n int64) string {
	switch u {
	case unitOperations:
		return compute.Operations(n).String()
	case unitRate:
		return strconv.FormatFloat(compute.Rate(n).OpsPerSecond(), 'e', 2, 64) + " per second"
	case unitPercent:
		return strconv.FormatInt(n, 10) + " %"
	}
	return strconv.FormatInt(n, 10)
}
