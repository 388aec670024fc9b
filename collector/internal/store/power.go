package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/power"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// RuleUnaccounted is the rule of findings about hosts that meters contradict.
const RuleUnaccounted = "unaccounted_energy"

// PowerDiff is what an import of readings changed, or would change.
type PowerDiff struct{ New, Unchanged int }

// PowerConflict is a fault of readings against what is stored. Its text is that of
// a fault of a file.
type PowerConflict struct{ text string }

func (c PowerConflict) Error() string { return c.text }

// PutPower records readings, all or none. A reading that is there already changes
// nothing; one that differs from it, overlaps one of its meter, or is of a host that
// nobody knows is a PowerConflict.
func (s *Store) PutPower(ctx context.Context, name string, readings []power.Reading, dryRun bool) (PowerDiff, error) {
	var done PowerDiff
	if err := s.monthsOfPower(ctx, readings); err != nil {
		return done, fmt.Errorf("record readings of power: %w", err)
	}
	errDry := errors.New("dry run")
	err := s.update(audit.Because(ctx, "power.import", ""), func(tx *sql.Tx) error {
		p := powerBook{ctx: ctx, tx: tx, name: name, id: "pow_" + strings.ToLower(rand.Text())[:20], digest: sha256.New()}
		for i := range readings {
			if err := p.put(&readings[i]); err != nil {
				return err
			}
		}
		done = p.done
		if dryRun {
			return errDry
		}
		if done.New == 0 {
			return nil
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO power_import (id, at_ns, name, readings, digest) VALUES (?, ?, ?, ?, ?)",
			p.id, s.opts.Now().UnixNano(), name, done.New, hex.EncodeToString(p.digest.Sum(nil))); err != nil {
			return err
		}
		return bump(ctx, tx)
	})
	var conflict PowerConflict
	if errors.As(err, &conflict) {
		return PowerDiff{}, conflict // alone: it is told as a fault of the file
	}
	if err != nil && !errors.Is(err, errDry) {
		return PowerDiff{}, fmt.Errorf("record readings of power: %w", err)
	}
	return done, nil
}

type powerBook struct {
	ctx    context.Context
	tx     *sql.Tx
	name   string
	id     string
	digest hash.Hash
	meter  string // that was looked up last
	done   PowerDiff
}

func (p *powerBook) conflict(column, rule string) error {
	return PowerConflict{fmt.Sprintf("%s:1: %s: %s", p.name, column, rule)}
}

func (p *powerBook) put(r *power.Reading) error {
	if r.Meter != p.meter {
		if err := p.know(r); err != nil {
			return err
		}
		p.meter = r.Meter
	}
	var start, end, energy, overhead int64
	err := p.tx.QueryRowContext(p.ctx, "SELECT start_ns, end_ns, energy_mj, overhead_mj FROM power_reading WHERE meter = ? AND start_ns < ? ORDER BY start_ns DESC LIMIT 1",
		r.Meter, r.EndNS).Scan(&start, &end, &energy, &overhead)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && end <= r.StartNS:
	case err != nil:
		return err
	case start == r.StartNS && end == r.EndNS && energy == r.EnergyMJ && overhead == r.OverheadMJ:
		p.done.Unchanged++
		return nil
	default:
		return p.conflict("from", "meter "+r.Meter+" has another reading of this time; what a meter said is not changed")
	}
	if _, err := p.tx.ExecContext(p.ctx, "INSERT INTO power_reading (meter, start_ns, end_ns, energy_mj, overhead_mj, import) VALUES (?, ?, ?, ?, ?, ?)",
		r.Meter, r.StartNS, r.EndNS, r.EnergyMJ, r.OverheadMJ, p.id); err != nil {
		return err
	}
	fmt.Fprintf(p.digest, "%s,%s,%s,%d,%d,%d,%d\n", r.Meter, r.Kind, r.Host, r.StartNS, r.EndNS, r.EnergyMJ, r.OverheadMJ)
	p.done.New++
	for _, part := range r.Parts() {
		_, err := p.tx.ExecContext(p.ctx, `INSERT INTO power_slot (host, slot_ns, kind, energy_mj, overhead_mj, covered_ns) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (host, slot_ns, kind) DO UPDATE SET energy_mj = power_slot.energy_mj + excluded.energy_mj, overhead_mj = power_slot.overhead_mj + excluded.overhead_mj,
			covered_ns = power_slot.covered_ns + excluded.covered_ns, answer = 0`,
			r.Host, part.SlotNS, string(r.Kind), part.EnergyMJ, part.OverheadMJ, part.CoveredNS)
		if err != nil {
			return err
		}
	}
	return nil
}

