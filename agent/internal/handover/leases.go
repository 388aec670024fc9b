package handover

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// maxLeases is more than signed leases of a host ever have, in bytes.
const maxLeases = wire.MaxLeases + 4<<10

// Leases takes tenancy leases that the collector signed for this host from a file
// that the shipper writes, and keeps the newest in a file of its own: a shipper can
// hold leases back, and cannot bring old ones back. It belongs to one goroutine.
type Leases struct {
	host      string
	path      string // written by the shipper
	kept      string // written here; may be path where no shipper writes it
	collector ed25519.PublicKey

	seen     fileMark
	started  bool
	issuedNS int64
}

// fileMark tells versions of a file apart.
type fileMark struct {
	modNS, size int64
}

// NewLeases returns the keeper of leases at path for a host, of the collector with
// the key. It reads nothing yet.
func NewLeases(host, path, kept string, collector ed25519.PublicKey) *Leases {
	return &Leases{host: host, path: path, kept: kept, collector: collector}
}

// Poll returns the lines of newer leases, as a lease file has them. fresh is false
// when there are none. An error, which wraps ErrRefused, changes nothing and is
// told once for each version of the file.
func (l *Leases) Poll() (lines []byte, fresh bool, err error) {
	if !l.started {
		l.started = true
		if lines, fresh, err = l.take(l.kept); fresh || err != nil {
			return lines, fresh, err
		}
	}
	info, err := os.Lstat(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	mark := fileMark{info.ModTime().UnixNano(), info.Size()}
	if mark == l.seen {
		return nil, false, nil
	}
	l.seen = mark
	return l.take(l.path)
}

// take reads a file and returns its lines if they are newer than what was taken.
func (l *Leases) take(path string) (lines []byte, fresh bool, err error) {
	data, err := readUpTo(path, maxLeases)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if data == nil {
		return nil, false, nil
	}
	key, body, err := attest.Open(attest.DomainLeases, data)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if !key.Equal(l.collector) {
		return nil, false, fmt.Errorf("%w: leases signed by another collector", ErrRefused)
	}
	told, err := wire.DecodeLeases(body)
	if err != nil {
		return nil, false, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	switch {
	case told.Host != l.host:
		return nil, false, fmt.Errorf("%w: leases for host %s", ErrRefused, told.Host)
	case told.IssuedNS < l.issuedNS:
		return nil, false, fmt.Errorf("%w: leases that are older than those in use", ErrRefused)
	case told.IssuedNS == l.issuedNS:
		return nil, false, nil
	}
	if path != l.kept {
		if err := Write(l.kept, data); err != nil {
			return nil, false, err
		}
	}
	l.issuedNS = told.IssuedNS
	return told.Lines, true, nil
}
