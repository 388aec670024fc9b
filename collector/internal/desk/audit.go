package desk

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/audit"
)

// AuditID numbers the entries of the audit log from 1: the place in the log and one.
type AuditID int64

const auditPrefix = "aud_"

// String is the id as people and programs see it, as aud_17.
func (id AuditID) String() string { return auditPrefix + strconv.FormatInt(int64(id), 10) }

// ParseAuditID reads what String writes, and nothing else.
func ParseAuditID(s string) (AuditID, error) {
	digits, ok := strings.CutPrefix(s, auditPrefix)
	n, err := strconv.ParseInt(digits, 10, 64)
	if id := AuditID(n); ok && err == nil && n > 0 && id.String() == s {
		return id, nil
	}
	return 0, fmt.Errorf("audit id %.40q: must be %s and a number", s, auditPrefix)
}

// AuditEntry is an entry of the audit log.
type AuditEntry struct {
	ID AuditID
	audit.Entry
}

// AuditCheck is the verdict on the audit log.
type AuditCheck struct {
	Intact      bool
	Entries     int64
	Objects     int64 // that the log protects
	Checkpoints int64
	Signed      int64    // entries under the newest checkpoint that holds
	ClockBack   int      // entries that are dated before an earlier one: the clock was set
	Problems    []string // one line per entry or object, at most 100
}
