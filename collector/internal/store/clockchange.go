package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// RuleWrongClock is the rule of findings about clocks, whether they show in the
// order of windows (package gap) or in what a host says of its clocks.
const RuleWrongClock = "G8 clock"

// writeClocks keeps how times of hosts are read from now on, and makes a finding
// of each clock that was wrong: one for each host, day and kind.
func writeClocks(ctx context.Context, tx *sql.Tx, changes []ledger.ClockChange, at time.Time) error {
	for i := range changes {
		c := &changes[i]
		_, err := tx.ExecContext(ctx, "INSERT INTO clock_change (id, host, epoch, seq, boot_id, shift_ns, step_ns, reason, at_ns) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			fmt.Sprintf("%s/%d/%d", c.Host, c.Position.Epoch, c.Position.Seq), string(c.Host), int64(c.Position.Epoch), int64(c.Position.Seq), c.BootID, c.ShiftNS, c.StepNS, c.Reason, at.UnixNano())
		if err != nil {
			return fmt.Errorf("write change of the clock of host %s: %w", c.Host, err)
		}
		if c.Reason == "" {
			continue
		}
		reason := fmt.Sprintf("Host %s, from batch %d/%d on: %s. Its times go by the time since boot, so that no total changes", c.Host, c.Position.Epoch, c.Position.Seq, c.Reason)
		if c.ShiftNS != 0 {
			reason += fmt.Sprintf("; they are corrected by %s", time.Duration(c.ShiftNS).Round(time.Millisecond))
		}
		id := findingID(RuleWrongClock, string(c.Host), at.UTC().Format(time.DateOnly), fmt.Sprint(c.ShiftNS != 0, c.StepNS != 0))
		_, err = tx.ExecContext(ctx, `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject,
			tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
			VALUES (?1, 'gaps', 0, x'', 'internal', ?2, '', 'warning', 'warning', ?3, '', '', '', '', 0, 0, 0, 0, ?4, ?5, ?5)
			ON CONFLICT (id) DO NOTHING`, id, RuleWrongClock, "host:"+string(c.Host), reason+".", at.UnixNano())
		if err != nil {
			return fmt.Errorf("write finding about the clock of host %s: %w", c.Host, err)
		}
	}
	return nil
}
