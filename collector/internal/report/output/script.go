package output

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/bidi"
)

// The PDF writer draws one glyph per character from left to right. What Arabic
// and Hebrew need beyond that is done here: letters take the form that their
// place in a word asks for (Unicode, section 9.2, over the presentation forms of
// block FE70), and each line is put into visual order (UAX 9).

// joins are the forms of an Arabic letter: alone, at the end, at the beginning
// and in the middle of a word, so that the place is 1 for what joins back and 2
// more for what joins on. Letters that do not join on have two.
var joins = map[rune][4]rune{
	'ء': {0xFE80}, 'آ': {0xFE81, 0xFE82}, 'أ': {0xFE83, 0xFE84}, 'ؤ': {0xFE85, 0xFE86}, 'إ': {0xFE87, 0xFE88}, 'ئ': {0xFE89, 0xFE8A, 0xFE8B, 0xFE8C},
	'ا': {0xFE8D, 0xFE8E}, 'ب': {0xFE8F, 0xFE90, 0xFE91, 0xFE92}, 'ة': {0xFE93, 0xFE94}, 'ت': {0xFE95, 0xFE96, 0xFE97, 0xFE98}, 'ث': {0xFE99, 0xFE9A, 0xFE9B, 0xFE9C},
	'ج': {0xFE9D, 0xFE9E, 0xFE9F, 0xFEA0}, 'ح': {0xFEA1, 0xFEA2, 0xFEA3, 0xFEA4}, 'خ': {0xFEA5, 0xFEA6, 0xFEA7, 0xFEA8}, 'د': {0xFEA9, 0xFEAA}, 'ذ': {0xFEAB, 0xFEAC},
	'ر': {0xFEAD, 0xFEAE}, 'ز': {0xFEAF, 0xFEB0}, 'س': {0xFEB1, 0xFEB2, 0xFEB3, 0xFEB4}, 'ش': {0xFEB5, 0xFEB6, 0xFEB7, 0xFEB8}, 'ص': {0xFEB9, 0xFEBA, 0xFEBB, 0xFEBC},
	'ض': {0xFEBD, 0xFEBE, 0xFEBF, 0xFEC0}, 'ط': {0xFEC1, 0xFEC2, 0xFEC3, 0xFEC4}, 'ظ': {0xFEC5, 0xFEC6, 0xFEC7, 0xFEC8}, 'ع': {0xFEC9, 0xFECA, 0xFECB, 0xFECC},
	'غ': {0xFECD, 0xFECE, 0xFECF, 0xFED0}, 'ف': {0xFED1, 0xFED2, 0xFED3, 0xFED4}, 'ق': {0xFED5, 0xFED6, 0xFED7, 0xFED8}, 'ك': {0xFED9, 0xFEDA, 0xFEDB, 0xFEDC},
	'ل': {0xFEDD, 0xFEDE, 0xFEDF, 0xFEE0}, 'م': {0xFEE1, 0xFEE2, 0xFEE3, 0xFEE4}, 'ن': {0xFEE5, 0xFEE6, 0xFEE7, 0xFEE8}, 'ه': {0xFEE9, 0xFEEA, 0xFEEB, 0xFEEC},
	'و': {0xFEED, 0xFEEE}, 'ى': {0xFEEF, 0xFEF0}, 'ي': {0xFEF1, 0xFEF2, 0xFEF3, 0xFEF4},
	// Letters of Persian and Urdu.
	'پ': {0xFB56, 0xFB57, 0xFB58, 0xFB59}, 'چ': {0xFB7A, 0xFB7B, 0xFB7C, 0xFB7D}, 'ژ': {0xFB8A, 0xFB8B}, 'ک': {0xFB8E, 0xFB8F, 0xFB90, 0xFB91},
	'گ': {0xFB92, 0xFB93, 0xFB94, 0xFB95}, 'ی': {0xFBFC, 0xFBFD, 0xFBFE, 0xFBFF},
}

// lamAlef are the forms of lam followed by an alef, alone and at the end.
var lamAlef = map[rune][2]rune{'آ': {0xFEF5, 0xFEF6}, 'أ': {0xFEF7, 0xFEF8}, 'إ': {0xFEF9, 0xFEFA}, 'ا': {0xFEFB, 0xFEFC}}

