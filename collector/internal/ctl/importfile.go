package ctl

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// fileImport sends a file whole, to be taken whole or not at all.
type fileImport struct {
	what   string // it holds, as errors say it
	file   string
	dryRun bool
}

// send sends the file to a route and reads what changed into diff. Faults of the
// file are an error that names each.
func (i fileImport) send(s *scope, method, path, media string, diff any) error {
	info, err := os.Stat(i.file)
	if err != nil {
		return fmt.Errorf("%s: %w", i.what, err)
	}
	if info.Size() > apitypes.MaxImportBytes {
		return fmt.Errorf("%s %s: larger than %d MiB", i.what, i.file, apitypes.MaxImportBytes>>20)
	}
	data, err := os.ReadFile(i.file)
	if err != nil {
		return fmt.Errorf("%s: %w", i.what, err)
	}
	c, err := s.connect()
	if err != nil {
		return err
	}
	query := url.Values{"name": {plainName(filepath.Base(i.file))}}
	if i.dryRun {
		query.Set("dry_run", "true")
	}
	return c.do(method, path, query, media, data, diff)
}

// rowsOrLines is the media type of a file of CSV, or of NDJSON by its name.
func rowsOrLines(file string) string {
	if ext := strings.ToLower(filepath.Ext(file)); ext == ".ndjson" || ext == ".json" {
		return "application/x-ndjson"
	}
	return "text/csv"
}
