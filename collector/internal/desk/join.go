package desk

import (
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Join says why two workloads are in one run.
type Join struct {
	ID        string // jon_…
	Run       string
	Kind      training.Kind
	FromPart  training.PartKey // began earlier
	ToPart    training.PartKey
	FromLabel string
	ToLabel   string
	AtNS      int64         // start of the later one
	Gap       time.Duration // in time, from the end of the earlier one; negative where they overlap
	Bits      int
	Evidence  []training.Evidence
	Weights   string // that weighed it: id, version and digest
	Verdict   training.Verdict
	Reason    string // of the verdict
	By        string
}

// RunChange is one line of the history of runs.
type RunChange struct {
	AtNS       int64
	Tenant     measure.TenantID
	Run        string
	Act        training.Act
	Other      string         // run that it came out of or went into, "" for none
	Operations compute.Bounds // of the run after the change; of one that is gone, what it had last
}
