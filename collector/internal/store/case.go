package store

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/casefile"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Errors of acts on cases and findings.
var (
	ErrNoCase    = errors.New("there is no such case")
	ErrNoFinding = errors.New("there is no such finding")
	ErrNoNote    = errors.New("a note must have 1 to 20,000 characters")
	ErrNoFile    = errors.New("a file must have a name and 1 byte to 10 MiB")
)

const maxNote, maxCaseFile = 20_000, 10 << 20

// NewID returns a new id of 80 random bits.
func NewID(prefix string) string { return prefix + strings.ToLower(rand.Text())[:16] }

// ActOnCase changes a case with f and keeps what it was before. Version is that
// of the case that the person was shown; 0 does not look at it. The error wraps
// what f returns, ErrNoCase or casefile.ErrVersion.
func (s *Store) ActOnCase(ctx context.Context, id string, version int64, act, note string, f func(casefile.Case, time.Time) (casefile.Case, error)) (casefile.Case, error) {
	var next casefile.Case
	err := s.update(audit.Because(ctx, "case."+strings.ReplaceAll(act, " ", "_"), note), func(tx *sql.Tx) error {
		c, err := readCase(ctx, tx, id)
		if err != nil {
			return err
		}
		if version != 0 {
			if err := c.At(version); err != nil {
				return err
			}
		}
		now := s.opts.Now().UTC()
		if next, err = f(c, now); err != nil {
			return err
		}
		if next.Version == c.Version {
			return nil // nothing changed
		}
		if err := writeCase(ctx, tx, next, act, note, now); err != nil {
			return err
		}
		return s.attachNew(ctx, tx, c, next, now)
	})
	if err != nil {
		return casefile.Case{}, fmt.Errorf("case %s: %s: %w", id, act, err)
	}
	return next, nil
}

// attachNew marks the findings that an act added to a case.
func (s *Store) attachNew(ctx context.Context, tx *sql.Tx, before, after casefile.Case, now time.Time) error {
	for _, finding := range after.Findings[len(before.Findings):] {
		if err := attachFinding(ctx, tx, finding, after.ID, now); err != nil {
			return err
		}
	}
	return nil
}

// OpenCase opens a case on a finding, without a clock, and returns it: the case
// of the same subject and pack that is open already, if there is one.
func (s *Store) OpenCase(ctx context.Context, finding, reason string) (casefile.Case, error) {
	var c casefile.Case
	err := s.update(audit.Because(ctx, "case.open", reason), func(tx *sql.Tx) error {
		subject, pack, err := subjectOf(ctx, tx, finding)
		if err != nil {
			return err
		}
		now := s.opts.Now().UTC()
		if c, err = takeUp(ctx, tx, subject, pack, finding, reason, nil, now); err != nil {
			return err
		}
		return attachFinding(ctx, tx, finding, c.ID, now)
	})
	if err != nil {
		return casefile.Case{}, fmt.Errorf("open a case on %s: %w", finding, err)
	}
	return c, nil
}

// subjectOf returns whom a case on the finding is about, and under which pack.
func subjectOf(ctx context.Context, tx *sql.Tx, finding string) (subject, pack string, err error) {
	var customer, tenant, of string
	err = tx.QueryRowContext(ctx, "SELECT customer, tenant, subject, pack FROM finding WHERE id = ?", finding).Scan(&customer, &tenant, &of, &pack)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", ErrNoFinding
	}
	return caseSubject(customer, tenant, of), pack, err
}

// caseSubject names whom a case is about: the customer, else the tenant that
// nobody claims, else what the finding is about.
func caseSubject(customer, tenant, subject string) string {
	switch {
	case customer != "":
		return customer
	case tenant != "":
		return "tenant:" + tenant
	}
	return subject
}

// HasFinding returns an error that wraps ErrNoFinding if there is none of the id.
func (s *Store) HasFinding(ctx context.Context, id string) error {
	var there bool
	if err := s.read.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM finding WHERE id = ?)", id).Scan(&there); err != nil {
		return fmt.Errorf("look for finding: %w", err)
	}
	if !there {
		return ErrNoFinding
	}
	return nil
}

