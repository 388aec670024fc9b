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

// watchedFile tells when a small file has new content.
type watchedFile struct {
	path, what string // what it holds, for errors
	last       mark
	sum        [sha256.Size]byte
	read       bool // a file was read at all
}

// mark tells versions of a file apart.
type mark struct {
	modNS, size int64
	inode       uint64
	settled     bool
}

// poll returns the content if it is new. Without a path it never is. A file that
// anyone may write is an error: it would let a tenant say whose time it is.
func (f *watchedFile) poll(now time.Time) (data []byte, fresh bool, err error) {
	if f.path == "" {
		return nil, false, nil
	}
	info, err := os.Stat(f.path)
	if err != nil {
		f.last, f.read = mark{}, false
		return nil, false, fmt.Errorf("watch %s: %w", f.what, err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o002 != 0 {
		f.last, f.read = mark{}, false
		return nil, false, fmt.Errorf("watch %s: %s must be a file that not everybody may write, it is %s", f.what, f.path, info.Mode())
	}
	m := markOf(info, now)
	if f.last == m && m.settled {
		return nil, false, nil
	}
	data, err = readLimited(f.path)
	if err != nil {
		f.last = mark{}
		return nil, false, fmt.Errorf("read %s: %w", f.what, err)
	}
	f.last = m
	sum := sha256.Sum256(data)
	if f.read && sum == f.sum {
		return nil, false, nil
	}
	f.read, f.sum = true, sum
	return data, true, nil
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
