package desk

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
