package webui

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/collector/internal/webui/layered"
)

// Sizes of the picture of links: a node, and how far nodes stand apart.
const (
	nodeWidth, nodeHeight = 176.0, 28.0
	columnWidth           = 260.0
	rowHeight             = 44.0
	graphMargin           = 8.0
	labelRunes            = 22
)

// mostNodes is how many nodes a picture shows; mostLeaves is how many of those that
// hang on one node alone and in the same way.
const mostNodes, mostLeaves = 200, 5

// tie is what the picture draws between two parties.
type tie struct {
	From, To string // ids of parties; "" is an owner who was not named
	What     string // in words
	ID       string // of a link, "" of ownership
	State    string
	Directed bool
	class    string // of the line
}

// graphNode is a box, with its place in the picture.
type graphNode struct {
	X, Y, TextX, TextY string
	Label, Title       string
	Class              string
}

// graphEdge is a line.
type graphEdge struct{ Path, Class, Arrow string }

// linkGraph is parties and what links them as a picture and, by its ties, as a
// table.
type linkGraph struct {
	Title, Desc   string
	Width, Height string
	Nodes         []graphNode
	Edges         []graphEdge
	Ties          []tie
	Folded        string // what the picture leaves out, "" for nothing
	Link          bool   // the reader may see who customers are
}

// tiesOf are links as they stand, without those that people rejected, and what is
// known of ownership.
func tiesOf(links []desk.Link, owners []desk.Ownership) (out []tie) {
	for _, l := range links {
		t := tie{From: string(l.A), To: string(l.B), ID: l.ID, State: string(l.State), Directed: l.Directed, What: string(l.Class), class: "tie"}
		switch l.State {
		case resolve.Rejected, resolve.Split, resolve.Withdrawn:
			continue
		case resolve.Proposed, resolve.Pending:
			t.class = "tie waiting"
		}
		if l.Directed {
			t.What = "controls (" + t.What + ")"
		}
		out = append(out, t)
	}
	for _, o := range owners {
		t := tie{From: string(o.Owner), To: string(o.Subject), What: "owns " + percentOf(o.Effective.Low, o.Effective.High), State: "recorded", Directed: true, class: "tie owns"}
		if string(o.Controls) == "yes" {
			t.What += ", controls"
		}
		out = append(out, t)
	}
	return out
}

// newLinkGraph draws ties. mark is the party that the page is about, "" for none. ok
// is false where there is nothing to draw.
func newLinkGraph(title, mark string, ties []tie) (g linkGraph, ok bool) {
	if len(ties) == 0 {
		return g, false
	}
	g = linkGraph{Title: title, Ties: ties}
	drawn, names, left := foldTies(ties, mark)
	number := map[string]int{}
	for i, name := range names {
		number[name] = i
	}
	edges := make([]layered.Edge, len(drawn))
	for i, t := range drawn {
		edges[i] = layered.Edge{From: number[t.From], To: number[t.To]}
	}
	places, through := layered.Layout(len(names), edges)
	width, height := 0.0, 0.0
	for i, p := range places {
		x, y := graphMargin+float64(p.Layer)*columnWidth, graphMargin+p.Y*rowHeight
		width, height = max(width, x+nodeWidth), max(height, y+nodeHeight)
		g.Nodes = append(g.Nodes, nodeAt(names[i], mark, x, y))
	}
	for i, t := range drawn {
		path, lowest := route(places, edges[i], through(edges[i]))
		height = max(height, lowest)
		e := graphEdge{Path: path, Class: t.class}
		if t.Directed {
			e.Arrow = arrow(places, edges[i])
		}
		g.Edges = append(g.Edges, e)
	}
	g.Width, g.Height = number1(width+graphMargin), number1(height+graphMargin)
	g.Desc = fmt.Sprintf("%d parties and %d ties between them, from owners on the left to what they own on the right.", len(names), len(drawn))
	if left > 0 {
		g.Folded = fmt.Sprintf("%d %s not drawn; the table has all of them.", left, map[bool]string{true: "tie is", false: "ties are"}[left == 1])
		g.Desc += " " + g.Folded
	}
	return g, true
}

