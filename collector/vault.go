package collector

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/screening"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/vault"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/cli"
)

// vaultFlags say where the vault is.
type vaultFlags struct {
	Data     string `help:"Data directory." default:"data" type:"path"`
	VaultKey string `help:"File of the master key of the vault; vault.key in the data directory if none is named." type:"path"`
}

// open opens the vault with its master key. A key that is named must be there;
// without a name one is made beside a new vault, for a trial. Where a rotation
// was interrupted after the vault took the new key, the file follows.
func (f vaultFlags) open(ctx context.Context) (*vault.Vault, error) {
	path, database := f.key(), filepath.Join(f.Data, "vault.db")
	create := false
	if f.VaultKey == "" {
		_, err := os.Stat(database)
		create = errors.Is(err, fs.ErrNotExist)
	}
	key, err := vault.LoadKey(path, create)
	if err != nil {
		return nil, err
	}
	v, err := vault.Open(ctx, database, key, time.Now)
	if !errors.Is(err, vault.ErrKey) {
		return v, err
	}
	next, nextErr := vault.LoadKey(path+newKey, false)
	if nextErr != nil {
		return nil, err // as it was: there is no other key
	}
	if v, err = vault.Open(ctx, database, next, time.Now); err != nil {
		return nil, err
	}
	if err := os.Rename(path+newKey, path); err != nil {
		return nil, errors.Join(fmt.Errorf("put the new master key in the place of the old one: %w", err), v.Close())
	}
	return v, nil
}

// newKey ends the name of a master key that a rotation has not put in place yet.
const newKey = ".new"

func (f vaultFlags) key() string {
	if f.VaultKey != "" {
		return f.VaultKey
	}
	return filepath.Join(f.Data, "vault.key")
}

// vaultCommands are what operators do with the vault.
type vaultCommands struct {
	Rotate rotateVaultCommand `cmd:"" help:"Make a new master key of the vault and wrap every key in it with that one. A collector that runs must be started again."`
}

type rotateVaultCommand struct{ vaultFlags }

// Run rotates the master key. Interrupted at any point it is run again, and the
// vault opens in between.
func (c rotateVaultCommand) Run(ctx context.Context, s cli.Streams) (err error) {
	v, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	next, err := vault.LoadKey(c.key()+newKey, true)
	if err != nil {
		return err
	}
	if err := v.Rotate(ctx, next); err != nil {
		return err
	}
	if err := os.Rename(c.key()+newKey, c.key()); err != nil {
		return fmt.Errorf("put the new master key in the place of the old one: %w", err)
	}
	fmt.Fprintf(s.Out, "rotated: %s is the new master key. Backups made before open with the old one alone.\nStart the collector again.\n", c.key())
	return nil
}

// logRotation puts into the audit log, once, that the vault has another master
// key than when it was made.
func logRotation(ctx context.Context, db *store.Store, v *vault.Vault) error {
	generation, err := v.Generation(ctx)
	if err != nil || generation == "" {
		return err
	}
	_, err = db.LogFeed(audit.Because(ctx, "vault.rotate", ""), "vault/"+generation[:32], 0, generation)
	return err
}

// screening returns the client of the server of watch lists, nil if none is named.
func (c serveCommand) screening() (*screening.Client, error) {
	if c.ScreeningURL == "" {
		return nil, nil
	}
	o := screening.Options{Kind: screening.Kind(c.ScreeningKind), URL: c.ScreeningURL}
	if c.ScreeningToken != "" {
		token, err := os.ReadFile(c.ScreeningToken)
		if err != nil {
			return nil, fmt.Errorf("token of the screening server: %w", err)
		}
		o.Token = strings.TrimSpace(string(token))
	}
	return screening.New(o)
}
