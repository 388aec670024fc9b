package ctl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type exportCommand struct {
	Kind   string `arg:"" enum:"findings,runs,customers,tenants,audit" help:"findings, runs, customers, tenants or audit."`
	To     string `help:"File to save to, which is made only when the export is whole; - prints it." default:"-" placeholder:"FILE"`
	State  string `help:"Of findings: only those on which the work stands so." placeholder:"STATE"`
	Tenant string `help:"Of runs: only those of this tenant." placeholder:"ID"`
}

// errCut says that an export has no last line, or not the one of what came before it.
var errCut = errors.New("the export was cut and is not whole: ask again")

// progressEvery is how often an export says how far it is.
const progressEvery = 5 * time.Second

// Run saves an export. Where it is cut, no file is left and the exit code is 1.
func (c exportCommand) Run(s *scope) error {
	if s.flags.Watch {
		return errWatchReads
	}
	format := apitypes.ExportNDJSON
	if s.format == "csv" {
		format = apitypes.ExportCSV
	}
	query := url.Values{"format": {format}}
	for name, value := range map[string]string{"state": c.State, "tenant": c.Tenant} {
		if value != "" {
			query.Set(name, value) // one of another kind is refused by the API
		}
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	path := "/v1/exports/" + c.Kind
	if c.To == "-" {
		check := newExportCheck(s.out, s.errs, c.Kind, format)
		return check.take(client, path, query)
	}
	part := c.To + ".part"
	file, err := os.OpenFile(part, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("save: %w", err)
	}
	check := newExportCheck(file, s.errs, c.Kind, format)
	err = check.take(client, path, query)
	if closing := file.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(part, c.To)
	} else {
		_ = os.Remove(part) // what was cut is of no use
	}
	return err
}

// exportCheck passes an export on, counts its lines and keeps the last one.
type exportCheck struct {
	to, progress io.Writer
	kind, format string
	lines        int64
	line         []byte // of the line that is not ended, its first bytes
	last         []byte // of the line that ended last
	told         time.Time
}

// endLine is longer than any last line.
const endLine = 1 << 10

func newExportCheck(to, progress io.Writer, kind, format string) *exportCheck {
	return &exportCheck{to: to, progress: progress, kind: kind, format: format, told: time.Now()}
}

// take reads an export to its end, and is nil where it is whole.
func (e *exportCheck) take(c *client, path string, query url.Values) error {
	err := c.download(path, query, e)
	var refused *apitypes.Problem
	switch {
	case err == nil:
		return e.whole()
	case e.lines > 0 && !errors.As(err, &refused):
		return fmt.Errorf("%w (%w)", errCut, err)
	}
	return err
}

// Write takes more of an export.
func (e *exportCheck) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		line, after, ended := bytes.Cut(rest, []byte("\n"))
		if room := endLine - len(e.line); room > 0 {
			e.line = append(e.line, line[:min(room, len(line))]...)
		}
		if ended {
			e.lines++
			e.last, e.line = e.line, e.last[:0]
		}
		rest = after
	}
	if now := time.Now(); now.Sub(e.told) >= progressEvery {
		e.told = now
		e.say("%s: %d rows so far\n", e.kind, e.rows())
	}
	return e.to.Write(b)
}

// rows are the lines that are rows, but for the last one.
func (e *exportCheck) rows() int64 {
	if e.format == apitypes.ExportCSV {
		return max(0, e.lines-1) // without the names of columns
	}
	return e.lines
}

// say tells how far the export is; that this cannot be told is no reason to end it.
func (e *exportCheck) say(format string, args ...any) {
	_, _ = fmt.Fprintf(e.progress, format, args...)
}

// whole is nil where the last line says what came before it.
func (e *exportCheck) whole() error {
	rows := e.rows() - 1
	last := string(e.last)
	if len(e.line) > 0 || rows < 0 {
		return errCut
	}
	if e.format == apitypes.ExportCSV {
		cells := strings.Split(strings.TrimSuffix(last, "\r"), ",")
		if len(cells) < 3 || cells[0] != apitypes.ExportEndCell || cells[1] != strconv.FormatInt(rows, 10) || cells[2] != e.kind {
			return errCut
		}
	} else {
		var end apitypes.ExportEnd
		if json.Unmarshal([]byte(last), &end) != nil || end.End == nil || *end.End != (apitypes.ExportTotal{Kind: e.kind, Rows: rows}) {
			return errCut
		}
	}
	e.say("%s: %d rows, whole\n", e.kind, rows)
	return nil
}
