package foresight

import (
	"cmp"
	"slices"
)

// Soonest returns at most so many outlooks that cross a line which they have not
// crossed, the one that is likely to cross first before others. Each has that line
// alone. A line that one draw in ten crosses, and most do not, comes by that date
// after those with a likely one.
func Soonest(all []Outlook, most int) []Outlook {
	var out []Outlook
	for _, o := range all {
		ahead := slices.DeleteFunc(slices.Clone(o.Lines), func(l Line) bool { return l.Crossed || l.EarliestNS == 0 })
		if len(ahead) > 0 {
			o.Lines = []Line{slices.MinFunc(ahead, sooner)}
			out = append(out, o)
		}
	}
	slices.SortStableFunc(out, func(a, b Outlook) int { return sooner(a.Lines[0], b.Lines[0]) })
	return slices.Clip(out[:min(most, len(out))])
}

func sooner(a, b Line) int {
	if (a.LikelyNS == 0) != (b.LikelyNS == 0) {
		return cmp.Compare(b.LikelyNS, a.LikelyNS)
	}
	return cmp.Or(cmp.Compare(a.LikelyNS, b.LikelyNS), cmp.Compare(a.EarliestNS, b.EarliestNS))
}
