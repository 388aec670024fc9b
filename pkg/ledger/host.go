package ledger

import (
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Host is one reporting host and how far its chain of batches has been counted.
type Host struct {
	No           int64 // the ledger's own number, grows from 1
	ID           HostID
	PublicKey    []byte // Ed25519, 32 bytes
	Name         string
	OS           string
	Kernel       string
	AgentVersion string
	Settings     int    // version of the settings that it says it runs, 0 for the default
	Attribution  string // how it learns who holds its devices
	BootID       string
	Position     Position
	Before       Position // of the row that was given out last; zero for a new host
	FirstNS      int64    // start of its first window, 0 before one
	LastNS       int64    // end of its newest window
	Batches      int64
	Clocks       Clocks
	Energy       Energy // of the slot that is being filled
}

// Device is one accelerator as its host describes it. It has the fields of
// wire.DeviceRow in the same order, so one converts to the other.
type Device struct {
	measure.Device
	SKU     string
	Grade   string
	Peak    compute.Rate // dense training peak: the basis of best
	Ceiling compute.Rate // fastest rate of any training precision: the basis of high
}

// Account is the account of one device on one host: it runs from the start of
// the first window to the end of the newest, without a hole.
//
// Accounts are per host and device, not per device: a host that names another
// host's device then spoils only its own account. One device on two hosts is
// for a rule to find.
type Account struct {
	No   int64 // the ledger's own number, grows from 1
	Host HostID
	Device
	FirstNS   int64
	LastNS    int64
	OverlapNS int64 // claimed twice and clipped out of the account
	Windows   int64
	// Recent operations and the observed time they took: the basis of best for
	// time that nobody saw. Stored, so that a restart changes no figure.
	RecentOperations compute.Operations
	RecentNS         int64
}

// Elapsed returns the nanoseconds that the account's segments must add up to.
func (a Account) Elapsed() int64 { return a.LastNS - a.FirstNS }