// know looks up a meter and its host.
func (p *powerBook) know(r *power.Reading) error {
	var host, kind string
	err := p.tx.QueryRowContext(p.ctx, "SELECT host, kind FROM power_meter WHERE id = ?", r.Meter).Scan(&host, &kind)
	if errors.Is(err, sql.ErrNoRows) {
		known := false
		err = p.tx.QueryRowContext(p.ctx, "SELECT EXISTS (SELECT 1 FROM host WHERE id = ?1) OR EXISTS (SELECT 1 FROM inventory_change WHERE host = ?1)", r.Host).Scan(&known)
		if err != nil {
			return err
		}
		if !known {
			return p.conflict("host", "of meter "+r.Meter+" is neither in the inventory nor has it reported")
		}
		_, err = p.tx.ExecContext(p.ctx, "INSERT INTO power_meter (id, host, kind) VALUES (?, ?, ?)", r.Meter, r.Host, string(r.Kind))
		return err
	}
	if err == nil && (host != r.Host || kind != string(r.Kind)) {
		return p.conflict("meter_id", "meter "+r.Meter+" was one of another host or kind before")
	}
	return err
}

// openSlot is a slot that was not judged yet.
type openSlot struct {
	host, kind string
	slotNS     int64
	power.Metered
	power.Reported
	complete bool // the host's slot is not being filled any more
}

// JudgePower holds meters against what hosts reported of the slots that are open,
// and makes a finding of each host that a meter contradicts, one a day and way. It
// returns how many slots were judged.
func (s *Store) JudgePower(ctx context.Context, now time.Time) (int, error) {
	slots, err := s.openSlots(ctx, now)
	if err != nil {
		return 0, fmt.Errorf("judge power: %w", err)
	}
	judged := 0
	err = s.update(ctx, func(tx *sql.Tx) error {
		days := map[string]map[int64]bool{} // of hosts whose spans change
		for i := range slots {
			o := &slots[i]
			age := now.Sub(time.Unix(0, o.slotNS).Add(power.Slot))
			answer, reason := power.Compare(o.Metered, o.Reported, age)
			if answer == power.Open || !o.complete && age < power.GiveUp {
				continue
			}
			judged++
			if _, err := tx.ExecContext(ctx, "UPDATE power_slot SET answer = ?, reported_mj = ?, reason = ? WHERE host = ? AND slot_ns = ? AND kind = ?",
				int(answer), o.Reported.EnergyMJ, reason, o.host, o.slotNS, o.kind); err != nil {
				return err
			}
			if answer == power.CannotTell {
				continue
			}
			if days[o.host] == nil {
				days[o.host] = map[int64]bool{}
			}
			days[o.host][o.slotNS-o.slotNS%dayNS] = true
			if answer != power.Agrees {
				if err := findUnaccounted(ctx, tx, o, answer, reason, now); err != nil {
					return err
				}
			}
		}
		for host, of := range days {
			for day := range of {
				if err := writeSpans(ctx, tx, host, day); err != nil {
					return err
				}
			}
		}
		if judged == 0 {
			return nil
		}
		return bump(ctx, tx)
	})
	if err != nil {
		return 0, fmt.Errorf("judge power: %w", err)
	}
	return judged, nil
}

// openSlots reads at most as many as one transaction should judge.
func (s *Store) openSlots(ctx context.Context, now time.Time) ([]openSlot, error) {
	var out []openSlot
	err := each(ctx, s.read, func(rows *sql.Rows) error {
		var o openSlot
		err := rows.Scan(&o.host, &o.kind, &o.slotNS, &o.Metered.EnergyMJ, &o.OverheadMJ, &o.CoveredNS, &o.Meters, &o.Devices, &o.Reported.EnergyMJ, &o.KnownNS, &o.complete)
		out = append(out, o)
		return err
	}, `SELECT p.host, p.kind, p.slot_ns, p.energy_mj, p.overhead_mj, p.covered_ns,
			(SELECT count(*) FROM power_meter m WHERE m.host = p.host AND m.kind = p.kind
				AND EXISTS (SELECT 1 FROM power_reading r WHERE r.meter = m.id AND r.start_ns > p.slot_ns - ?3 AND r.start_ns < p.slot_ns + ?3)),
			(SELECT count(*) FROM device d WHERE d.host = h.no AND d.first_ns < p.slot_ns + ?2 AND d.last_ns > p.slot_ns),
			coalesce((SELECT e.energy_mj FROM host_energy e WHERE e.host = h.no AND e.slot_ns = p.slot_ns), 0) + CASE WHEN h.energy_slot_ns = p.slot_ns THEN h.energy_mj ELSE 0 END,
			coalesce((SELECT e.known_ns FROM host_energy e WHERE e.host = h.no AND e.slot_ns = p.slot_ns), 0) + CASE WHEN h.energy_slot_ns = p.slot_ns THEN h.energy_known_ns ELSE 0 END,
			coalesce(h.last_ns >= p.slot_ns + ?2, FALSE)
		FROM power_slot p LEFT JOIN host h ON h.id = p.host WHERE p.answer = 0 AND p.slot_ns <= ?1 ORDER BY p.slot_ns LIMIT 20000`,
		now.Add(-power.Slot-power.Settle).UnixNano(), int64(power.Slot), dayNS/2)
	return out, err
}

