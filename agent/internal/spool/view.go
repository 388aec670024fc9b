package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// readableName is the file in which the process that writes a spool says what
// another process may read of it. It is replaced whole after each fsync and is
// not itself synced: after a crash it names less than is there, or nothing.
const readableName = "readable"

// view is what may be read of a spool. Everything that it names is synced.
type view struct {
	Host     string        `json:"host"`
	Instance uint64        `json:"instance"` // positions of another instance mean nothing
	Segments []viewSegment `json:"segments"` // oldest first
	Heads    []viewHead    `json:"heads"`
	Orphans  []viewOrphan  `json:"orphans,omitempty"`
}

type viewSegment struct {
	Number uint64 `json:"number"`
	Size   int64  `json:"size"` // readable bytes from the start of the file
}

type viewHead struct {
	Host      string `json:"host"`
	Last      Mark   `json:"last"`
	Hash      []byte `json:"hash"`
	Receipted Mark   `json:"receipted"`
}

type viewOrphan struct {
	Host  string `json:"host"`
	Epoch uint64 `json:"epoch"`
	After uint64 `json:"after"`
}

// publish tells other processes what may be read now. The lock is held.
func (s *Spool) publish() error {
	if s.opt.Shared == "" {
		return nil
	}
	v := view{Host: s.opt.Shared, Instance: s.instance}
	for _, seg := range s.segments {
		if s.hidden != 0 && seg.number >= s.hidden {
			break
		}
		size := seg.size
		if bad, damaged := s.recovery.damage(seg.number); damaged {
			size = min(size, bad)
		}
		if seg.number == s.synced.Segment {
			size = min(size, s.synced.Offset)
		}
		if seg.number <= s.synced.Segment {
			v.Segments = append(v.Segments, viewSegment{seg.number, size})
		}
	}
	for _, name := range sortedHosts(s.heads) {
		h := s.heads[name]
		v.Heads = append(v.Heads, viewHead{h.Host, h.Last, h.Hash[:], h.Receipted})
	}
	for key, after := range s.orphans {
		v.Orphans = append(v.Orphans, viewOrphan{key.host, key.epoch, after})
	}
	data, err := json.Marshal(v)
	if err == nil {
		err = replaceFile(s.fs, filepath.Join(s.dir, readableName), data)
	}
	if errors.Is(err, syscall.ENOSPC) {
		return nil // the other process reads what it knows of until there is room
	}
	if err != nil {
		return s.fail("publish what may be read", err)
	}
	return nil
}

// replaceFile replaces name by data as a whole for other processes, and promises
// nothing after a power cut.
func replaceFile(fsys FS, name string, data []byte) error {
	f, err := fsys.Open(name+tmpSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return err
	}
	n, err := f.Write(data)
	if err == nil && n < len(data) {
		err = fmt.Errorf("wrote %d of %d bytes", n, len(data))
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return fsys.Rename(name+tmpSuffix, name)
}
