package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// copyFile copies the first bytes of a file into a folder, under a name with
// slashes, and syncs it.
func copyFile(from, folder, name string, bytes int64) (File, error) {
	in, err := os.Open(from)
	if err != nil {
		return File{}, fmt.Errorf("copy %s: %w", name, err)
	}
	to := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return File{}, errors.Join(fmt.Errorf("copy %s: %w", name, err), in.Close())
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return File{}, errors.Join(fmt.Errorf("copy %s: %w", name, err), in.Close())
	}
	sum := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(in, bytes))
	if err == nil && n != bytes {
		err = fmt.Errorf("%d bytes of %d", n, bytes)
	}
	if err = errors.Join(err, out.Sync(), out.Close(), in.Close()); err != nil {
		return File{}, fmt.Errorf("copy %s: %w", name, err)
	}
	return File{Name: name, Bytes: n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

// describe returns the row of a file that is there already.
func describe(folder, name string) (File, error) {
	path := filepath.Join(folder, filepath.FromSlash(name))
	info, err := os.Stat(path)
	if err != nil {
		return File{}, err
	}
	sum, err := digest(path)
	return File{Name: name, Bytes: info.Size(), SHA256: hex.EncodeToString(sum[:])}, err
}

func digest(path string) (sum [sha256.Size]byte, err error) {
	file, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	_, err = io.Copy(h, file)
	h.Sum(sum[:0])
	return sum, errors.Join(err, file.Close())
}

func writeFile(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Sync(), file.Close())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
