package webui

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Rows and slots of the picture of hosts, and their sizes in its units.
const (
	timelineRows, timelineSlots = 40, 72
	cellWidth, cellHeight       = 13, 14
	timelineLabels              = 168
)

// heat is hosts over time as a picture and, by its rows, as a table. The picture is
// of one path for each class of cell.
type heat struct {
	Title, Desc   string
	Width, Height int
	Labels        []heatLabel
	Dates         []heatLabel
	Classes       []heatClass
	Rows          []heatRow
	Hosts         int
	PerRow        int // hosts of a row
	SlotNS        int64
}

type heatLabel struct {
	X, Y        int
	Text, Title string
}

// heatClass is what cells of one kind look like. Its figure in the legend says it
// also to who sees no colours.
type heatClass struct{ Class, Text, Path string }

type heatRow struct {
	Name   string
	Hosts  int
	Sum    desk.TimelineCell
	FromNS int64
	ToNS   int64
}

// heatClasses are the classes of cells, by share of the peak, and what was not seen.
var heatClasses = []struct{ class, text string }{
	{"heat h1", "below 20 % of peak"}, {"heat h2", "20 to 40 %"}, {"heat h3", "40 to 60 %"}, {"heat h4", "60 to 80 %"}, {"heat h5", "80 % and above"}, {"heat unseen", "half of it or more was not seen"},
}

// classOf is the class of a cell, -1 of one in which nothing was held.
func classOf(c desk.TimelineCell) int {
	switch {
	case c.Held <= 0:
		return -1
	case 2*c.Unseen >= c.Held:
		return len(heatClasses) - 1
	}
	return min(int(ratio(c.Best, c.Ceiling)*5), len(heatClasses)-2)
}

// newHeat draws a timeline. ok is false where there is nothing to draw.
func newHeat(t desk.Timeline) (h heat, ok bool) {
	if len(t.Rows) == 0 || t.Slots == 0 {
		return h, false
	}
	h = heat{Title: "Hosts of the run over time", Hosts: t.Hosts, PerRow: t.Rows[0].Hosts, SlotNS: t.SlotNS, Width: timelineLabels + t.Slots*cellWidth + 8, Height: len(t.Rows)*cellHeight + 24}
	paths := make([]strings.Builder, len(heatClasses))
	for i, row := range t.Rows {
		name := row.First
		if row.Last != row.First {
			name = row.First + " to " + row.Last
		}
		y := i * cellHeight
		h.Labels = append(h.Labels, heatLabel{X: timelineLabels - 8, Y: y + cellHeight - 3, Text: shorten(name, 24), Title: name})
		line := heatRow{Name: name, Hosts: row.Hosts}
		for s := 0; s < len(row.Cells); {
			class, begin := classOf(row.Cells[s]), s
			for ; s < len(row.Cells) && classOf(row.Cells[s]) == class; s++ {
				line.Sum = line.Sum.Add(row.Cells[s])
			}
			if class < 0 {
				continue
			}
			if line.FromNS == 0 {
				line.FromNS = t.FromNS + int64(begin)*t.SlotNS
			}
			line.ToNS = t.FromNS + int64(s)*t.SlotNS
			fmt.Fprintf(&paths[class], "M%d %dh%dv%dh-%dz", timelineLabels+begin*cellWidth, y, (s-begin)*cellWidth-1, cellHeight-1, (s-begin)*cellWidth-1)
		}
		h.Rows = append(h.Rows, line)
	}
	for i, c := range heatClasses {
		h.Classes = append(h.Classes, heatClass{c.class, c.text, paths[i].String()})
	}
	for s := 0; s < t.Slots; s += max((t.Slots+5)/6, 1) {
		h.Dates = append(h.Dates, heatLabel{X: timelineLabels + s*cellWidth, Y: h.Height - 6, Text: shortTime(t.FromNS+int64(s)*t.SlotNS, t.SlotNS)})
	}
	h.Desc = fmt.Sprintf("%d %s in %d %s, %d slots of %s from %s. The darker, the nearer to peak; blank is time that the run did not hold.", t.Hosts, plural(t.Hosts, "host"), len(t.Rows), plural(len(t.Rows), "row"), t.Slots, span(desk.DeviceTimeOf(time.Duration(t.SlotNS))), when(t.FromNS))
	return h, true
}

