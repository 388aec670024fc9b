package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/identity"
	"github.com/flopwatch/flopwatch/agent/internal/reader"
	"github.com/flopwatch/flopwatch/agent/internal/spool"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
)

// check tries what a start of this version needs, beside a sampler of another version
// that runs: the key, the spool of that one, the leases, and a reading of the devices.
// It changes nothing, so an upgrade can ask it before it ends what works. All faults are
// named, each with what was tried.
func (c sampleCommand) check(ctx context.Context, s cli.Streams) error {
	ctx, cancel := context.WithTimeout(ctx, 2*openTimeout)
	defer cancel()
	batches, err := readable(filepath.Join(c.Data, "spool"))
	faults := []error{err, c.checkKey(), c.checkLeases()}
	answering, devices, err := c.checkDevices(ctx, s)
	if err := errors.Join(append(faults, err)...); err != nil {
		return fmt.Errorf("this version would not start here: %w", err)
	}
	_, err = fmt.Fprintf(s.Out, "this version can start here: %d of %d devices answer, %d batches in the spool can be read\n", answering, devices, batches)
	return err
}

// readable counts the batches of a spool that another process writes.
func readable(dir string) (n int, err error) {
	from, err := spool.Follow(dir, nil)
	if errors.Is(err, spool.ErrNotShared) {
		return 0, nil // no sampler was here
	}
	if err != nil {
		return 0, fmt.Errorf("read the spool: %w", err)
	}
	cursor := from.Cursor()
	defer func() { err = errors.Join(err, cursor.Close()) }()
	for {
		switch _, _, err := cursor.Next(); {
		case errors.Is(err, io.EOF):
			return n, nil
		case err != nil:
			return n, fmt.Errorf("read the spool after %d batches: %w", n, err)
		}
		n++
	}
}

func (c sampleCommand) checkKey() error {
	target, err := endpoint.Read(c.Endpoint)
	if err != nil || target.Identity == nil {
		return err // the key of a trial is made when it is not there
	}
	_, err = identity.SigningKey(target, c.Data)
	return err
}

// checkLeases reads the file of leases. One with a fault stops no sampler: it keeps the
// table that it had, and one that starts has none.
func (c sampleCommand) checkLeases() error {
	if c.Leases == "" {
		return nil
	}
	w := tenancy.NewWatcher(c.Leases)
	w.Poll(time.Now())
	return w.Err()
}

// checkDevices reads each device once. A device that does not answer stops no sampler
// either, but when none does, this version is not to take over.
func (c sampleCommand) checkDevices(ctx context.Context, s cli.Streams) (answering, devices int, err error) {
	from, err := c.open(ctx, s)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	devices = len(from.Host().Devices)
	answering, faults := answers(from.Readings(ctx, time.Now().UnixNano()))
	if devices > 0 && answering == 0 {
		return 0, devices, fmt.Errorf("none of %d devices answers: %w", devices, faults)
	}
	return answering, devices, nil
}

func answers(r *reader.Result) (n int, faults error) {
	for i := range r.Readings {
		if err := r.Readings[i].Err; err != nil {
			faults = errors.Join(faults, err)
		} else {
			n++
		}
	}
	return n, faults
}
