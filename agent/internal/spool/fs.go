package spool

import (
	"io"
	"os"
	"path/filepath"
)

// FS is the part of the file system that a spool uses, so that a test can make
// each call fail. Names are full paths. No call is retried by the spool.
type FS interface {
	// Open opens a file with the flags of package os and mode 0640, which the
	// umask narrows: the group is the process that ships.
	Open(name string, flag int) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// List returns the base names of a folder in any order.
	List(dir string) ([]string, error)
	// SyncDir makes the creation, renaming and removal of names in dir durable.
	SyncDir(dir string) error
}

// File is one open file. Write appends.
type File interface {
	io.ReaderAt
	io.WriteCloser
	Truncate(size int64) error
	Sync() error
}

type diskFS struct{}

func (diskFS) Open(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, 0o640)
	if err != nil {
		return nil, err // a typed nil inside the interface would look like a file
	}
	return f, nil
}

func (diskFS) Rename(from, to string) error { return os.Rename(from, to) }
func (diskFS) Remove(name string) error     { return os.Remove(name) }

func (diskFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (diskFS) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// writeWhole replaces name by data so that after a crash either the old or the
// new content is there, whole.
func writeWhole(fsys FS, name string, data []byte) error {
	tmp := name + tmpSuffix
	f, err := fsys.Open(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if err := fsys.Rename(tmp, name); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// readWhole returns the whole content of a file.
func readWhole(fsys FS, name string) ([]byte, error) {
	f, err := fsys.Open(name, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<62))
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return data, err
}
