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

// Check holds everything in a data directory that no collector uses against
// itself: the file of the database, the balance of the ledger, the audit log, and
// each batch in the evidence with its signature and its place in a chain.
func Check(ctx context.Context, data string) (v Verdict, err error) {
	s, err := store.Open(ctx, filepath.Join(data, databaseName), store.Options{Readers: 1})
	if errors.Is(err, store.ErrDamaged) {
		v.Problems = append(v.Problems, err.Error())
		return v, nil
	}
	if err != nil {
		return v, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if v.Problems, err = s.Integrity(ctx); err != nil {
		return v, err
	}
	reader := store.NewReader(s, "", false)
	ledger, err := reader.Check(ctx)
	if err != nil {
		return v, err
	}
	v.Devices = ledger.Devices
	v.Problems = append(v.Problems, ledger.Problems...)
	switch key, err := attest.LoadOrCreateKey(filepath.Join(data, keyName)); {
	case err != nil:
		v.Problems = append(v.Problems, fmt.Sprintf("the audit log could not be checked: %v", err))
	default:
		public := key.Public().(ed25519.PublicKey)
		log, err := reader.VerifyAudit(audit.Origin(attest.HostID(public)), public).CheckAudit(ctx)
		if err != nil {
			return v, err
		}
		v.Entries = log.Entries
		v.Problems = append(v.Problems, log.Problems...)
	}
	extent, err := s.Extent(ctx)
	if err != nil {
		return v, err
	}
	report, err := Evidence(ctx, s.EvidenceDir(), extent, nil)
	if err != nil {
		return v, err
	}
	v.Batches, v.Bytes = report.Batches, report.Bytes
	for _, d := range report.Damages {
		v.Problems = append(v.Problems, d.String())
	}
	if report.More > 0 {
		v.Problems = append(v.Problems, fmt.Sprintf("%d more places of the evidence", report.More))
	}
	return v, nil
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
