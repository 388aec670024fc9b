package identity

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// Users are who reads the keys of a host, where sampler and shipper run as two
// users: neither can read the other's key. Empty names leave the keys to whoever
// makes them. A name may be a number, as of users that only containers know.
type Users struct {
	Sampler string // reads the key that signs
	Shipper string // reads the key that connects
}

// makeFolder makes the folder of the keys. Where the keys are of other users, they
// may go through it to the files that are named to them, and list nothing.
func (u Users) makeFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	if u.Sampler == "" && u.Shipper == "" {
		return nil
	}
	return os.Chmod(dir, 0o711)
}

// writeSecret writes a file that was not there, for one user alone.
func writeSecret(path, owner string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if owner != "" {
		err = give(f, owner)
	}
	if err == nil {
		_, err = f.Write(data)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// give makes a file that of a user, while it is empty still.
func give(f *os.File, owner string) error {
	uid, gid, err := lookup(owner)
	if err != nil {
		return fmt.Errorf("give %s to %s: %w", f.Name(), owner, err)
	}
	if err := f.Chown(uid, gid); err != nil {
		return fmt.Errorf("give the key to %s, which root alone can: %w", owner, err)
	}
	return nil
}

// lookup returns the numbers of a user; a group of -1 leaves that of a file as it is.
func lookup(owner string) (uid, gid int, err error) {
	if uid, err := strconv.ParseUint(owner, 10, 31); err == nil {
		return int(uid), -1, nil
	}
	u, err := user.Lookup(owner)
	if err != nil {
		return 0, 0, err
	}
	uid, errUID := strconv.Atoi(u.Uid)
	gid, errGID := strconv.Atoi(u.Gid)
	return uid, gid, errors.Join(errUID, errGID)
}