// foldTies folds what hangs on one party alone into one node beyond the first few,
// and leaves out what is linked least where there are still too many parties. names
// are those drawn, in order; left is how many ties are not drawn by themselves.
func foldTies(ties []tie, mark string) (drawn []tie, names []string, left int) {
	degree := map[string]int{}
	for _, t := range ties {
		degree[t.From]++
		degree[t.To]++
	}
	type hang struct {
		on, class string
		from      bool
	}
	leaves := map[hang]int{}
	leafOf := func(t tie) (h hang, ok bool) {
		switch {
		case degree[t.From] == 1 && degree[t.To] > 1 && t.From != mark:
			return hang{t.To, t.class, true}, true
		case degree[t.To] == 1 && degree[t.From] > 1 && t.To != mark:
			return hang{t.From, t.class, false}, true
		}
		return h, false
	}
	for _, t := range ties {
		if h, ok := leafOf(t); ok {
			leaves[h]++
		}
	}
	seen := map[hang]int{}
	for _, t := range ties {
		h, leaf := leafOf(t)
		if leaf && leaves[h] > mostLeaves+1 {
			if seen[h]++; seen[h] == mostLeaves+1 {
				more := "and " + strconv.Itoa(leaves[h]-mostLeaves) + " more"
				// The name of the node says on what it hangs, so that two of them are two.
				if name := more + "\x00" + h.on + h.class; h.from {
					t.From = name
				} else {
					t.To = name
				}
				left += leaves[h] - mostLeaves
				drawn = append(drawn, t)
				continue
			} else if seen[h] > mostLeaves+1 {
				continue
			}
		}
		drawn = append(drawn, t)
	}
	names = partiesOf(drawn)
	if len(names) <= mostNodes {
		return drawn, names, left
	}
	keep := slices.Clone(names)
	slices.SortStableFunc(keep, func(a, b string) int {
		return cmp.Or(cmp.Compare(b2i(b == mark), b2i(a == mark)), cmp.Compare(degree[b], degree[a]), cmp.Compare(a, b))
	})
	keep = keep[:mostNodes]
	whole := len(drawn)
	drawn = slices.DeleteFunc(drawn, func(t tie) bool { return !slices.Contains(keep, t.From) || !slices.Contains(keep, t.To) })
	return drawn, partiesOf(drawn), left + whole - len(drawn)
}

// partiesOf are the ends of ties, each once, in order.
func partiesOf(ties []tie) []string {
	var names []string
	for _, t := range ties {
		names = append(names, t.From, t.To)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func nodeAt(name, mark string, x, y float64) graphNode {
	title, _, folded := strings.Cut(name, "\x00")
	n := graphNode{X: number1(x), Y: number1(y), TextX: number1(x + 8), TextY: number1(y + 19), Title: title, Class: "node"}
	switch {
	case folded:
		n.Class = "node folded"
	case name == "":
		n.Title, n.Class = "not named", "node unknown"
	case name == mark:
		n.Class = "node marked"
	}
	n.Label = shorten(n.Title, labelRunes)
	return n
}

// shorten cuts a text to so many characters, and shows that it did.
func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

func number1(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// route is the line of an edge, from the side of one node over the places that it
// passes to the side of the other. lowest is how far down it reaches.
func route(places []layered.Place, e layered.Edge, through []layered.Place) (path string, lowest float64) {
	from, to := places[e.From], places[e.To]
	onwards := from.Layer <= to.Layer
	side := func(p layered.Place, out bool) (x, y float64) {
		x, y = graphMargin+float64(p.Layer)*columnWidth, graphMargin+p.Y*rowHeight+nodeHeight/2
		if out == onwards {
			x += nodeWidth
		}
		return x, y
	}
	x, y := side(from, true)
	path = "M" + number1(x) + " " + number1(y)
	curve := func(nextX, nextY float64) {
		bend := (nextX - x) / 2
		path += "C" + number1(x+bend) + " " + number1(y) + " " + number1(nextX-bend) + " " + number1(nextY) + " " + number1(nextX) + " " + number1(nextY)
		x, y, lowest = nextX, nextY, max(lowest, nextY)
	}
	for _, p := range through {
		nearX, nearY := side(p, false)
		curve(nearX, nearY)
		farX, farY := side(p, true)
		path += "L" + number1(farX) + " " + number1(farY)
		x, y = farX, farY
	}
	curve(side(to, false))
	return path, lowest
}

// arrow is the head at the end of an edge.
func arrow(places []layered.Place, e layered.Edge) string {
	to := places[e.To]
	x, y, back := graphMargin+float64(to.Layer)*columnWidth, graphMargin+to.Y*rowHeight+nodeHeight/2, -8.0
	if places[e.From].Layer > to.Layer {
		x, back = x+nodeWidth, 8
	}
	return "M" + number1(x) + " " + number1(y) + "L" + number1(x+back) + " " + number1(y-4) + "V" + number1(y+4) + "Z"
}
