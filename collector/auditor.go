package collector

import (
	"context"
	"crypto/ed25519"
	"log/slog"
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
	log    *slog.Logger
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

func (a *auditor) sign(ctx context.Context) {
	origin := audit.Origin(attest.HostID(a.key.Public().(ed25519.PublicKey)))
	if _, err := a.store.SignAudit(ctx, origin, a.key, time.Now()); err != nil {
		a.log.LogAttrs(ctx, slog.LevelError, "audit log was not signed", slog.String("error", err.Error()))
	}
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
	if err := a.store.FindAuditProblems(ctx, found, time.Now()); err != nil {
		a.log.LogAttrs(ctx, slog.LevelError, "findings about the audit log were not written", slog.String("error", err.Error()))
	}
}
