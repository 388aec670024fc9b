package output

import (
	"bytes"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"codeberg.org/go-pdf/fpdf"

	"github.com/flopwatch/flopwatch/collector/internal/report"
)

// Subsets of Noto Sans (SIL Open Font License 1.1, fonts/OFL.txt).
var (
	//go:embed fonts/NotoSans-Regular.ttf
	regular []byte
	//go:embed fonts/NotoSans-Bold.ttf
	bold []byte
	//go:embed fonts/NotoSansArabic-Regular.ttf
	arabic []byte
	//go:embed fonts/NotoSansHebrew-Regular.ttf
	hebrew []byte
)

type fontFace struct {
	family, style string
	covers        coverage
}

var faces = sync.OnceValue(func() []fontFace {
	var out []fontFace
	for _, f := range []struct {
		family, style string
		data          []byte
	}{{"noto", "", regular}, {"noto", "B", bold}, {"arabic", "", arabic}, {"hebrew", "", hebrew}} {
		c, err := covered(f.data)
		if err != nil {
			panic(err) // the fonts come with the program
		}
		out = append(out, fontFace{f.family, f.style, c})
	}
	return out
})

// A4 in millimetres.
const (
	pageWidth, pageHeight = 210.0, 297.0
	marginX, marginTop    = 17.0, 18.0
	marginBottom          = 20.0
	textWidth             = pageWidth - 2*marginX
	leading               = 1.42 // of the font's size
	pointMM               = 25.4 / 72
)

// pdf lays a document out.
type pdf struct {
	*fpdf.Fpdf
	y float64
}

