package vault

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// LoadKey reads the master key from a file of 32 bytes, which nobody but its
// owner may read. With create it makes the file if there is none.
func LoadKey(path string, create bool) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && create:
		return createKey(path)
	case err != nil:
		return nil, fmt.Errorf("master key of the vault: %w", err)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("master key of the vault: %s may be read by others: make it mode 0600", path)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("master key of the vault: %w", err)
	}
	if len(key) != KeySize {
		return nil, fmt.Errorf("master key of the vault: %s has %d bytes and must have %d", path, len(key), KeySize)
	}
	return key, nil
}

func createKey(path string) ([]byte, error) {
	key := make([]byte, KeySize)
	rand.Read(key) // never fails
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make the master key of the vault: %w", err)
	}
	_, err = file.Write(key)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, fmt.Errorf("make the master key of the vault: %w", err)
	}
	return key, nil
}
