package webui

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// point is a total at a moment.
type point struct {
	AtNS  int64
	Day   compute.Operations // done in the 24 hours before
	Total compute.Bounds
}

// chart is a total over time as a picture and, by its points, as a table. The
// picture is stretched to the width of the page, so it holds shapes only: words
// stand beside it in pictures that are not stretched.
type chart struct {
	Title, Desc string
	Points      []point
	Band, Line  string // paths
	Ticks       []chartTick
	Limits      []chartTick // thresholds within the picture
	Keys        []string    // what the limits are, and which lie above the picture
}

// LastNS is when the picture ends.
func (c chart) LastNS() int64 { return c.Points[len(c.Points)-1].AtNS }

// chartTick is a height with what stands there.
type chartTick struct{ Y, TextY, Text string }

// Units of the picture. Axes beside it are as high and 1:1.
const chartWidth, chartHeight, chartEdge = 600.0, 224.0, 10.0

// totals turns days into totals at their ends. The last one is the total of the
// run. Earlier ones have the interval of the whole run in proportion: days have
// none of their own.
func totals(days []desk.RunDay, total compute.Bounds) []point {
	if len(days) == 0 || total.Best <= 0 {
		return nil
	}
	low, high := ratio(total.Low, total.Best), ratio(total.High, total.Best)
	of := func(share float64, best compute.Operations) compute.Operations {
		return compute.Operations(math.Min(share*float64(best), math.MaxInt64))
	}
	out := make([]point, len(days))
	best := total.Best
	for i := len(days) - 1; i >= 0; i-- {
		out[i] = point{days[i].ToNS, days[i].Best, compute.Bounds{Low: of(low, best), Best: best, High: of(high, best)}}
		best = max(best-days[i].Best, 0)
	}
	out[len(out)-1].Total = total
	return out
}

// newChart draws points against thresholds. ok is false where there is nothing
// to draw.
func newChart(title string, points []point, gauges []gauge) (c chart, ok bool) {
	if len(points) == 0 {
		return chart{}, false
	}
	first, last := points[0], points[len(points)-1]
	top := last.Total.High.Float()
	for _, g := range gauges {
		if t := g.Threshold.Float(); t > top && t < 2*last.Total.High.Float() {
			top = t
		}
	}
	top *= 1.05
	c = chart{Title: title, Points: points}
	y := func(n float64) float64 { return chartHeight - chartEdge - n/top*(chartHeight-2*chartEdge) }
	span := float64(last.AtNS - first.AtNS)
	x := func(at int64) float64 {
		if span == 0 {
			return chartWidth
		}
		return float64(at-first.AtNS) / span * chartWidth
	}
	num := func(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
	var upper, line, lower []string
	if span == 0 { // one day: a level line
		p := first
		p.AtNS--
		points = []point{p, first}
		x = func(at int64) float64 { return float64(at-p.AtNS) * chartWidth }
	}
	for i, p := range points {
		at := num(x(p.AtNS)) + " "
		upper = append(upper, at+num(y(p.Total.High.Float())))
		line = append(line, at+num(y(p.Total.Best.Float())))
		q := points[len(points)-1-i]
		lower = append(lower, num(x(q.AtNS))+" "+num(y(q.Total.Low.Float())))
	}
	c.Line = "M" + strings.Join(line, "L")
	c.Band = "M" + strings.Join(upper, "L") + "L" + strings.Join(lower, "L") + "Z"
	tick := func(v float64, text string) chartTick { return chartTick{num(y(v)), num(y(v) + 4), text} }
	step := niceStep(top)
	for v := 0.0; v <= top; v += step {
		text := "0"
		if v > 0 {
			text = strings.Replace(strconv.FormatFloat(v, 'e', 1, 64), "e+", "e", 1)
		}
		c.Ticks = append(c.Ticks, tick(v, text))
	}
	c.limits(gauges, top, tick)
	c.Desc = fmt.Sprintf("From %s at %s to %s %s at %s.", operations(first.Total.Best), when(first.AtNS), operations(last.Total.Best), interval(last.Total), when(last.AtNS))
	if len(c.Keys) > 0 {
		c.Desc += " " + strings.Join(c.Keys, ". ") + "."
	}
	return c, true
}

// limits marks the thresholds, each once.
func (c *chart) limits(gauges []gauge, top float64, tick func(float64, string) chartTick) {
	seen := map[compute.Operations]int{}
	for _, g := range gauges {
		if g.Threshold <= 0 {
			continue
		}
		if i, ok := seen[g.Threshold]; ok {
			c.Keys[i] += "; " + g.Source
			continue
		}
		seen[g.Threshold] = len(c.Keys)
		name := "T" + strconv.Itoa(len(c.Keys)+1)
		key := name + " is " + operations(g.Threshold) + ", " + g.Source
		if t := g.Threshold.Float(); t <= top {
			c.Limits = append(c.Limits, tick(t, name))
		} else {
			key += " (above the picture)"
		}
		c.Keys = append(c.Keys, key)
	}
}

// niceStep is 1, 2 or 5 times a power of ten, for three to seven steps.
func niceStep(top float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(top)))
	for _, m := range []float64{0.2, 0.5, 1, 2} {
		if top/(m*power) <= 6 {
			return m * power
		}
	}
	return 5 * power
}
