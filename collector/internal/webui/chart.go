package webui

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
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
	Fan, Ahead  string      // paths of what is foreseen, "" for nothing
	NowX        string      // where what is foreseen begins
	NowShare    string      // the same in percent of the width
	NowLate     bool        // it is in the right half
	Foreseen    []point     // ends of the weeks or days that are foreseen
	Proportion  bool        // the interval is that of the whole in proportion
}

// LastNS is when the picture ends.
func (c chart) LastNS() int64 {
	if n := len(c.Foreseen); n > 0 {
		return c.Foreseen[n-1].AtNS
	}
	return c.Points[len(c.Points)-1].AtNS
}

// NowNS is when what was counted ends.
func (c chart) NowNS() int64 { return c.Points[len(c.Points)-1].AtNS }

// aheadDays is how far ahead a picture looks: as far as the latest crossing that is
// foreseen, a week at least and no further than it looks back, nor 30 days.
func aheadDays(f *apitypes.Forecast, now int64, days int) int {
	most := 7
	for _, line := range f.Thresholds {
		if !line.Crossed && !line.Latest.IsZero() {
			most = max(most, int(line.Latest.Sub(time.Unix(0, now)).Hours()/24)+1)
		}
	}
	return min(most, days, 30)
}

// foreseen are totals at the ends of days to come, at the rate that the forecast
// has: low and high are those of one draw in ten. The interval of what was counted
// comes on top. It is nil where nothing goes on.
func foreseen(points []point, f *apitypes.Forecast) (out []point) {
	if f == nil || !f.Active || len(points) == 0 {
		return nil
	}
	low, err := compute.ParseOperations(f.PerDay.P10)
	best, err2 := compute.ParseOperations(f.PerDay.Median)
	high, err3 := compute.ParseOperations(f.PerDay.P90)
	if err != nil || err2 != nil || err3 != nil || best <= 0 {
		return nil
	}
	last := points[len(points)-1]
	after := func(rate compute.Operations, days int) compute.Operations {
		return compute.Operations(math.Min(last.Total.Best.Float()/1e9+rate.Float()/1e9*float64(days), math.MaxInt64/2))
	}
	for day := 1; day <= aheadDays(f, last.AtNS, len(points)); day++ {
		out = append(out, point{last.AtNS + int64(day)*int64(24*time.Hour), best, compute.Bounds{Low: after(low, day), Best: after(best, day), High: after(high, day)}})
	}
	return out
}

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
func newChart(title string, points []point, gauges []gauge, f *apitypes.Forecast) (c chart, ok bool) {
	if len(points) == 0 {
		return chart{}, false
	}
	first, last := points[0], points[len(points)-1]
	ahead := foreseen(points, f)
	highest, end := last.Total.High.Float(), last.AtNS
	if n := len(ahead); n > 0 {
		highest, end = max(highest, ahead[n-1].Total.High.Float()), ahead[n-1].AtNS
	}
	top := highest
	for _, g := range gauges {
		if t := g.Threshold.Float(); t > top && t < 2*highest {
			top = t
		}
	}
	top *= 1.05
	c = chart{Title: title, Points: points, Foreseen: ahead}
	y := func(n float64) float64 { return chartHeight - chartEdge - n/top*(chartHeight-2*chartEdge) }
	span := float64(end - first.AtNS)
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
	if n := len(ahead); n > 0 {
		begin := num(x(last.AtNS)) + " " + num(y(last.Total.Best.Float()))
		c.NowX, c.NowShare, c.NowLate = num(x(last.AtNS)), num(x(last.AtNS)/chartWidth*100), x(last.AtNS) > chartWidth/2
		stop := num(x(end)) + " "
		c.Fan = "M" + begin + "L" + stop + num(y(ahead[n-1].Total.High.Float())) + "L" + stop + num(y(ahead[n-1].Total.Low.Float())) + "Z"
		c.Ahead = "M" + begin + "L" + stop + num(y(ahead[n-1].Total.Best.Float()))
	}
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
	if n := len(ahead); n > 0 {
		c.Desc += fmt.Sprintf(" Foreseen: %s %s at %s.", operations(ahead[n-1].Total.Best), interval(ahead[n-1].Total), when(ahead[n-1].AtNS))
	}
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
		key := name + " is " + operations(g.Threshold) + " operations, " + g.Source
		if t := g.Threshold.Float(); t <= top {
			mark := tick(t, name)
			// Names of thresholds that lie close to one another stand side by side in one.
			if i := slices.IndexFunc(c.Limits, func(l chartTick) bool { return math.Abs(number(l.Y)-number(mark.Y)) < 12 && l.Text != "" }); i >= 0 {
				c.Limits[i].Text, mark.Text = c.Limits[i].Text+","+strconv.Itoa(len(c.Keys)+1), ""
			}
			c.Limits = append(c.Limits, mark)
		} else {
			key += " (above the picture)"
		}
		c.Keys = append(c.Keys, key)
	}
}

// number reads back what num wrote.
func number(text string) float64 {
	n, _ := strconv.ParseFloat(text, 64)
	return n
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
