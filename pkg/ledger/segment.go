// Package ledger keeps the account of every device-second and operation.
//
// Windows become segments: one row per continuous stretch of one device in one
// state, workload, tenant and method. For each device the seconds of its
// segments add up to the time since it was first seen. The package is pure; the
// store keeps what it decides.
package ledger

import (
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// HostID names an enrolled host: 26 lower-case base32 characters.
type HostID string

// Key is what the windows of one segment have in common.
type Key struct {
	Host     HostID
	Device   measure.DeviceID
	State    measure.State
	Workload measure.Workload
	Tenant   measure.TenantID
	Method   measure.Method
	Claim    Claim
}

// Claim is what a host says of time that an allocation decided otherwise. The
// zero value means that what is counted is what the host says.
type Claim struct {
	State  measure.State
	Tenant measure.TenantID
}

// Segment is one continuous stretch. DurationNS may be less than EndNS-StartNS
// when a device was shared within its windows.
type Segment struct {
	ID         int64 // the ledger's own number, grows from 1
	DeviceNo   int64 // number of the account
	Key        Key
	StartNS    int64
	EndNS      int64
	DurationNS int64
	Operations compute.Bounds
	Ceiling    compute.Operations
	EnergyMJ   int64 // -1 if not known

	FloatTensor compute.Operations // part of Operations.Best, see measure.Entry

	// Rhythm is how its power moved from window to window, encoded as package
	// rhythm does; "" where no whole window of the usual length had an energy.
	Rhythm string
}
