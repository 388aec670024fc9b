package desk

import "github.com/flopwatch/flopwatch/pkg/compute"

// RunDay is what a run did on one of its last days. Days end at the watermark and
// are 24 hours long; how much lies within a day is spread evenly over what was
// read as one, so a day has a best figure and no interval of its own.
type RunDay struct {
	ToNS int64
	Best compute.Operations
}

// CustomerDay is what a customer's own tenants did on one day of UTC, over all their
// runs.
type CustomerDay struct {
	ToNS       int64 // end of the day
	Operations compute.Bounds
}
