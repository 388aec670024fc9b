package ctl

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/sheet"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/plaintext"
)

// column is one column of a list: its name in CSV, its title in the table, and
// what it prints in each. A column without a title stands in CSV only, one
// without a name in tables only.
type column[T any] struct {
	name  string
	exact func(T) string
	title string
	text  func(T) string // nil: as exact
	right bool
}

// list prints rows in the format that was asked for.
func list[T any](s *scope, rows []T, empty string, columns []column[T]) error {
	switch s.format {
	case "json":
		return printJSON(s.out, rows)
	case "csv":
		return printCSV(s.out, rows, columns)
	}
	if len(rows) == 0 {
		s.out.say("%s\n", empty)
		return nil
	}
	printTable(s.out, rows, columns)
	return nil
}

func printJSON(w io.Writer, v any) error { return plaintext.JSON(w, v) }

func printCSV[T any](w io.Writer, rows []T, columns []column[T]) error {
	out := csv.NewWriter(w)
	var record []string
	for _, c := range columns {
		if c.name != "" {
			record = append(record, c.name)
		}
	}
	if err := out.Write(record); err != nil {
		return err
	}
	for _, row := range rows {
		record = record[:0]
		for _, c := range columns {
			if c.name != "" {
				record = append(record, sheet.Cell(c.exact(row)))
			}
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func printTable[T any](out *output, rows []T, columns []column[T]) {
	var shown []column[T]
	for _, c := range columns {
		if c.title != "" {
			if c.text == nil {
				c.text = c.exact
			}
			shown = append(shown, c)
		}
	}
	cells := make([][]string, len(rows)+1)
	widths := make([]int, len(shown))
	for i := range cells {
		cells[i] = make([]string, len(shown))
		for j, c := range shown {
			if i == 0 {
				cells[i][j] = c.title
			} else {
				cells[i][j] = printable(c.text(rows[i-1]))
			}
			widths[j] = max(widths[j], utf8.RuneCountInString(cells[i][j]))
		}
	}
	for _, line := range cells {
		var b strings.Builder
		for j, text := range line {
			pad := strings.Repeat(" ", widths[j]-utf8.RuneCountInString(text))
			if j > 0 {
				b.WriteString("  ")
			}
			if shown[j].right {
				b.WriteString(pad + text)
			} else {
				b.WriteString(text + pad)
			}
		}
		out.say("%s\n", strings.TrimRight(b.String(), " "))
	}
}

// printable writes out what could move the cursor or reverse a line.
func printable(s string) string { return plaintext.Printable(s) }

// operations prints a decimal count as 3.79e25; what is no count stays as it is.
func operations(decimal string) string {
	n, err := compute.ParseOperations(decimal)
	if err != nil {
		return decimal
	}
	if n == 0 {
		return "0"
	}
	return strings.Replace(n.String(), "e+", "e", 1)
}

func interval(b apitypes.Bounds) string {
	return operations(b.Best) + " [" + operations(b.Low) + ", " + operations(b.High) + "]"
}

func percent(share float64) string {
	text := strconv.FormatFloat(share*100, 'f', 1, 64)
	switch {
	case text == "100.0" && share < 1:
		return ">99.9%"
	case text == "0.0" && share > 0:
		return "<0.1%"
	}
	return text + "%"
}

func when(t time.Time) string {
	if t.IsZero() {
		return "not yet"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

func exactTime(t time.Time) string { return sheet.Moment(t) }

// span prints device time: short ones with two units, others in device-hours,
// which is how such time is bought and compared.
func span(s apitypes.Seconds) string {
	const minute, hour = 60_000, 3_600_000
	switch d := int64(s); {
	case d == 0:
		return "0s"
	case d < minute:
		return strconv.FormatFloat(float64(d)/1000, 'g', 3, 64) + "s"
	case d < hour:
		return fmt.Sprintf("%dm%ds", d/minute, d%minute/1000)
	case d < 48*hour:
		return fmt.Sprintf("%dh%dm", d/hour, d%hour/minute)
	default:
		text := strconv.FormatInt((d+hour/2)/hour, 10)
		for i := len(text) - 3; i > 0; i -= 3 {
			text = text[:i] + "," + text[i:]
		}
		return text + " h"
	}
}
