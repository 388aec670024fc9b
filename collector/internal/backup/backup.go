// Package backup makes backups of a collector that works, proves each by
// restoring it, and puts one in the place of what was lost.
//
// A backup is a folder flopwatch-<time> with the database as of one instant, the
// evidence up to what that database has committed, the keys, and a manifest with
// the digest of each file. It gets its name when it was restored and checked; what
// has another name is not a backup. It holds private keys: keep it as safe as
// the collector itself.
package backup

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/store"
)

const (
	databaseName = "flopwatch.db"
	vaultName    = "vault.db" // personal data, sealed
	keyName      = "collector.key"
	evidenceName = "evidence"
	manifestName = "manifest.json"
	prefix       = "flopwatch-"
	stampLayout  = "20060102T150405Z"
	manifestKind = "flopwatch/backup/v1"

	// Files beside the database and the evidence are keys and settings.
	maxOtherBytes = 1 << 20
)

// Manifest says what a backup holds.
type Manifest struct {
	Kind    string    `json:"kind"`
	At      time.Time `json:"at"` // when it was begun, UTC
	Version string    `json:"version"`
	Hosts   int       `json:"hosts"`
	Batches int64     `json:"batches"`
	Files   []File    `json:"files"` // in order of their names
}

// File is one file of a backup.
type File struct {
	Name   string `json:"name"` // with slashes
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hex
}

// Bytes returns the bytes of all files.
func (m Manifest) Bytes() (n int64) {
	for _, f := range m.Files {
		n += f.Bytes
	}
	return n
}

// Backup is one backup in a folder of them.
type Backup struct {
	Path string
	Manifest
}

// Name returns the name of the backup's folder.
func (b Backup) Name() string { return filepath.Base(b.Path) }

// Take backs up the data directory into the folder, while a collector may use
// it, and proves the backup by restoring it beside. version names the program.
// What fails leaves nothing that looks like a backup.
func Take(ctx context.Context, data, folder, version string, now time.Time) (b Backup, err error) {
	now = now.UTC().Truncate(time.Second)
	b = Backup{Path: filepath.Join(folder, prefix+now.Format(stampLayout)), Manifest: Manifest{Kind: manifestKind, At: now, Version: version}}
	if _, err := os.Stat(b.Path); err == nil {
		return b, fmt.Errorf("back up: %s is there already", b.Path)
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return b, fmt.Errorf("back up: %w", err)
	}
	past, err := List(folder)
	if err != nil {
		return b, err
	}
	work, err := os.MkdirTemp(folder, ".partial-")
	if err != nil {
		return b, fmt.Errorf("back up: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	made := filepath.Join(work, "made")
	if err := b.collect(ctx, data, made, past); err != nil {
		return b, fmt.Errorf("back up %s: %w", data, err)
	}
	verdict, err := prove(ctx, made, b.Manifest, filepath.Join(work, "proof"))
	if err != nil {
		return b, fmt.Errorf("prove backup: %w", err)
	}
	if !verdict.Sound() {
		return b, &Unsound{"the backup was made and does not hold, so it was dropped", verdict}
	}
	if err := os.Rename(made, b.Path); err != nil {
		return b, fmt.Errorf("back up: %w", err)
	}
	return b, syncDir(folder)
}

// Unsound is the error of a backup or data directory that does not hold.
type Unsound struct {
	Why     string
	Verdict Verdict
}

func (u *Unsound) Error() string {
	return fmt.Sprintf("%s: %d problems, the first: %s", u.Why, len(u.Verdict.Problems), u.Verdict.Problems[0])
}

// collect fills the folder of a new backup and its manifest.
func (b *Backup) collect(ctx context.Context, data, made string, past []Backup) error {
	if err := os.MkdirAll(filepath.Join(made, evidenceName), 0o700); err != nil {
		return err
	}
	database := filepath.Join(made, databaseName)
	if err := store.CopyDatabase(ctx, filepath.Join(data, databaseName), database); err != nil {
		return err
	}
	file, err := describe(made, databaseName)
	if err != nil {
		return err
	}
	b.Files = append(b.Files, file)
	extent, err := store.FileExtent(ctx, database)
	if err != nil {
		return err
	}
	b.Hosts = len(extent.Counted)
	for _, d := range extent.Days {
		b.Batches += d.Frames
		if d.Bytes == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		name := evidenceName + "/" + d.File()
		file, err := share(past, name, d.Bytes, made)
		if err == nil && file.Name == "" {
			file, err = copyFile(filepath.Join(data, evidenceName, d.File()), made, name, d.Bytes)
		}
		if err != nil {
			return err
		}
		b.Files = append(b.Files, file)
	}
	if err := b.collectVault(ctx, data, made); err != nil {
		return err
	}
	if err := b.collectOthers(data, made); err != nil {
		return err
	}
	slices.SortFunc(b.Files, func(x, y File) int { return strings.Compare(x.Name, y.Name) })
	text, err := json.MarshalIndent(b.Manifest, "", "  ")
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(made, manifestName), append(text, '\n')); err != nil {
		return err
	}
	return errors.Join(syncDir(filepath.Join(made, evidenceName)), syncDir(made))
}

// collectVault copies the database of personal data, which is of any size. Its
// master key is copied with the other keys only where it lies in the data
// directory; a vault is of no use without it.
func (b *Backup) collectVault(ctx context.Context, data, made string) error {
	from := filepath.Join(data, vaultName)
	if _, err := os.Stat(from); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := store.CopyDatabase(ctx, from, filepath.Join(made, vaultName)); err != nil {
		return err
	}
	file, err := describe(made, vaultName)
	b.Files = append(b.Files, file)
	return err
}

// collectOthers copies what lies beside database and evidence: keys and
// settings. What a start makes anew is left out, and so is what is too large.
func (b *Backup) collectOthers(data, made string) error {
	return filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(data, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			if name == evidenceName || strings.Count(name, "/") > 0 || name == "agent" || strings.HasPrefix(name, "agent-") {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a file of the moment
		}
		if err != nil {
			return err
		}
		if strings.HasPrefix(name, databaseName) || strings.HasPrefix(name, vaultName) || name == "api.json" || name == "agent.json" || !info.Mode().IsRegular() || info.Size() > maxOtherBytes {
			return nil
		}
		file, err := copyFile(path, made, name, info.Size())
		b.Files = append(b.Files, file)
		return err
	})
}

