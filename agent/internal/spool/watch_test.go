package spool

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"
)

// A file put in place wakes the watch; the end of the context ends it.
func TestWatchTellsOfFilesPutInPlace(t *testing.T) {
	dir := t.TempDir()
	w, err := watchFolder(dir)
	if err != nil {
		t.Skipf("this kernel tells of no changes: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	changed, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		w.run(ctx, changed)
	}()
	if err := replaceFile(diskFS{}, filepath.Join(dir, readableName), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
	case <-time.After(time.Minute):
		t.Error("a file was put in place and nothing was told")
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(time.Minute):
		t.Error("the watch does not end")
	}
	if _, err := watchFolder(filepath.Join(dir, "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
}
