package output

import (
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/report"
)

const cellSize, cellGap = 8.0, 3.0

// table draws a table: columns as wide as their content asks for, as far as the
// page allows; the head again on each page; a row on one page if it can.
func (p *pdf) table(t report.Table) {
	if len(t.Columns) == 0 {
		return
	}
	widths := p.columns(t)
	head := func() {
		p.row(t, t.Columns, widths, true)
		p.SetDrawColor(26, 26, 26)
		p.SetLineWidth(0.2)
		p.Line(marginX, p.y+0.2, marginX+textWidth, p.y+0.2)
		p.y += 0.8
	}
	first := 16.0
	if len(t.Rows) > 0 { // a head by itself at the foot of a page says nothing
		first = max(first, min(p.height(t.Columns, widths, true)+1.8+p.height(t.Rows[0], widths, false), (pageHeight-marginTop-marginBottom)/2))
	}
	p.keep(first)
	head()
	for _, row := range t.Rows {
		if height := p.height(row, widths, false); p.y+height > pageHeight-marginBottom && p.y > marginTop {
			p.page()
			head()
		}
		p.row(t, row, widths, false)
	}
	p.y += 0.8
}

// columns shares the width: each column gets what its widest cell asks for if
// that is little, else a share of what is left, and never less than its longest
// word of usual length.
func (p *pdf) columns(t report.Table) []float64 {
	n := len(t.Columns)
	want, least := make([]float64, n), make([]float64, n)
	for _, row := range append([][]string{t.Columns}, t.Rows[:min(len(t.Rows), 200)]...) {
		for i := range min(n, len(row)) {
			want[i] = max(want[i], p.width(shape(drawable(row[i])), cellSize, true)+cellGap)
			for _, word := range strings.Fields(row[i]) {
				least[i] = max(least[i], min(p.width(shape(drawable(word)), cellSize, true)+cellGap, textWidth/float64(n)))
			}
		}
	}
	var sum, floor float64
	for i := range n {
		sum += want[i]
		floor += least[i]
	}
	if sum <= textWidth {
		// What is left goes to the last column of words, so that figures stay together.
		for i := n - 1; i >= 0; i-- {
			if !figures(&t, i) || i == 0 {
				want[i] += textWidth - sum
				break
			}
		}
		return want
	}
	// What is over the least is shared by how much more each wants.
	for i := range n {
		want[i] = least[i] + (want[i]-least[i])*max(0, textWidth-floor)/(sum-floor)
	}
	return want
}

func (p *pdf) height(row []string, widths []float64, strong bool) float64 {
	lines := 1
	for i := range min(len(row), len(widths)) {
		lines = max(lines, len(p.lines(row[i], cellSize, strong, widths[i]-cellGap)))
	}
	return float64(lines)*lineHeight(cellSize) + 1
}

// row draws a row. One that is higher than a page goes on on the next.
func (p *pdf) row(t report.Table, row []string, widths []float64, strong bool) {
	cells := make([][]textLine, len(widths))
	lines := 0
	for i := range min(len(row), len(widths)) {
		cells[i] = p.lines(row[i], cellSize, strong, widths[i]-cellGap)
		lines = max(lines, len(cells[i]))
	}
	for n := range lines {
		p.keep(lineHeight(cellSize))
		x, y := marginX, p.y
		for i, cell := range cells {
			if n < len(cell) {
				l := cell[n]
				at, width := x, widths[i]-cellGap
				if figures(&t, i) {
					at += width - p.width(l.text, cellSize, strong)
					l.rtl = false
				}
				p.y = y
				p.line(l, cellSize, strong, at, width)
			}
			x += widths[i]
		}
		p.y = y + lineHeight(cellSize)
	}
	p.y++
	p.SetDrawColor(225, 225, 225)
	p.SetLineWidth(0.1)
	p.Line(marginX, p.y-0.4, marginX+textWidth, p.y-0.4)
}
