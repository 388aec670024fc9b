package spool

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// watch tells when a file in a folder was put in place or written, so that
// nothing has to be looked at in between. It belongs to one goroutine.
type watch struct {
	file *os.File // an inotify descriptor
	buf  [4096]byte
}

func watchFolder(dir string) (*watch, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, err)
	}
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_CREATE|unix.IN_CLOSE_WRITE|unix.IN_ONLYDIR); err != nil {
		return nil, errors.Join(fmt.Errorf("watch %s: %w", dir, err), unix.Close(fd))
	}
	return &watch{file: os.NewFile(uintptr(fd), "inotify")}, nil
}

// next waits for a change. Which file it was does not matter: the caller looks.
func (w *watch) next() error {
	if _, err := w.file.Read(w.buf[:]); err != nil {
		return fmt.Errorf("wait for a change: %w", err)
	}
	return nil
}

// run signals each change until ctx ends or the watch fails; then the caller
// has only its own looking.
func (w *watch) run(ctx context.Context, changed chan struct{}) {
	stop := context.AfterFunc(ctx, func() { _ = w.file.Close() }) // ends the read
	defer func() {
		if stop() {
			_ = w.file.Close() // the watch failed by itself
		}
	}()
	for w.next() == nil {
		signal(changed)
	}
}