func findUnaccounted(ctx context.Context, tx *sql.Tx, o *openSlot, answer power.Answer, reason string, now time.Time) error {
	level, severity, then := "more drawn than reported", "high", "Energy was used that no device accounts for: devices are hidden, figures are too low, or the meter is wrong."
	if answer == power.Less {
		level, severity, then = "less drawn than reported", "warning", "The host reports work for which the energy was not drawn, or the meter is wrong."
	}
	day := time.Unix(0, o.slotNS).UTC().Format(time.DateOnly)
	text := fmt.Sprintf("Host %s, quarter of an hour from %s, by its %s: %s. %s", o.host, instant(o.slotNS), o.kind, reason, then)
	_, err := tx.ExecContext(ctx, `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject,
		tenant, customer, customer_name, foreign_status, threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
		VALUES (?, 'evidence', 0, x'', 'internal', ?, '', ?, ?, ?, '', '', '', '', 0, 0, 0, 0, ?, ?, ?)
		ON CONFLICT (id) DO NOTHING`, findingID(RuleUnaccounted, o.host, day, level), RuleUnaccounted, level, severity, "host:"+o.host, text, o.slotNS, now.UnixNano())
	if err != nil {
		return fmt.Errorf("finding about host %s: %w", o.host, err)
	}
	return nil
}

// writeSpans writes anew what the judged slots of a day come to. What any kind of
// meter contradicts is contradicted.
func writeSpans(ctx context.Context, tx *sql.Tx, host string, day int64) error {
	type span struct {
		from, to int64
		agrees   bool
	}
	var spans []span
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var slot int64
		var agrees bool
		err := rows.Scan(&slot, &agrees)
		if n := len(spans); n > 0 && spans[n-1].to == slot && spans[n-1].agrees == agrees {
			spans[n-1].to += int64(power.Slot)
		} else {
			spans = append(spans, span{slot, slot + int64(power.Slot), agrees})
		}
		return err
	}, "SELECT slot_ns, CASE WHEN max(answer) = 1 THEN 1 ELSE 0 END FROM power_slot WHERE host = ? AND slot_ns >= ? AND slot_ns < ? AND answer IN (1, 2, 3) GROUP BY slot_ns ORDER BY slot_ns", host, day, day+dayNS)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "DELETE FROM power_span WHERE host = ? AND from_ns >= ? AND from_ns < ?", host, day, day+dayNS); err != nil {
		return err
	}
	w := &writer{ctx: ctx, tx: tx}
	return w.each("INSERT INTO power_span (host, from_ns, to_ns, agrees) VALUES (?, ?, ?, ?)", "span", len(spans), func(i int, row []any) []any {
		return append(row, host, spans[i].from, spans[i].to, spans[i].agrees)
	})
}

// keepEnergy is how long energy of hosts without a meter is kept, so that readings
// that come late can be compared.
const keepEnergy = 35 * 24 * time.Hour

// PruneEnergy forgets the energy of hosts by slots that no meter asks for any more, by
// whole months: PostgreSQL takes them away without reading their rows.
func (s *Store) PruneEnergy(ctx context.Context, now time.Time) error {
	before := firstOfMonth(now.Add(-keepEnergy))
	rest := func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM host_energy WHERE slot_ns < ?", before.UnixNano())
		return err
	}
	var err error
	if s.opts.Postgres == "" {
		err = s.update(ctx, rest)
	} else {
		err = s.impatient(ctx, func(tx *sql.Tx) error {
			dropped, err := dropMonths(ctx, tx, "host_energy", before)
			if err != nil {
				return err
			}
			s.places.forget(dropped)
			return rest(tx)
		})
	}
	if err != nil {
		return fmt.Errorf("prune energy of hosts: %w", err)
	}
	return nil
}

// energies adds energy to the slots of hosts.
func (w *writer) energies(all []ledger.HostEnergy) error {
	return w.each(`INSERT INTO host_energy (host, slot_ns, energy_mj, known_ns) VALUES (?, ?, ?, ?)
		ON CONFLICT (host, slot_ns) DO UPDATE SET energy_mj = host_energy.energy_mj + excluded.energy_mj, known_ns = host_energy.known_ns + excluded.known_ns`, "energy", len(all), func(i int, row []any) []any {
		e := &all[i]
		return append(row, e.HostNo, e.SlotNS, e.EnergyMJ, e.KnownNS)
	})
}

// Power returns how meters compare with hosts, the newest slots first.
func (r *Reader) Power(ctx context.Context, host string, limit int) ([]desk.PowerSlot, error) {
	var out []desk.PowerSlot
	err := r.view(ctx, "readings of power", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var p desk.PowerSlot
			var answer power.Answer
			err := rows.Scan(&p.Host, &p.HostName, &p.StartNS, &p.Kind, &p.DrawnMJ, &p.OverheadMJ, &p.ReportedMJ, &answer, &p.Reason)
			p.EndNS, p.Answer = p.StartNS+int64(power.Slot), answer.String()
			out = append(out, p)
			return err
		}, `SELECT p.host, coalesce(h.name, ''), p.slot_ns, p.kind, p.energy_mj, p.overhead_mj, p.reported_mj, p.answer, p.reason
			FROM power_slot p LEFT JOIN host h ON h.id = p.host WHERE ?1 = '' OR p.host = ?1 ORDER BY p.slot_ns DESC, p.host, p.kind LIMIT ?2`, host, rowLimit(limit))
	})
	return out, err
}