// shape gives Arabic letters the form that their neighbours ask for.
func shape(text string) string {
	in := []rune(text)
	joinsNext := func(i int) bool { // does the letter before i join to i?
		for i--; i >= 0; i-- {
			if unicode.Is(unicode.Mn, in[i]) {
				continue // marks stand on a letter
			}
			return joins[in[i]][2] != 0 || in[i] == 'ـ'
		}
		return false
	}
	joinsBefore := func(i int) bool { // does the letter after i join back to it?
		for i++; i < len(in); i++ {
			if unicode.Is(unicode.Mn, in[i]) {
				continue
			}
			return joins[in[i]][1] != 0 || in[i] == 'ـ'
		}
		return false
	}
	var out []rune
	for i := 0; i < len(in); i++ {
		forms, ok := joins[in[i]]
		if !ok {
			out = append(out, in[i])
			continue
		}
		before := joinsNext(i) && forms[1] != 0
		if in[i] == 'ل' && i+1 < len(in) {
			if both, ok := lamAlef[in[i+1]]; ok {
				out = append(out, both[btoi(before)])
				i++
				continue
			}
		}
		after := forms[2] != 0 && joinsBefore(i)
		out = append(out, forms[btoi(before)+2*btoi(after)])
	}
	return string(out)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// rightToLeft reports whether a paragraph begins on the right: by its first letter.
func rightToLeft(text string) bool {
	for _, r := range text {
		switch p, _ := bidi.LookupRune(r); p.Class() {
		case bidi.L:
			return false
		case bidi.R, bidi.AL:
			return true
		}
	}
	return false
}

// visual puts a line of shaped text into the order in which it is drawn.
func visual(line string, rtl bool) string {
	if !strings.ContainsFunc(line, func(r rune) bool {
		p, _ := bidi.LookupRune(r)
		return p.Class() == bidi.R || p.Class() == bidi.AL
	}) {
		return line
	}
	var p bidi.Paragraph
	direction := bidi.LeftToRight
	if rtl {
		direction = bidi.RightToLeft
	}
	if _, err := p.SetString(line, bidi.DefaultDirection(direction)); err != nil {
		return line
	}
	order, err := p.Order()
	if err != nil {
		return line
	}
	runs := make([]run, order.NumRuns())
	for i := range runs {
		r := order.Run(i)
		runs[i] = run{r.String(), r.Direction() == bidi.RightToLeft}
		if runs[i].rtl {
			runs[i].text = bidi.ReverseString(runs[i].text)
		}
	}
	if rtl {
		slices.Reverse(runs)
	} else {
		reorder(runs)
	}
	var b strings.Builder
	for _, r := range runs {
		b.WriteString(r.text)
	}
	return b.String()
}

// run is a stretch of one direction, in the order in which it is drawn.
type run struct {
	text string
	rtl  bool
}

// letters reports whether a run says more than figures and signs.
func (r run) letters() bool { return strings.ContainsFunc(r.text, unicode.IsLetter) }

// reorder turns round what is from right to left in a line from left to right:
// figures inside of it keep their own direction and move with it (UAX 9, rule L2).
func reorder(runs []run) {
	for from := 0; from < len(runs); from++ {
		if !runs[from].rtl {
			continue
		}
		to := from
		for i := from + 1; i < len(runs) && (runs[i].rtl || !runs[i].letters()); i++ {
			if runs[i].rtl {
				to = i
			}
		}
		slices.Reverse(runs[from : to+1])
		from = to
	}
}

// coverage are the characters that a font draws.
type coverage []rangeOf

type rangeOf struct{ from, to rune }

func (c coverage) has(r rune) bool {
	for _, x := range c {
		if r >= x.from && r <= x.to {
			return true
		}
	}
	return false
}

// covered reads which characters a TrueType font maps (cmap formats 4 and 12).
func covered(font []byte) (coverage, error) {
	u16 := func(at int) int { return int(binary.BigEndian.Uint16(font[at:])) }
	u32 := func(at int) int { return int(binary.BigEndian.Uint32(font[at:])) }
	for i := range u16(4) {
		record := 12 + 16*i
		if string(font[record:record+4]) != "cmap" {
			continue
		}
		table := u32(record + 8)
		for j := range u16(table + 2) {
			sub := table + u32(table+4+8*j+4)
			var out coverage
			switch u16(sub) {
			case 12:
				for g := range u32(sub + 12) {
					at := sub + 16 + 12*g
					out = append(out, rangeOf{rune(u32(at)), rune(u32(at + 4))})
				}
				return out, nil
			case 4:
				n := u16(sub+6) / 2
				for s := range n {
					from, to := u16(sub+16+2*n+2*s), u16(sub+14+2*s)
					if from != 0xFFFF {
						out = append(out, rangeOf{rune(from), rune(to)})
					}
				}
				return out, nil
			}
		}
		return nil, fmt.Errorf("cmap has no table of format 4 or 12")
	}
	return nil, errors.New("font has no cmap")
}
