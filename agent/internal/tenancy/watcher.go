package tenancy

import (
	"fmt"
	"time"
)

// Watcher keeps the leases of a file. It is for one goroutine; call Poll once a
// sample period.
type Watcher struct {
	file   watchedFile
	leases []Lease
	table  *Table
	err    error
}

// NewWatcher returns a watcher with no leases. An empty path means that leases
// are not used. Nothing is read before the first Poll.
func NewWatcher(path string) *Watcher {
	return &Watcher{file: watchedFile{path: path, what: "leases"}, table: NewTable(nil)}
}

// Table returns the last good set of leases.
func (w *Watcher) Table() *Table { return w.table }

// Leases returns what Table holds, in the order of the file.
func (w *Watcher) Leases() []Lease { return w.leases }

// Err returns what is wrong with the file now, nil when the table is current.
func (w *Watcher) Err() error { return w.err }

// Poll looks whether the file changed and takes a new version into Table if it
// is free of faults; otherwise the last good set stays. changed reports a new
// table or a new state of Err, so that a caller logs each once.
func (w *Watcher) Poll(now time.Time) (changed bool) {
	data, fresh, err := w.file.poll(now)
	if err != nil {
		return w.fail(err)
	}
	if !fresh {
		return false
	}
	leases, err := Decode(w.file.path, data)
	if err != nil {
		return w.fail(fmt.Errorf("leases are not used, the last good set stays: %w", err))
	}
	w.leases, w.table, w.err = leases, NewTable(leases), nil
	return true
}

// fail sets the error and reports whether it says something new.
func (w *Watcher) fail(err error) bool {
	same := w.err != nil && w.err.Error() == err.Error()
	w.err = err
	return !same
}
