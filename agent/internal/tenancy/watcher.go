package tenancy

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// settle is how long a file must be unchanged before its times are believed:
// two writes within one tick of the file system's clock look alike.
const settle = 2 * time.Second

// Watcher keeps the leases of a file. It is for one goroutine; call Poll once a
// sample period.
type Watcher struct {
	path  string
	last  mark
	sum   [sha256.Size]byte
	read  bool // a file was read at all
	table *Table
	err   error
}

// mark tells versions of a file apart.
type mark struct {
	modNS, size int64
	inode       uint64
	settled     bool
}

// NewWatcher returns a watcher with no leases. An empty path means that leases
// are not used. Nothing is read before the first Poll.
func NewWatcher(path string) *Watcher { return &Watcher{path: path, table: NewTable(nil)} }

// Table returns the last good set of leases.
func (w *Watcher) Table() *Table { return w.table }

// Err returns what is wrong with the file now, nil when the table is current.
func (w *Watcher) Err() error { return w.err }

// Poll looks whether the file changed and takes a new version into Table if it
// is free of faults; otherwise the last good set stays. changed reports a new
// table or a new state of Err, so that a caller logs each once.
func (w *Watcher) Poll(now time.Time) (changed bool) {
	if w.path == "" {
		return false
	}
	info, err := os.Stat(w.path)
	if err != nil {
		w.last = mark{}
		w.read = false
		return w.fail(fmt.Errorf("watch leases: %w", err))
	}
	m := markOf(info, now)
	if w.last == m && m.settled {
		return false
	}
	data, err := readLimited(w.path)
	if err != nil {
		w.last = mark{}
		return w.fail(fmt.Errorf("read leases: %w", err))
	}
	w.last = m
	sum := sha256.Sum256(data)
	if w.read && sum == w.sum {
		return false
	}
	w.read, w.sum = true, sum
	leases, err := Decode(w.path, data)
	if err != nil {
		return w.fail(fmt.Errorf("leases are not used, the last good set stays: %w", err))
	}
	w.table, w.err = NewTable(leases), nil
	return true
}

// fail sets the error and reports whether it says something new.
func (w *Watcher) fail(err error) bool {
	same := w.err != nil && w.err.Error() == err.Error()
	w.err = err
	return !same
}

func markOf(info os.FileInfo, now time.Time) mark {
	m := mark{modNS: info.ModTime().UnixNano(), size: info.Size()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		m.inode = sys.Ino
	}
	age := now.Sub(info.ModTime())
	// A time of the future never settles by waiting; it is read each time.
	m.settled = age > settle
	return m
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxFile+1))
}
