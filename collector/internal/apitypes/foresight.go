package apitypes

import "time"

// Reservation is accelerators held for a tenant.
type Reservation struct {
	ID           string    `json:"id"`
	Tenant       string    `json:"tenant"`
	Accelerator  string    `json:"accelerator"`
	Devices      int       `json:"devices"`
	From         time.Time `json:"from"`
	To           time.Time `json:"to"`
	NetworkGbitS int       `json:"network_gbit_s,omitempty" doc:"Absent where it is not stated"`
	DeclaredUse  string    `json:"declared_use,omitempty" doc:"training, inference or other; absent where nobody said"`
	Withdrawn    bool      `json:"withdrawn,omitempty"`
	Most         string    `json:"most" doc:"What the devices can do in its time at peak, single operations"`
	Recorded     time.Time `json:"recorded,omitzero"`
}

// Forecast is what is foreseen for one run, customer or reservation.
type Forecast struct {
	Subject      string         `json:"subject" doc:"run_…, cus_…, tenant:… or reservation:…"`
	Label        string         `json:"label"`
	Tenant       string         `json:"tenant,omitempty"`
	CustomerID   string         `json:"customer_id,omitempty"`
	CustomerName string         `json:"customer_name,omitempty"`
	Done         Bounds         `json:"done"`
	PerDay       ForecastRate   `json:"per_day"`
	Days         int            `json:"days" doc:"That the rate rests on"`
	Young        bool           `json:"young" doc:"Too few days to know how they differ: the spread is a stated one"`
	Active       bool           `json:"active" doc:"Something goes on"`
	Method       string         `json:"method"`
	Thresholds   []ForecastLine `json:"thresholds"`
}

// ForecastRate is operations per day, as decimal strings.
type ForecastRate struct {
	P10    string `json:"p10"`
	Median string `json:"median"`
	P90    string `json:"p90"`
}

// ForecastLine is when one threshold is crossed.
type ForecastLine struct {
	Pack      string           `json:"pack"`
	Rule      string           `json:"rule"`
	Title     string           `json:"title"`
	Threshold string           `json:"threshold"`
	Crossed   bool             `json:"crossed" doc:"It is crossed already"`
	Earliest  time.Time        `json:"earliest,omitzero" doc:"One draw in ten crosses sooner; absent beyond the horizon"`
	Likely    time.Time        `json:"likely,omitzero"`
	Latest    time.Time        `json:"latest,omitzero" doc:"One draw in ten crosses later"`
	Could     time.Time        `json:"could,omitzero" doc:"When all that is reserved at peak would cross"`
	Chances   []ForecastChance `json:"chances"`
}

// ForecastChance is the probability that a threshold is crossed by a time.
type ForecastChance struct {
	By          time.Time `json:"by"`
	Probability float64   `json:"probability"`
}

// Campaign is runs of one customer that follow each other.
type Campaign struct {
	ID           string    `json:"id"`
	Subject      string    `json:"subject"`
	CustomerName string    `json:"customer_name,omitempty"`
	Runs         []string  `json:"runs"`
	Start        time.Time `json:"start"`
	End          time.Time `json:"end"`
	Operations   Bounds    `json:"operations" doc:"Of all of them; runs are never merged for it"`
	Why          string    `json:"why"`
}

// Capability is what devices of a customer that are connected can do.
type Capability struct {
	Subject      string  `json:"subject"`
	CustomerName string  `json:"customer_name,omitempty"`
	NetworkGbitS int     `json:"network_gbit_s"`
	Low          float64 `json:"low" doc:"Operations per second of devices known to be connected"`
	Best         float64 `json:"best"`
	High         float64 `json:"high" doc:"With those of which it is not known"`
}
