package apitypes

import "time"

// RunDay is what a run did in 24 hours.
type RunDay struct {
	Until time.Time `json:"until" doc:"End of the 24 hours"`
	Best  string    `json:"best" doc:"Single operations, best estimate; the interval is the run's own"`
}

// CustomerDay is what a customer's own tenants did on a day of UTC.
type CustomerDay struct {
	Until      time.Time `json:"until" doc:"End of the day"`
	Operations Bounds    `json:"operations"`
}
