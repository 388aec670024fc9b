package apitypes

// Forms of an export, and what they are called on the wire.
const (
	ExportCSV         = "csv"
	ExportNDJSON      = "ndjson"
	ExportCSVMedia    = "text/csv"
	ExportNDJSONMedia = "application/x-ndjson"
)

// ExportEndCell is the first cell of the last row of an export in CSV, behind which
// the number of its rows stands, and then its kind. No other row begins so.
const ExportEndCell = "#end"

// ExportEnd is the last line of an export in NDJSON. No other line has the key.
type ExportEnd struct {
	End *ExportTotal `json:"end"`
}

// ExportTotal is what a whole export holds.
type ExportTotal struct {
	Kind string `json:"kind"`
	Rows int64  `json:"rows"`
}
