package output

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/xuri/excelize/v2"

	"github.com/flopwatch/flopwatch/collector/internal/report"
)

// rows are the lines of a document for a spreadsheet: one for each field, and one
// for each cell of a table.
func rows(d report.Document) [][]string {
	out := [][]string{{"section", "field", "title", "row", "column", "value", "not_held", "source", "as_of", "confidence"}}
	for _, s := range d.Sections {
		for _, f := range s.Fields {
			v := f.Value
			if v == nil {
				out = append(out, []string{s.Title, f.ID, f.Title, "", "", "", map[bool]string{true: "missing"}[f.Missing], "", "", ""})
				continue
			}
			at := v.AsOf.UTC().Format(time.RFC3339)
			if v.Text != "" || v.NotHeld != "" {
				out = append(out, []string{s.Title, f.ID, f.Title, "", "", v.Text, v.NotHeld, v.Source, at, v.Confidence})
			}
			if v.Table == nil {
				continue
			}
			for n, row := range v.Table.Rows {
				for i, cell := range row {
					out = append(out, []string{s.Title, f.ID, f.Title, fmt.Sprint(n + 1), v.Table.Columns[i], cell, "", v.Source, at, v.Confidence})
				}
			}
		}
	}
	return out
}

// CSV returns the document as lines of fields. A cell that a spreadsheet could
// take for a formula gets an apostrophe in front.
func CSV(d report.Document) ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, row := range rows(d) {
		for i := range row {
			row[i] = guarded(row[i])
		}
		if err := w.Write(row); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// guarded puts an apostrophe before what spreadsheets take for a formula, also
// behind blanks and in full width.
func guarded(cell string) string {
	first := strings.TrimLeftFunc(cell, unicode.IsSpace)
	for _, mark := range []string{"=", "+", "-", "@", "＝", "＋", "－", "＠"} {
		if strings.HasPrefix(first, mark) {
			return "'" + cell
		}
	}
	if cell != "" && strings.ContainsRune("\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// XLSX returns the document as a workbook: a sheet of all fields, and one for
// each table. Every cell is a text, so nothing in it is ever a formula.
func XLSX(d report.Document) (out []byte, err error) {
	f := excelize.NewFile()
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	const fields = "Fields"
	if err := f.SetSheetName("Sheet1", fields); err != nil {
		return nil, err
	}
	strong, err := f.NewStyle(&excelize.Style{Font: &excelize.Font{Bold: true}, Alignment: &excelize.Alignment{Vertical: "top"}})
	if err != nil {
		return nil, err
	}
	wrapped, err := f.NewStyle(&excelize.Style{Alignment: &excelize.Alignment{WrapText: true, Vertical: "top"}})
	if err != nil {
		return nil, err
	}
	fill := func(sheet string, all [][]string, widths []float64) error {
		for n, row := range all {
			for i, text := range row {
				cell, err := excelize.CoordinatesToCellName(i+1, n+1)
				if err != nil {
					return err
				}
				if len(text) > 32_000 { // of 32,767 that a cell holds
					text = strings.ToValidUTF8(text[:32_000], "") + " … (cut; the whole text is in the HTML)"
				}
				if err := f.SetCellStr(sheet, cell, text); err != nil {
					return err
				}
				style := wrapped
				if n == 0 {
					style = strong
				}
				if err := f.SetCellStyle(sheet, cell, cell, style); err != nil {
					return err
				}
			}
		}
		for i, w := range widths {
			name, err := excelize.ColumnNumberToName(i + 1)
			if err != nil {
				return err
			}
			if err := f.SetColWidth(sheet, name, name, w); err != nil {
				return err
			}
		}
		return f.SetPanes(sheet, &excelize.Panes{Freeze: true, YSplit: 1, TopLeftCell: "A2", ActivePane: "bottomLeft"})
	}
	if err := fill(fields, rows(d), []float64{20, 24, 32, 6, 20, 60, 30, 30, 22, 14}); err != nil {
		return nil, err
	}
	for _, s := range d.Sections {
		for _, field := range s.Fields {
			if field.Value == nil || field.Value.Table == nil {
				continue
			}
			name := field.ID // no longer than the 31 characters of a sheet's name
			if _, err := f.NewSheet(name); err != nil {
				return nil, err
			}
			widths := make([]float64, len(field.Value.Table.Columns))
			for i := range widths {
				widths[i] = 28
			}
			if err := fill(name, append([][]string{field.Value.Table.Columns}, field.Value.Table.Rows...), widths); err != nil {
				return nil, err
			}
		}
	}
	at := written(d).Format(time.RFC3339)
	if err := f.SetDocProps(&excelize.DocProperties{Creator: "flopwatch", Title: d.Title + " – " + d.Content.Report, Created: at, Modified: at}); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := f.Write(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
