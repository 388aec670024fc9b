package httpapi

import (
	"bytes"
	"encoding/csv"
	"net/http"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/sheet"
	"github.com/flopwatch/flopwatch/pkg/plaintext"
)

// exportBuffer is how much is held before it is sent, in bytes.
const exportBuffer = 64 << 10

// exportWriteTime is how long a reader may take for what was held.
const exportWriteTime = 30 * time.Second

// exportWriter writes rows in one form and counts them.
type exportWriter struct {
	to      http.ResponseWriter
	control *http.ResponseController
	kind    string
	rows    int64
	width   int // cells of a row of CSV

	held bytes.Buffer
	csv  *csv.Writer // nil for NDJSON
}

func newExportWriter(w http.ResponseWriter, format, kind string, names []string) *exportWriter {
	o := &exportWriter{to: w, control: http.NewResponseController(w), kind: kind, width: len(names)}
	media := apitypes.ExportNDJSONMedia
	if format == apitypes.ExportCSV {
		media = apitypes.ExportCSVMedia + "; charset=utf-8; header=present"
		o.csv = csv.NewWriter(&o.held)
		_ = o.csv.Write(names) // to memory
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Disposition", `attachment; filename="`+kind+"."+format+`"`)
	w.Header().Set("Cache-Control", "no-store")
	return o
}

func writeRow[T any](o *exportWriter, columns []sheet.Column[T], item T) error {
	o.rows++
	if o.csv != nil {
		return o.record(sheet.Cells(columns, item))
	}
	return o.line(item)
}

// end writes the last line, by which an export is known to be whole.
func (o *exportWriter) end() error {
	var err error
	if o.csv != nil {
		last := make([]string, o.width)
		last[0], last[1], last[2] = apitypes.ExportEndCell, strconv.FormatInt(o.rows, 10), o.kind
		err = o.record(last)
	} else {
		err = o.line(apitypes.ExportEnd{End: &apitypes.ExportTotal{Kind: o.kind, Rows: o.rows}})
	}
	if err != nil {
		return err
	}
	return o.flush()
}

func (o *exportWriter) record(cells []string) error {
	if err := o.csv.Write(cells); err != nil {
		return err
	}
	o.csv.Flush() // to memory
	return o.roomFor()
}

func (o *exportWriter) line(v any) error {
	text, err := plaintext.JSONLine(v)
	if err != nil {
		return err
	}
	o.held.WriteString(text)
	return o.roomFor()
}

func (o *exportWriter) roomFor() error {
	if o.held.Len() < exportBuffer {
		return nil
	}
	return o.flush()
}

// flush sends what is held, in a time of its own: the server's is for answers that
// are short.
func (o *exportWriter) flush() error {
	// A writer without deadlines (a test's) has none to move.
	_ = o.control.SetWriteDeadline(time.Now().Add(exportWriteTime))
	if _, err := o.held.WriteTo(o.to); err != nil {
		return err
	}
	return o.control.Flush()
}
