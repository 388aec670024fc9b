package backup

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flopwatch/flopwatch/collector/internal/scrub"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// Verdict is what a check of a data directory found.
type Verdict struct {
	Devices  int // whose accounts were added up
	Batches  int64
	Bytes    int64 // of evidence
	Entries  int64 // of the audit log
	Problems []string
}

// Sound reports whether everything holds.
func (v Verdict) Sound() bool { return len(v.Problems) == 0 }

// Place is where the facts of a collector are.
type Place struct {
	Data   string // directory
	Shared string // folder of key and evidence, Data if ""

	// Postgres is the address of the database, "" for SQLite in Data. Password is for it;
	// "" for that of the password file.
	Postgres, Password string
}

// Check is CheckPlace of a data directory with SQLite.
func Check(ctx context.Context, data string) (Verdict, error) {
	return CheckPlace(ctx, Place{Data: data})
}

// CheckPlace holds everything of a collector against itself: the database, the balance
// of the ledger, the audit log, and each batch in the evidence with its signature and
// its place in a chain. With SQLite no collector may use the data directory; with
// PostgreSQL collectors may go on, and nothing is written.
func CheckPlace(ctx context.Context, p Place) (v Verdict, err error) {
	if p.Shared == "" {
		p.Shared = p.Data
	}
	options := store.Options{Readers: 1, Evidence: filepath.Join(p.Shared, "evidence"), Postgres: p.Postgres, Password: p.Password}
	var s *store.Store
	if p.Postgres == "" {
		s, err = store.Open(ctx, filepath.Join(p.Data, databaseName), options)
	} else {
		s, err = store.OpenReading(ctx, options)
	}
	if errors.Is(err, store.ErrDamaged) {
		v.Problems = append(v.Problems, err.Error())
		return v, nil
	}
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	err = v.check(ctx, s, filepath.Join(p.Shared, keyName))
	if message, damaged := store.Damage(err); damaged {
		// What rests on it cannot be said.
		v.Problems, err = append(v.Problems, "the check ended early: "+message), nil
	}
	return v, err
}

func (v *Verdict) check(ctx context.Context, s *store.Store, keyFile string) (err error) {
	if v.Problems, err = s.Integrity(ctx); err != nil {
		return err
	}
	reader := store.NewReader(s, "", false)
	ledger, err := reader.Check(ctx)
	if err != nil {
		return err
	}
	v.Devices = ledger.Devices
	v.Problems = append(v.Problems, ledger.Problems...)
	switch key, err := attest.LoadKey(keyFile); {
	case err != nil:
		v.Problems = append(v.Problems, fmt.Sprintf("the audit log could not be checked: %v", err))
	default:
		public := key.Public().(ed25519.PublicKey)
		log, err := reader.VerifyAudit(audit.Origin(attest.HostID(public)), public).CheckAudit(ctx)
		if err != nil {
			return err
		}
		v.Entries = log.Entries
		v.Problems = append(v.Problems, log.Problems...)
	}
	extent, err := s.Extent(ctx)
	if err != nil {
		return err
	}
	report, err := Evidence(ctx, s.EvidenceDir(), extent, nil)
	if err != nil {
		return err
	}
	v.Batches, v.Bytes = report.Batches, report.Bytes
	for _, d := range report.Damages {
		v.Problems = append(v.Problems, d.String())
	}
	if report.More > 0 {
		v.Problems = append(v.Problems, fmt.Sprintf("%d more places of the evidence", report.More))
	}
	return nil
}

// Evidence reads the evidence files in a folder as far as the extent says. pace
// is as for scrub.Pass.
func Evidence(ctx context.Context, dir string, extent store.Extent, pace func(context.Context, int64) error) (scrub.Report, error) {
	pass := scrub.NewPass()
	for _, d := range extent.Days {
		if d.Bytes == 0 {
			continue
		}
		file, err := os.Open(filepath.Join(dir, d.File()))
		if errors.Is(err, fs.ErrNotExist) {
			pass.Missing(d.Day)
			continue
		}
		if err != nil {
			return scrub.Report{}, fmt.Errorf("open evidence of %s: %w", d.Day, err)
		}
		err = pass.Read(ctx, d.Day, file, d.Bytes, pace)
		if err = errors.Join(err, file.Close(), ctx.Err()); err != nil {
			return scrub.Report{}, err
		}
	}
	return pass.Report(extent.Counted), nil
}
