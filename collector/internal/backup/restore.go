package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// ErrOccupied means that there is something where a backup is to be restored.
var ErrOccupied = errors.New("is not empty: move what is there aside first")

// Restore puts a backup into a data directory that is not there or empty, checks
// it, and records in its audit log that and why it was restored. What fails
// leaves the directory as it was.
//
// Agents learn from the receipts that the collector went back, and send again
// what they keep.
func Restore(ctx context.Context, from Backup, data, reason string) (v Verdict, err error) {
	if names, err := os.ReadDir(data); err == nil && len(names) > 0 {
		return v, fmt.Errorf("restore into %s: it %w", data, ErrOccupied)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return v, fmt.Errorf("restore: %w", err)
	}
	data = filepath.Clean(data)
	work := data + ".restoring"
	if err := os.Mkdir(work, 0o700); err != nil {
		return v, fmt.Errorf("restore: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	made := filepath.Join(work, "made")
	if v, err = prove(ctx, from.Path, from.Manifest, made); err != nil {
		return v, fmt.Errorf("restore %s: %w", from.Path, err)
	}
	if !v.Sound() {
		return v, &Unsound{"the backup does not hold, so it was not restored", v}
	}
	s, err := store.Open(ctx, filepath.Join(made, databaseName), store.Options{Readers: 1})
	if err != nil {
		return v, fmt.Errorf("restore: %w", err)
	}
	if err := errors.Join(s.RecordRestore(ctx, from.Name(), reason), s.Close()); err != nil {
		return v, fmt.Errorf("restore: %w", err)
	}
	if err := os.Remove(data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return v, fmt.Errorf("restore: %w", err)
	}
	if err := os.Rename(made, data); err != nil {
		return v, fmt.Errorf("restore: %w", err)
	}
	return v, syncDir(filepath.Dir(data))
}

// prove restores a backup into a folder that is not there and checks it as a
// data directory. A file that is not as the manifest says is a problem.
func prove(ctx context.Context, from string, m Manifest, to string) (v Verdict, err error) {
	if err := os.Mkdir(to, 0o700); err != nil {
		return v, err
	}
	for _, f := range m.Files {
		if err := ctx.Err(); err != nil {
			return v, err
		}
		got, err := copyFile(filepath.Join(from, filepath.FromSlash(f.Name)), to, f.Name, f.Bytes)
		switch {
		case err != nil:
			v.Problems = append(v.Problems, err.Error())
		case got != f:
			v.Problems = append(v.Problems, fmt.Sprintf("file %s of the backup is not as its manifest says", f.Name))
		}
	}
	if len(v.Problems) > 0 {
		return v, nil
	}
	return Check(ctx, to)
}
