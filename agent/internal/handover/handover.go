// Package handover carries receipts and tenancy leases from the process that ships
// a spool to the process that writes it.
//
// The shipper speaks to the network and is not believed: it hands over the bytes
// that the collector signed, and the writer of the spool verifies them itself
// before it lets go of anything. The worst that a broken shipper can do is to
// hand over nothing, or an old receipt, and then the spool only keeps more.
package handover

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// maxReceipt is more than a signed receipt ever has, in bytes.
const maxReceipt = 4 << 10

// Write replaces the file at path by a signed receipt or signed leases. It is not
// synced: after a power cut the collector sends them again.
func Write(path string, envelope []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".handover-")
	if err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	_, err = f.Write(envelope)
	if err == nil {
		err = f.Chmod(0o640) // the process that writes the spool is in the group
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("hand over %s: %w", filepath.Base(path), err), os.Remove(f.Name()))
	}
	return nil
}

// read returns the receipt at path, nil if there is none.
func read(path string) ([]byte, error) { return readUpTo(path, maxReceipt) }

// readUpTo returns the file at path, nil if there is none. The folder belongs to a
// process that is not trusted: what is not a small plain file is refused, and
// nothing in it can make this process wait.
func readUpTo(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a plain file", path)
	}
	var data []byte
	if err == nil {
		data, err = io.ReadAll(io.LimitReader(f, most+1))
	}
	if err == nil && int64(len(data)) > most {
		err = fmt.Errorf("%s has more than %d bytes", path, most)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("take over: %w", err)
	}
	return data, nil
}
