// Package training judges which workloads serve one training run, and which
// runs serve one campaign. It is pure, and the order in which workloads come to
// be known changes nothing.
//
// It works in three steps. What one workload did on its hosts is a part: a
// scheduler's job is one part whatever hosts it has, a virtual machine is one
// part by itself. Parts that ran at the same time and whose evidence adds up to
// the threshold are one attempt: joined in space. An attempt that takes up
// where an earlier one ended goes on with its run: joined in time.
//
// Evidence has weights in bits, as in record linkage (Fellegi and Sunter 1969):
// the logarithm of how much likelier it is between parts of one run than
// between others. A join keeps its evidence. A person can undo or confirm it,
// and what they said is one more input here, so that taking it back gives what
// was there before.
//
// No step looks at all pairs. Candidates share a communicator, a fabric, a
// peer, a start, a rhythm, an image or hosts, and of those that share one only
// neighbours in order are weighed, so the work grows as n log n.
package training

import (
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Stretch is what one workload did on one host with one accelerator, without a
// gap longer than Weights.Time.Gap. The fields after EndNS are evidence; each
// may be empty, which means not known.
type Stretch struct {
	Host        string
	Workload    measure.Workload
	Accelerator string
	StartNS     int64
	EndNS       int64
	// KnownNS is up to when its host is known. A host of which nothing is heard has
	// not ended what it did. 0 is as far as the fleet is known.
	KnownNS int64
	Devices int

	Communicators   []string // hashes of NCCL communicators
	Fabrics         []string // NVLink domains of several hosts
	Peers           []Peer   // hosts with which it exchanged most
	Rhythm          Rhythm
	Activity        Curve
	Image           string // digest of what it runs
	ReadCheckpoint  string // digest or name of what it read at its start
	WroteCheckpoint string // of what it wrote last
}

// Peer is traffic of one stretch with another host.
type Peer struct {
	Host          string
	SentBytes     int64
	ReceivedBytes int64
}

// Rhythm is the beat of a workload's steps, as power or activity shows it.
// PeriodNS 0 is not known.
type Rhythm struct {
	PeriodNS int64
	PhaseNS  int64 // Unix time of one beat
}

// Curve is activity over time in any unit that is proportional to it, such as
// watts: the mean of each step. A value that was not read is NaN.
type Curve struct {
	StartNS int64
	StepNS  int64
	Values  []float32
}

// PartKey names a part for ever. A job is known by kind and id, anything else
// by kind, id and host.
type PartKey string

// Knowledge is what is known beside the stretches.
type Knowledge struct {
	Weights   *Weights // nil is Default()
	Decisions []Decision
	// UntilNS is up to when the fleet is known: what stopped before has ended and
	// is not merely seen up to now. 0 is the end of the newest stretch.
	UntilNS int64
	// Runs is the run that each part was in at the last derivation. A run keeps
	// its id as long as its founding part is in it.
	Runs map[PartKey]string
}

// Part is what one workload did on its hosts.
type Part struct {
	Key         PartKey
	Workload    measure.Workload
	Hosts       []string // ascending
	Accelerator string   // of most devices
	Devices     int
	StartNS     int64
	EndNS       int64
	Members     []int // indexes of the stretches, ascending
}

// Run is a set of parts that serve one effort.
type Run struct {
	ID       string // run_…
	Label    string
	JoinedBy string // the evidence, in words
	Attempts int    // starts of it, each on all its hosts
	Parts    []Part // by start
	Joins    []Join // by the start of the later part; one fewer than parts
	Members  []int  // indexes of the stretches, ascending
}

// Kind says along what a join goes.
type Kind string

// The kinds of join.
const (
	Space Kind = "space" // at the same time
	Time  Kind = "time"  // one after the other
)

// Join says why two parts are in one run.
type Join struct {
	ID        string // jon_…
	Kind      Kind
	From, To  PartKey // From began earlier
	FromLabel string
	ToLabel   string
	Bits      int // sum of the evidence
	Evidence  []Evidence
	Gap       time.Duration // from the end of the one to the start of the other; negative where they overlap
	Confirmed bool          // by a person
}

// Evidence is one piece of it.
type Evidence struct {
	Name   string // as in the weights
	Bits   int    // negative speaks against
	Detail string // in words
}
