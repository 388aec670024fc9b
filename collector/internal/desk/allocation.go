package desk

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Allocation says that what it selects was given to a tenant from when to when.
// It outranks what a host claims.
type Allocation struct {
	ID           string
	Host         string // id, or the name that it reports; "" is every host
	Device       measure.DeviceID
	WorkloadKind measure.WorkloadKind
	WorkloadID   string
	Tenant       measure.TenantID
	FromNS       int64
	ToNS         int64 // 0 has no end; FromNS means withdrawn
	RecordedNS   int64 // when the collector took it
}

// CorrectionID numbers correcting entries in the order in which they were made.
type CorrectionID int64

const correctionPrefix = "cor_"

// String is the id as people and programs see it, as cor_17.
func (id CorrectionID) String() string { return correctionPrefix + strconv.FormatInt(int64(id), 10) }

// ParseCorrectionID reads what String writes, and nothing else.
func ParseCorrectionID(s string) (CorrectionID, error) {
	digits, ok := strings.CutPrefix(s, correctionPrefix)
	n, err := strconv.ParseInt(digits, 10, 64)
	if id := CorrectionID(n); ok && err == nil && n > 0 && id.String() == s {
		return id, nil
	}
	return 0, fmt.Errorf("correction id %.40q: must be %s and a number", s, correctionPrefix)
}

// Correction is an entry that gives a part of a segment to another owner.
type Correction struct {
	ID           CorrectionID
	Segment      int64
	Host         string
	HostName     string
	Device       measure.DeviceID
	Workload     measure.Workload
	Method       measure.MethodName
	FromNS, ToNS int64
	StateBefore  measure.State
	TenantBefore measure.TenantID
	StateAfter   measure.State
	TenantAfter  measure.TenantID
	Duration     time.Duration
	Operations   compute.Bounds
	Ceiling      compute.Operations
	EnergyMJ     int64 // -1 if not known
	RecordedNS   int64
}
