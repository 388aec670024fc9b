package output

import (
	"bytes"
	_ "embed"
	"html/template"
	"slices"
	"strings"
	"unicode"

	"github.com/flopwatch/flopwatch/collector/internal/report"
)

//go:embed report.html
var pageText string

var page = template.Must(template.New("report").Funcs(template.FuncMap{
	"facts": facts, "warning": warning, "source": source, "approvals": approvals, "paragraphs": paragraphs, "figures": figures, "lang": lang, "breakable": breakable,
}).Parse(pageText))

// HTML returns the document as one page that needs nothing else: no script, no
// font, no other file.
func HTML(d report.Document) ([]byte, error) {
	var b bytes.Buffer
	if err := page.Execute(&b, d); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func paragraphs(text string) []string {
	var out []string
	for p := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// figures reports whether every cell of a column is a figure, to be set right.
func figures(t *report.Table, column int) bool {
	return len(t.Rows) > 0 && !slices.ContainsFunc(t.Rows, func(row []string) bool {
		return column >= len(row) || row[column] == "" || strings.ContainsFunc(row[column], func(r rune) bool { return !unicode.IsDigit(r) && r != '.' && r != '%' && r != ' ' })
	})
}

// lang says how a screen reader is to read a text that is not in Latin letters.
func lang(text string) string {
	for _, r := range text {
		switch {
		case unicode.Is(unicode.Arabic, r):
			return "ar"
		case unicode.Is(unicode.Hebrew, r):
			return "he"
		case unicode.Is(unicode.Han, r):
			return "zh"
		case unicode.Is(unicode.Cyrillic, r):
			return "ru"
		}
	}
	return ""
}

// longNumber is how many digits in a row may be broken into lines.
const longNumber = 13

// breakable returns a cell in which long numbers may be broken between their groups
// of three. The text stays as it is, also when it is copied.
func breakable(text string) template.HTML {
	var b strings.Builder
	for text != "" {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		if digits < longNumber {
			n := max(digits, 1)
			if digits == 0 {
				if n = strings.IndexAny(text, "0123456789"); n < 0 {
					n = len(text)
				}
			}
			template.HTMLEscape(&b, []byte(text[:n]))
			text = text[n:]
			continue
		}
		for i, r := range text[:digits] {
			if left := digits - i; i > 0 && left%3 == 0 {
				b.WriteString("<wbr>")
			}
			b.WriteRune(r)
		}
		text = text[digits:]
	}
	return template.HTML(b.String()) // every part of it was escaped or is a digit
}
