package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/collector/internal/report"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Errors of acts on reports.
var (
	ErrNoReport  = errors.New("there is no such report")
	ErrUndecided = errors.New("the case is not decided to be reportable")
	ErrNoReceipt = errors.New("the report has no file of that id")
)

// OpenReport writes a new report.
func (s *Store) OpenReport(ctx context.Context, r report.Report, note string) error {
	err := s.update(audit.Because(ctx, "report.open", note), func(tx *sql.Tx) error {
		if r.Case != "" {
			if _, err := readCase(ctx, tx, r.Case); err != nil {
				return err
			}
		}
		return writeReport(ctx, tx, r, "open", note, s.opts.Now().UTC())
	})
	if err != nil {
		return fmt.Errorf("open report %s: %w", r.ID, err)
	}
	return nil
}

// ReportAct is a change of a report, and of its case in the same transaction.
// Change is called once, with both as they stand; the case is the zero one for a
// report about the programme.
type ReportAct struct {
	Name    string
	Version int64 // that the person was shown; 0 does not look at it
	Note    string
	Change  func(r report.Report, c casefile.Case, checkpoint string, now time.Time) (report.Report, casefile.Case, error)
}

// ActOnReport changes a report and keeps what it was before. The error wraps
// what Change returns, ErrNoReport or report.ErrVersion.
func (s *Store) ActOnReport(ctx context.Context, id string, act ReportAct) (report.Report, error) {
	var next report.Report
	err := s.update(audit.Because(ctx, "report."+strings.ReplaceAll(act.Name, " ", "_"), act.Note), func(tx *sql.Tx) error {
		r, err := readReport(ctx, tx, id, 0)
		if err != nil {
			return err
		}
		if act.Version != 0 {
			if err := r.At(act.Version); err != nil {
				return err
			}
		}
		var c casefile.Case
		if r.Case != "" {
			if c, err = readCase(ctx, tx, r.Case); err != nil {
				return err
			}
		}
		var checkpoint string
		err = tx.QueryRowContext(ctx, "SELECT note FROM audit_checkpoint ORDER BY size DESC LIMIT 1").Scan(&checkpoint)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("read checkpoint: %w", err)
		}
		now := s.opts.Now().UTC()
		after := c
		if next, after, err = act.Change(r, c, checkpoint, now); err != nil {
			return err
		}
		if next.Version != r.Version {
			if err := writeReport(ctx, tx, next, act.Name, act.Note, now); err != nil {
				return err
			}
		}
		if after.Version != c.Version {
			return writeCase(ctx, tx, after, "report "+act.Name, id, now)
		}
		return nil
	})
	if err != nil {
		return report.Report{}, fmt.Errorf("report %s: %s: %w", id, act.Name, err)
	}
	return next, nil
}

func writeReport(ctx context.Context, tx *sql.Tx, r report.Report, act, note string, now time.Time) error {
	body, err := encodeReport(r)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO report_change (id, version, at_ns, actor, act, note, case_id, form, state, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		r.ID, r.Version, now.UnixNano(), audit.Of(ctx).Actor.ID, act, note, r.Case, r.Form, r.State, string(body))
	if err != nil {
		return fmt.Errorf("write report %s: %w", r.ID, err)
	}
	return bump(ctx, tx)
}

// readReport returns a version of a report, the newest for 0.
func readReport(ctx context.Context, q querier, id string, version int64) (report.Report, error) {
	var out report.Report
	found := false
	err := each(ctx, q, func(rows *sql.Rows) error {
		var v int64
		var body []byte
		if err := rows.Scan(&v, &body); err != nil {
			return err
		}
		var err error
		out, err = decodeReport(id, v, body)
		found = true
		return err
	}, "SELECT version, body FROM report_change WHERE id = ?1 AND (?2 = 0 OR version = ?2) ORDER BY version DESC LIMIT 1", id, version)
	if err == nil && !found {
		err = ErrNoReport
	}
	return out, err
}

// AddReportFile adds a receipt or an attachment to a report and returns its id.
func (s *Store) AddReportFile(ctx context.Context, id, name, media string, content []byte) (string, error) {
	file := NewID("fil_")
	err := s.update(ctx, func(tx *sql.Tx) error {
		if name == "" || len(name) > 200 || len(content) < 1 || len(content) > maxCaseFile {
			return ErrNoFile
		}
		if _, err := readReport(ctx, tx, id, 0); err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		_, err := tx.ExecContext(ctx, "INSERT INTO report_file (id, report, at_ns, actor, name, media, sha256, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			file, id, s.opts.Now().UnixNano(), audit.Of(ctx).Actor.ID, name, media, sum[:], content)
		return errors.Join(err, bump(ctx, tx))
	})
	if err != nil {
		return "", fmt.Errorf("file of report %s: %w", id, err)
	}
	return file, nil
}

// HasReportFile returns an error that wraps ErrNoReceipt unless the report has the file.
func (s *Store) HasReportFile(ctx context.Context, id, file string) error {
	var there bool
	if err := s.read.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM report_file WHERE report = ? AND id = ?)", id, file).Scan(&there); err != nil {
		return fmt.Errorf("look for file: %w", err)
	}
	if !there {
		return ErrNoReceipt
	}
	return nil
}

// SetFiler records what the provider says of itself on reports.
func (s *Store) SetFiler(ctx context.Context, filer map[string]string) error {
	body, err := json.Marshal(filer)
	if err != nil {
		return fmt.Errorf("encode filer: %w", err)
	}
	err = s.update(audit.Because(ctx, "filer.set", ""), func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "INSERT INTO filer_change (at_ns, actor, body) VALUES (?, ?, ?)", s.opts.Now().UnixNano(), audit.Of(ctx).Actor.ID, string(body))
		return err
	})
	if err != nil {
		return fmt.Errorf("write filer: %w", err)
	}
	return nil
}

// Filer returns what the provider says of itself, and since when; nothing if it
// said nothing yet.
func (r *Reader) Filer(ctx context.Context) (filer map[string]string, at time.Time, err error) {
	err = r.view(ctx, "filer", func(tx *sql.Tx) error {
		return each(ctx, tx, func(rows *sql.Rows) error {
			var ns int64
			var body []byte
			if err := rows.Scan(&ns, &body); err != nil {
				return err
			}
			at = time.Unix(0, ns).UTC()
			return json.Unmarshal(body, &filer)
		}, "SELECT at_ns, body FROM filer_change ORDER BY no DESC LIMIT 1")
	})
	return filer, at, err
}
