package collector

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// openLibrary reads the site's packs beside the shipped ones. A file that is
// refused is told and left out: what is in force does not depend on the folder.
func openLibrary(ctx context.Context, folder string, log *slog.Logger) (store.Library, error) {
	l := store.Library{Shipped: policy.Shipped()}
	if folder == "" {
		return l, nil
	}
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return l, fmt.Errorf("read packs: %w", err)
	}
	if _, err := os.Stat(folder); err != nil {
		return l, fmt.Errorf("read packs: %w", err)
	}
	slices.Sort(files)
	for _, file := range files {
		p, err := readPack(file)
		if err != nil {
			f := desk.PackFault{File: filepath.Base(file), Faults: strings.Split(err.Error(), "\n")}
			l.Faults = append(l.Faults, f)
			log.LogAttrs(ctx, slog.LevelError, "a pack of the site is refused", slog.String("file", f.File), slog.Any("faults", f.Faults))
			continue
		}
		l.Site = append(l.Site, p)
	}
	return l, nil
}

func readPack(file string) (*policy.Pack, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read pack: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	// No more than the reader takes, and a byte by which it sees that there is more.
	data := make([]byte, policy.MaxBytes+1)
	n := 0
	for n < len(data) {
		m, err := f.Read(data[n:])
		n += m
		if err != nil || m == 0 {
			break // what is missing shows in what was read
		}
	}
	return policy.Read(filepath.Base(file), data[:n])
}