const caseColumns = "id, version, subject, obligation, state, body"

func scanCase(row interface{ Scan(...any) error }) (c casefile.Case, err error) {
	var body []byte
	if err := row.Scan(&c.ID, &c.Version, &c.Subject, &c.Obligation, &c.State, &body); err != nil {
		return c, err
	}
	return c, decodeCase(&c, body)
}

func readCase(ctx context.Context, tx *sql.Tx, id string) (casefile.Case, error) {
	c, err := scanCase(tx.QueryRowContext(ctx, "SELECT "+caseColumns+" FROM case_change WHERE id = ? ORDER BY version DESC LIMIT 1", id))
	if errors.Is(err, sql.ErrNoRows) {
		return c, ErrNoCase
	}
	return c, err
}

// openCaseOf returns the case of a subject under a pack that is not closed.
func openCaseOf(ctx context.Context, tx *sql.Tx, subject, obligation string) (casefile.Case, error) {
	c, err := scanCase(tx.QueryRowContext(ctx, "SELECT "+caseColumns+` FROM case_change c WHERE subject = ? AND obligation = ?
		AND version = (SELECT max(version) FROM case_change WHERE id = c.id) AND state <> ? ORDER BY no DESC LIMIT 1`, subject, obligation, casefile.CaseClosed))
	if errors.Is(err, sql.ErrNoRows) {
		return c, ErrNoCase
	}
	return c, err
}

func writeCase(ctx context.Context, tx *sql.Tx, c casefile.Case, act, note string, now time.Time) error {
	body, err := encodeCase(c)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT INTO case_change (id, version, at_ns, actor, act, note, subject, obligation, state, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		c.ID, c.Version, now.UnixNano(), audit.Of(ctx).Actor.ID, act, note, c.Subject, c.Obligation, c.State, string(body))
	if err != nil {
		return fmt.Errorf("write case %s: %w", c.ID, err)
	}
	return bump(ctx, tx)
}

// bump says that what the desk shows has changed.
func bump(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, "UPDATE meta SET value = value + 1 WHERE key = 'revision'"); err != nil {
		return fmt.Errorf("write meta: %w", err)
	}
	return nil
}

// AddNote adds a note to a case and returns its id.
func (s *Store) AddNote(ctx context.Context, caseID, text string) (string, error) {
	id := NewID("nte_")
	err := s.update(ctx, func(tx *sql.Tx) error {
		if n := len([]rune(text)); n < 1 || n > maxNote {
			return ErrNoNote
		}
		if _, err := readCase(ctx, tx, caseID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO case_note (id, case_id, at_ns, actor, text) VALUES (?, ?, ?, ?, ?)", id, caseID, s.opts.Now().UnixNano(), audit.Of(ctx).Actor.ID, text)
		return errors.Join(err, bump(ctx, tx))
	})
	if err != nil {
		return "", fmt.Errorf("note on case %s: %w", caseID, err)
	}
	return id, nil
}

// AddFile adds a file to a case and returns its id.
func (s *Store) AddFile(ctx context.Context, caseID, name, media string, content []byte) (string, error) {
	id := NewID("fil_")
	err := s.update(ctx, func(tx *sql.Tx) error {
		if name == "" || len(name) > 200 || len(content) < 1 || len(content) > maxCaseFile {
			return ErrNoFile
		}
		if _, err := readCase(ctx, tx, caseID); err != nil {
			return err
		}
		sum := sha256.Sum256(content)
		_, err := tx.ExecContext(ctx, "INSERT INTO case_file (id, case_id, at_ns, actor, name, media, sha256, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
			id, caseID, s.opts.Now().UnixNano(), audit.Of(ctx).Actor.ID, name, media, sum[:], content)
		return errors.Join(err, bump(ctx, tx))
	})
	if err != nil {
		return "", fmt.Errorf("file of case %s: %w", caseID, err)
	}
	return id, nil
}
