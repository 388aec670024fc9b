package collector

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// How often the audit log is signed and checked.
const (
	signEvery  = time.Minute
	checkEvery = time.Hour
)

// auditor signs the audit log and checks it. A log that does not hold becomes a
// finding and stops nothing: what comes in meanwhile would be lost.
type auditor struct {
	store  *store.Store
	reader *store.Reader
	key    ed25519.PrivateKey
	anchor string // file at a second place, "" for none
	now    func() time.Time
	log    *slog.Logger

	anchored atomic.Int64 // entries under the newest checkpoint at the second place
}

// run checks at once and then each hour, and signs each minute, until ctx ends.
func (a *auditor) run(ctx context.Context) error {
	sign, check := time.NewTicker(signEvery), time.NewTicker(checkEvery)
	defer sign.Stop()
	defer check.Stop()
	a.check(ctx)
	for {
		select {
		case <-sign.C:
			a.sign(ctx)
		case <-check.C:
			a.check(ctx)
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *auditor) origin() string {
	return audit.Origin(attest.HostID(a.key.Public().(ed25519.PublicKey)))
}

func (a *auditor) sign(ctx context.Context) {
	if err := a.trySign(ctx); err != nil {
		a.log.LogAttrs(ctx, slog.LevelError, "audit log was not signed", slog.String("error", err.Error()))
	}
}

// trySign signs the log as it stands, and keeps the checkpoint at the second place.
func (a *auditor) trySign(ctx context.Context) error {
	now := a.now()
	c, err := a.store.SignAudit(ctx, a.origin(), a.key, now)
	if err != nil || a.anchor == "" || c.Size == a.anchored.Load() {
		return err
	}
	signed, ok, err := a.reader.AuditCheckpoint(ctx)
	if err != nil || !ok {
		return err
	}
	if err := appendAnchor(a.anchor, audit.Anchor{At: now.UTC(), Checkpoint: signed}); err != nil {
		return err
	}
	a.anchored.Store(c.Size)
	return nil
}

// appendAnchor adds a line to a file of anchors, durably. A line that was torn is
// ended first.
func appendAnchor(path string, anchor audit.Anchor) (err error) {
	line, err := anchor.Line()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("keep the checkpoint at a second place: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if size, err := f.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("keep the checkpoint at a second place: %w", err)
	} else if size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, size-1); err != nil {
			return fmt.Errorf("keep the checkpoint at a second place: %w", err)
		}
		if last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
	}
	if _, err := f.Write(line); err != nil {
		return fmt.Errorf("keep the checkpoint at a second place: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("keep the checkpoint at a second place: %w", err)
	}
	return nil
}

// AuditFile returns a file of the log. Who asks for the checkpoint gets one of the
// log as it stands.
func (a *auditor) AuditFile(ctx context.Context, path string) ([]byte, bool, error) {
	switch path {
	case audit.CheckpointFile:
		if err := a.trySign(ctx); err != nil {
			return nil, false, err
		}
		signed, ok, err := a.reader.AuditCheckpoint(ctx)
		return []byte(signed), ok, err
	case audit.KeyFile:
		return []byte(audit.VerifierKey(a.origin(), a.key.Public().(ed25519.PublicKey)) + "\n"), true, nil
	}
	t, err := audit.ParseTilePath(path)
	if err != nil {
		return nil, false, nil
	}
	return a.reader.AuditTile(ctx, t)
}

func (a *auditor) check(ctx context.Context) {
	found, err := a.reader.CheckAudit(ctx)
	switch {
	case ctx.Err() != nil:
		return
	case err != nil:
		a.log.LogAttrs(ctx, slog.LevelError, "audit log could not be checked", slog.String("error", err.Error()))
		return
	case found.Intact:
		return
	}
	a.log.LogAttrs(ctx, slog.LevelError, "audit log does not hold", slog.Int("problems", len(found.Problems)), slog.String("first", found.Problems[0]))
	if err := a.store.FindAuditProblems(ctx, found, a.now()); err != nil {
		a.log.LogAttrs(ctx, slog.LevelError, "findings about the audit log were not written", slog.String("error", err.Error()))
	}
}