// PDF returns the document as a PDF of A4 pages. It is a copy of the HTML for
// paper; characters that its fonts do not have are written as [U+4E2D].
func PDF(d report.Document) ([]byte, error) {
	p := &pdf{Fpdf: fpdf.New("P", "mm", "A4", "")}
	at := written(d)
	p.SetCatalogSort(true)
	p.SetCreationDate(at)
	p.SetModificationDate(at)
	p.SetProducer("flopwatch", true)
	p.SetTitle(d.Title+" – "+d.Content.Report, true)
	p.SetLang("en")
	p.SetAutoPageBreak(false, 0)
	p.SetMargins(marginX, marginTop, marginX)
	p.AddUTF8FontFromBytes("noto", "", regular)
	p.AddUTF8FontFromBytes("noto", "B", bold)
	p.AddUTF8FontFromBytes("arabic", "", arabic)
	p.AddUTF8FontFromBytes("hebrew", "", hebrew)
	p.AliasNbPages("{pages}")
	p.SetFooterFunc(func() {
		p.SetTextColor(90, 90, 90)
		p.SetFont("noto", "", 8)
		p.SetXY(marginX, pageHeight-13)
		p.CellFormat(textWidth*0.75, 4, fmt.Sprintf("%s, version %d, content %s…", d.Content.Report, d.Version, d.Digest[:16]), "", 0, "L", false, 0, "")
		p.CellFormat(textWidth*0.25, 4, fmt.Sprintf("page %d of {pages}", p.PageNo()), "", 0, "R", false, 0, "")
		p.SetTextColor(26, 26, 26)
	})
	p.page()
	p.text(d.Title, 17, true, marginX, textWidth)
	p.y += 2
	if w := warning(d); w != "" {
		p.boxed(w)
	}
	for _, f := range facts(d) {
		p.pair(f[0], f[1])
	}
	for _, s := range d.Sections {
		p.heading(s.Title)
		for _, f := range s.Fields {
			p.field(f)
		}
	}
	p.heading("Approvals and filings")
	for _, f := range approvals(d) {
		p.keep(14)
		p.text(f[0], 9.5, true, marginX, textWidth)
		p.text(f[1], 8.5, false, marginX, textWidth)
		p.y += 1.5
	}
	var b bytes.Buffer
	if err := p.Output(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func (p *pdf) page() {
	p.AddPage()
	p.y = marginTop
}

// keep begins a page unless the height is left on this one.
func (p *pdf) keep(height float64) {
	if p.y+height > pageHeight-marginBottom && p.y > marginTop {
		p.page()
	}
}

func (p *pdf) heading(title string) {
	p.y += 5
	p.keep(24)
	p.Bookmark(title, 0, p.y)
	p.text(title, 12.5, true, marginX, textWidth)
	p.SetDrawColor(26, 26, 26)
	p.SetLineWidth(0.4)
	p.Line(marginX, p.y+0.6, marginX+textWidth, p.y+0.6)
	p.y += 3
}

func (p *pdf) boxed(text string) {
	lines := p.lines(text, 9.5, false, textWidth-8)
	height := float64(len(lines))*lineHeight(9.5) + 5
	p.SetFillColor(244, 244, 242)
	p.SetDrawColor(26, 26, 26)
	p.SetLineWidth(0.25)
	p.Rect(marginX, p.y, textWidth, height, "FD")
	p.y += 2.5
	for _, l := range lines {
		p.line(l, 9.5, false, marginX+4, textWidth-8)
	}
	p.y += 4.5
}

func (p *pdf) pair(name, text string) {
	y := p.y
	p.SetTextColor(90, 90, 90)
	p.text(name, 9.5, false, marginX, 30)
	after := p.y
	p.SetTextColor(26, 26, 26)
	p.y = y
	p.text(text, 9.5, false, marginX+32, textWidth-32)
	p.y = max(p.y, after)
}

// field draws a field. One of a few lines stands on one page with its source.
func (p *pdf) field(f report.DocField) {
	height := 18.0
	if v := f.Value; v != nil && v.Table == nil {
		height = 16 + lineHeight(9.5)*float64(len(p.lines(v.Text+v.NotHeld, 9.5, false, textWidth)))
	}
	p.keep(min(height, 70))
	p.text(f.Title, 9.5, true, marginX, textWidth)
	switch v := f.Value; {
	case v != nil:
		if v.NotHeld != "" {
			p.text("Not held: "+v.NotHeld, 9.5, false, marginX, textWidth)
		}
		for _, par := range paragraphs(v.Text) {
			p.text(par, 9.5, false, marginX, textWidth)
			p.y += 0.8
		}
		if v.Table != nil {
			p.table(*v.Table)
		}
		p.SetTextColor(90, 90, 90)
		p.text(source(*v), 7.5, false, marginX, textWidth)
		p.SetTextColor(26, 26, 26)
	case f.Missing:
		p.SetTextColor(138, 28, 0)
		p.text("Missing: this field is required", 9.5, true, marginX, textWidth)
		p.SetTextColor(26, 26, 26)
	default:
		p.text("Nothing is said.", 9.5, false, marginX, textWidth)
	}
	p.SetDrawColor(200, 200, 200)
	p.SetLineWidth(0.15)
	p.Line(marginX, p.y+1, marginX+textWidth, p.y+1)
	p.y += 3
}

func lineHeight(size float64) float64 { return size * leading * pointMM }

// text writes a paragraph over as many lines and pages as it takes.
func (p *pdf) text(text string, size float64, strong bool, x, width float64) {
	for _, l := range p.lines(text, size, strong, width) {
		p.line(l, size, strong, x, width)
	}
}

// textLine is a line in the order in which it is drawn.
type textLine struct {
	text string
	rtl  bool
}

func (p *pdf) line(l textLine, size float64, strong bool, x, width float64) {
	height := lineHeight(size)
	p.keep(height)
	if l.rtl {
		x += width - p.width(l.text, size, strong)
	}
	for _, run := range runsOf(l.text, strong) {
		p.SetFont(run.face.family, run.face.style, size)
		p.Text(x, p.y+height*0.74, run.text)
		x += p.GetStringWidth(run.text)
	}
	p.y += height
}

// width is how wide a text is in millimetres.
func (p *pdf) width(text string, size float64, strong bool) float64 {
	total := 0.0
	for _, run := range runsOf(text, strong) {
		p.SetFont(run.face.family, run.face.style, size)
		total += p.GetStringWidth(run.text)
	}
	return total
}

// lines breaks a text into lines no wider than width: between words, and inside
// a word that is wider by itself.
func (p *pdf) lines(text string, size float64, strong bool, width float64) []textLine {
	var out []textLine
	for par := range strings.SplitSeq(text, "\n") {
		rtl := rightToLeft(par)
		par = shape(drawable(par))
		line := ""
		flush := func() {
			out = append(out, textLine{visual(line, rtl), rtl})
			line = ""
		}
		for _, word := range strings.Fields(par) {
			with := word
			if line != "" {
				with = line + " " + word
			}
			if p.width(with, size, strong) <= width {
				line = with
				continue
			}
			if line != "" {
				flush()
			}
			for p.width(word, size, strong) > width {
				n := p.fits(word, size, strong, width)
				line = word[:n]
				flush()
				word = word[n:]
			}
			line = word
		}
		flush()
	}
	return out
}

// fits returns how many bytes of a word fit, one character at least.
func (p *pdf) fits(word string, size float64, strong bool, width float64) int {
	last := 0
	for i, r := range word {
		end := i + len(string(r))
		if last > 0 && p.width(word[:end], size, strong) > width {
			return last
		}
		last = end
	}
	return last
}

type fontRun struct {
	face fontFace
	text string
}

// runsOf cuts a text where the font changes.
func runsOf(text string, strong bool) []fontRun {
	var out []fontRun
	for _, r := range text {
		f := faceOf(r, strong)
		if n := len(out); n > 0 && (out[n-1].face.family == f.family && out[n-1].face.style == f.style) {
			out[n-1].text += string(r)
			continue
		}
		out = append(out, fontRun{f, string(r)})
	}
	return out
}

func faceOf(r rune, strong bool) fontFace {
	all := faces()
	first := all[btoi(strong)]
	if first.covers.has(r) {
		return first
	}
	for _, f := range all[2:] {
		if f.covers.has(r) {
			return f
		}
	}
	return first
}

// plain stands for signs of our own texts that the fonts lack.
var plain = map[rune]string{'\t': " ", '→': "->", '≤': "<=", '≥': ">="}

// drawable writes out characters that no font has, and drops those that are not seen.
func drawable(text string) string {
	var b strings.Builder
	for _, r := range text {
		_, joined := joins[r]
		switch {
		case plain[r] != "":
			b.WriteString(plain[r])
		case unicode.In(r, unicode.Cf, unicode.Cc):
			// Joiners and marks of direction have done their work by now.
		case joined || slices.ContainsFunc(faces(), func(f fontFace) bool { return f.covers.has(r) }):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "[U+%04X]", r)
		}
	}
	return b.String()
}
