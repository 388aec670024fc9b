package ctl

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/flopwatch/flopwatch/pkg/audit"
)

type auditExportCommand struct {
	Folder string `arg:"" help:"Folder to save to; what is whole there already is kept, so that a later export adds to it." type:"path"`
}

// Run saves the log. The checkpoint is written last, so that a folder with one
// holds everything that it is about.
func (c auditExportCommand) Run(s *scope) error {
	if err := os.MkdirAll(c.Folder, 0o700); err != nil {
		return fmt.Errorf("audit export: %w", err)
	}
	next := filepath.Join(c.Folder, audit.CheckpointFile+".next")
	if err := saveAudit(s, audit.CheckpointFile, next); err != nil {
		return err
	}
	signed, err := os.ReadFile(next)
	if err != nil {
		return fmt.Errorf("audit export: %w", err)
	}
	checkpoint, err := audit.PeekCheckpoint(string(signed))
	if err != nil {
		return fmt.Errorf("audit export: %w", err)
	}
	saved := 0
	for t := range audit.Tiles(checkpoint.Size) {
		to := filepath.Join(c.Folder, filepath.FromSlash(t.Path()))
		if _, err := os.Stat(to); err == nil {
			continue // a tile never changes
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return fmt.Errorf("audit export: %w", err)
		}
		if err := saveAudit(s, t.Path(), to); err != nil {
			return err
		}
		saved++
	}
	if err := saveAudit(s, audit.KeyFile, filepath.Join(c.Folder, audit.KeyFile)); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(c.Folder, audit.CheckpointFile)); err != nil {
		return fmt.Errorf("audit export: %w", err)
	}
	s.out.say("%d entries, %d new tiles in %s\n", checkpoint.Size, saved, printable(c.Folder))
	return nil
}

func saveAudit(s *scope, file, to string) error {
	return save(s, "/v1/audit/log/"+(&url.URL{Path: file}).EscapedPath(), nil, to)
}