// shortTime is a time no finer than the slots.
func shortTime(ns, slot int64) string {
	form := "2006-01-02"
	if slot < int64(12*time.Hour) {
		form = "01-02 15:04"
	}
	if slot < int64(time.Minute) {
		form = "15:04:05"
	}
	return time.Unix(0, ns).UTC().Format(form)
}

// timelineOf is the picture of a run's hosts, nil where there is none.
func (s *site) timelineOf(ctx context.Context, run string) (*heat, error) {
	t, ok, err := s.Reader.RunTimeline(ctx, run, timelineRows, timelineSlots)
	if err != nil || !ok {
		return nil, err
	}
	h, ok := newHeat(t)
	if !ok {
		return nil, nil
	}
	return &h, nil
}

// coverMap is hosts by how much of them was seen, as a picture. The table of hosts
// is beside it.
type coverMap struct {
	Title, Desc   string
	Width, Height int
	Classes       []heatClass
	Hosts, Each   int // of all, and of one square
}

// Squares of the map, and how many stand in a row.
const (
	mapSquares, mapRow = 720, 60
	mapSide            = 15
)

// coverClasses are the classes of squares by what was seen, the least last. Each has
// a figure of its own beside its colour.
var coverClasses = []struct {
	class, text string
	least       float64
}{
	{"cover c1", "all of it was seen", 1}, {"cover c2", "99 % or more", 0.99}, {"cover c3", "95 to 99 %", 0.95}, {"cover c4", "80 to 95 %", 0.8}, {"cover c5", "less than 80 %", 0},
}

// newCoverMap draws hosts in the order given; where they are too many, a square is
// of several and shows the one that was seen least.
func newCoverMap(hosts []desk.Coverage) (m coverMap, ok bool) {
	if len(hosts) == 0 {
		return m, false
	}
	m = coverMap{Title: "Hosts by how much of them was seen", Hosts: len(hosts), Each: (len(hosts) + mapSquares - 1) / mapSquares}
	squares := (len(hosts) + m.Each - 1) / m.Each
	m.Width, m.Height = min(squares, mapRow)*mapSide, (squares+mapRow-1)/mapRow*mapSide
	paths, counts := make([]strings.Builder, len(coverClasses)), make([]int, len(coverClasses))
	for i := range squares {
		least := 1.0
		for _, h := range hosts[i*m.Each : min((i+1)*m.Each, len(hosts))] {
			least = min(least, h.Coverage)
		}
		class := 0
		for least < coverClasses[class].least {
			class++
		}
		counts[class]++
		x, y := i%mapRow*mapSide, i/mapRow*mapSide
		fmt.Fprintf(&paths[class], "M%d %d%s", x, y, coverShapes[class])
	}
	var said []string
	for i, c := range coverClasses {
		m.Classes = append(m.Classes, heatClass{c.class, c.text + ": " + strconv.Itoa(counts[i]), paths[i].String()})
		if counts[i] > 0 {
			said = append(said, fmt.Sprintf("%d: %s", counts[i], c.text))
		}
	}
	m.Desc = fmt.Sprintf("%d %s in %d %s. %s.", len(hosts), plural(len(hosts), "host"), squares, plural(squares, "square"), strings.Join(said, "; "))
	return m, true
}

// coverShapes draw a square that the less is filled the less was seen: whole, with a
// hole, a frame, a cross, a bar.
var coverShapes = []string{
	"h13v13h-13z", "h13v13h-13zm4 4v5h5v-5z", "h13v13h-13zm2 2v9h9v-9z", "l2 0 4.5 4.5 4.5 -4.5 2 0 0 2 -4.5 4.5 4.5 4.5 0 2 -2 0 -4.5 -4.5 -4.5 4.5 -2 0 0 -2 4.5 -4.5 -4.5 -4.5z", "m0 4h13v5h-13z",
}

// customerDays are the totals of a customer at the ends of its days, with the
// interval of each day.
func customerDays(days []desk.CustomerDay, most int) (out []point) {
	var total compute.Bounds
	for _, d := range days {
		total = total.Add(d.Operations)
		out = append(out, point{d.ToNS, d.Operations.Best, total})
	}
	return out[max(0, len(out)-most):]
}
