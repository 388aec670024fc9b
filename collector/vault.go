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
	"github.com/flopwatch/flopwatch/collector/internal/vault"
)

// openVault opens the vault with its master key. A key that is named must be
// there; without a name one is made beside a new vault, for a trial.
func (c serveCommand) openVault(ctx context.Context) (*vault.Vault, error) {
	path, database := c.VaultKey, filepath.Join(c.Data, "vault.db")
	create := false
	if path == "" {
		path = filepath.Join(c.Data, "vault.key")
		_, err := os.Stat(database)
		create = errors.Is(err, fs.ErrNotExist)
	}
	key, err := vault.LoadKey(path, create)
	if err != nil {
		return nil, err
	}
	return vault.Open(ctx, database, key, time.Now)
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
