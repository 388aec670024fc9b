package collector

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/collector/internal/enrolment"
	"github.com/flopwatch/flopwatch/pkg/cli"
)

// natsCommand writes what a NATS server outside the collector needs.
type natsCommand struct {
	Data string `help:"Data directory of the collector." default:"data" type:"path"`
	Out  string `help:"Folder to write to." required:"" type:"path"`
}

// Run writes server.pem and server.key, which are made anew each time, and on the
// first time collector.nk, the seed of the collector's user there.
func (c natsCommand) Run(s cli.Streams) error {
	if err := os.MkdirAll(c.Data, 0o700); err != nil { // before the first start of the collector
		return fmt.Errorf("make data directory: %w", err)
	}
	authority, err := enrolment.LoadAuthority(c.Data, time.Now)
	if err != nil {
		return err
	}
	certificate, key, err := authority.ForServer()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.Out, 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	err = errors.Join(writeFile(filepath.Join(c.Out, "server.pem"), certificate, 0o644), writeFile(filepath.Join(c.Out, "server.key"), key, 0o600))
	if err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	public, err := broker.ExternalUser(filepath.Join(c.Out, "collector.nk"))
	if err != nil {
		return fmt.Errorf("the collector's user: %w", err)
	}
	fmt.Fprintf(s.Out, "wrote server.pem, server.key and collector.nk to %s\nthe collector's user is %s\n", c.Out, public)
	return nil
}

// writeFile replaces a file whole.
func writeFile(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
