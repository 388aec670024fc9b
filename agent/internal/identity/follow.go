package identity

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/flopwatch/flopwatch/pkg/endpoint"
)

// followEvery is how often the endpoint is looked at. New keys count beside the
// old ones for a day.
const followEvery = 2 * time.Second

// Follow calls changed when the endpoint at path holds other keys than those in
// now, until ctx ends. A file that cannot be read leaves everything as it is.
func Follow(ctx context.Context, path string, now endpoint.Agents, log *slog.Logger, changed func(endpoint.Agents) error) error {
	if now.Identity == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	var seen time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		info, err := os.Stat(path)
		if err != nil || info.ModTime().Equal(seen) {
			continue
		}
		seen = info.ModTime()
		next, err := endpoint.Read(path)
		if err != nil || next.Identity == nil {
			log.WarnContext(ctx, "endpoint is left as it was", slog.String("path", path), slog.Any("error", err))
			continue
		}
		if next.SeedFile == now.SeedFile && next.Identity.SigningFile == now.Identity.SigningFile {
			continue
		}
		if next.Identity.Host != now.Identity.Host || next.Identity.Epoch != now.Identity.Epoch {
			log.WarnContext(ctx, "this host enrolled anew: start the agent again", slog.String("path", path))
			continue
		}
		if err := changed(next); err != nil {
			log.ErrorContext(ctx, "new keys could not be taken; the old ones go on", slog.Any("error", err))
			continue
		}
		log.InfoContext(ctx, "new keys", slog.String("host", next.Identity.Host))
		now = next
	}
}
