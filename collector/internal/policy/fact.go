package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

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
	unitDays
	unitPercent // 0 to 100
)

// unitNames are what units are called in packs.
var unitNames = []string{"operations", "operations_per_second", "devices", "days", "percent"}

func (u unit) name() string { return unitNames[u] }

// UnitName is the unit of the rule's threshold.
func (r *Rule) UnitName() string { return measures[r.Measure].unit.name() }

// checkUnit refuses a unit that is not the measure's. A pack may say it, so that
// nobody takes one for another.
func checkUnit(key, said string, u unit, fault func(key, rule string)) {
	switch {
	case said == "" || said == u.name():
	case !slices.Contains(unitNames, said):
		fault(key+"unit", "is unknown: must be one of "+strings.Join(unitNames, ", "))
	default:
		fault(key+"unit", "must be "+u.name()+", which the measure is in")
	}
}

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
	AccountAgeDays:       {unitDays, true, true, false},
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

// Keys returns the facts that the rules about customers, or about runs, look at.
func (p *Pack) Keys(ofCustomers bool) []FactKey {
	var keys []FactKey
	add := func(k FactKey) {
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	for i := range p.Rules {
		r := &p.Rules[i]
		if r.OfCustomers() != ofCustomers {
			continue
		}
		add(r.Key())
		for j := range r.And {
			r.And[j].keys(add)
		}
	}
	return keys
}

func (c *Condition) keys(add func(FactKey)) {
	for _, part := range slices.Concat(c.All, c.Any) {
		part.keys(add)
	}
	if c.Measure != "" {
		add(c.key())
	}
}

// key names the fact that a condition looks at.
func (c *Condition) key() FactKey {
	return FactKey{c.Measure, c.WindowDays, c.NetworkGbitS, c.CountryGroup}
}
