package training

import "math"

// with reports whether two rhythms have one beat: the same period, and at the
// later of the two phases no further apart than phasePercent of it.
func (r Rhythm) with(o Rhythm, periodPermille, phasePercent int) bool {
	if !r.paceOf(o, periodPermille) {
		return false
	}
	period := float64(r.PeriodNS+o.PeriodNS) / 2
	off := math.Mod(math.Abs(float64(r.PhaseNS-o.PhaseNS)), period)
	return min(off, period-off)*100 <= period*float64(phasePercent)
}

// paceOf reports whether two rhythms have the same period.
func (r Rhythm) paceOf(o Rhythm, periodPermille int) bool {
	low, high := min(r.PeriodNS, o.PeriodNS), max(r.PeriodNS, o.PeriodNS)
	return float64(high-low)*1000 <= float64(high)*float64(periodPermille)
}

// minCommon is the fewest steps that two curves must share to be compared, and
// minSpread the least spread of a curve, as a share of its mean, that is more
// than noise.
const (
	minCommon = 12
	minSpread = 0.02
)

// Correlation returns Pearson's correlation of two curves over the steps that
// both have, where it can be told: the steps are of one length, there are
// enough of them and neither curve is flat.
func (c Curve) Correlation(o Curve) (r float64, ok bool) {
	if c.StepNS <= 0 || c.StepNS != o.StepNS || len(c.Values) == 0 || len(o.Values) == 0 {
		return 0, false
	}
	if o.StartNS < c.StartNS {
		c, o = o, c
	}
	at := (o.StartNS - c.StartNS + c.StepNS/2) / c.StepNS
	if at >= int64(len(c.Values)) {
		return 0, false
	}
	x, y := c.Values[at:], o.Values
	n := min(len(x), len(y))
	var count, sx, sy, sxx, syy, sxy float64
	for i := range n {
		a, b := float64(x[i]), float64(y[i])
		if math.IsNaN(a) || math.IsNaN(b) {
			continue
		}
		count, sx, sy, sxx, syy, sxy = count+1, sx+a, sy+b, sxx+a*a, syy+b*b, sxy+a*b
	}
	if count < minCommon {
		return 0, false
	}
	vx, vy := sxx/count-sx/count*sx/count, syy/count-sy/count*sy/count
	if flat(sx/count, vx) || flat(sy/count, vy) {
		return 0, false
	}
	return (sxy/count - sx/count*sy/count) / math.Sqrt(vx*vy), true
}

func flat(mean, variance float64) bool {
	return !(variance > 0) || math.Sqrt(variance) <= minSpread*math.Abs(mean)
}