// share links an evidence file of a past backup that is the same: such files only
// grow, and those of past days do not. The name "" says that there is none.
func share(past []Backup, name string, bytes int64, made string) (File, error) {
	if len(past) == 0 {
		return File{}, nil
	}
	newest := past[len(past)-1]
	for _, f := range newest.Files {
		if f.Name != name || f.Bytes != bytes {
			continue
		}
		from, to := filepath.Join(newest.Path, name), filepath.Join(made, name)
		sum, err := digest(from)
		if err != nil || hex.EncodeToString(sum[:]) != f.SHA256 || os.Link(from, to) != nil {
			return File{}, nil // it is copied instead
		}
		return f, nil
	}
	return File{}, nil
}

// List returns the backups in a folder, oldest first, nil if there is no folder.
func List(folder string) ([]Backup, error) {
	names, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list backups: %w", err)
	}
	var all []Backup
	for _, n := range names {
		if !n.IsDir() || !strings.HasPrefix(n.Name(), prefix) {
			continue
		}
		b, err := Read(filepath.Join(folder, n.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, b)
	}
	slices.SortFunc(all, func(x, y Backup) int { return x.At.Compare(y.At) })
	return all, nil
}

// Read reads the manifest of a backup.
func Read(path string) (Backup, error) {
	b := Backup{Path: path}
	text, err := os.ReadFile(filepath.Join(path, manifestName))
	if err != nil {
		return b, fmt.Errorf("read backup: %w", err)
	}
	return b, b.parse(text)
}

func (b *Backup) parse(text []byte) error {
	if err := json.Unmarshal(text, &b.Manifest); err != nil {
		return fmt.Errorf("read manifest of backup %s: %w", b.Path, err)
	}
	if b.Kind != manifestKind {
		return fmt.Errorf("backup %s is a %q, this program reads %q", b.Path, b.Kind, manifestKind)
	}
	for _, f := range b.Files {
		if !filepath.IsLocal(filepath.FromSlash(f.Name)) || f.Bytes < 0 {
			return fmt.Errorf("backup %s: file %q", b.Path, f.Name)
		}
	}
	return nil
}
