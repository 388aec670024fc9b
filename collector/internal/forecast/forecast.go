// Package forecast says when what goes on now will cross a line: from the recent
// rate, from what is reserved and from when that ends. It is pure; time is an
// argument, and the same input gives the same answer.
//
// The recent rate is the median of the operations of the last days, which one
// day of failure or of a burst does not move. How sure it is comes from the
// bootstrap (Efron 1979): days are drawn again with replacement a thousand times
// and each draw gives a median, so the spread of the days becomes a spread of
// dates. The draws follow from the subject's name alone.
//
// What is reserved and in force caps the rate, and ends it. What is reserved for
// later adds to it from its beginning on, at an assumed share of its peak, since
// nothing is known of it yet: the draws take that share from a stated band. What
// a reservation could do at its full peak is told apart from what is likely.
package forecast

import (
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Day is the length of the days of history.
const Day = 24 * time.Hour

// Capacity is what is reserved from FromNS until before ToNS.
type Capacity struct {
	FromNS, ToNS int64
	Peak         compute.Rate
}

// Subject is what is looked at: a run or all that a customer does.
type Subject struct {
	ID     string
	NowNS  int64
	Done   compute.Bounds       // up to now
	Days   []compute.Operations // best of each of the last days, oldest first; the last ends at NowNS
	LastNS int64                // when it last did something, 0 if it never did
	Held   compute.Rate         // peak of the devices that it holds now; caps the rate where nothing is reserved, 0 for no cap
	// Capacity is what is reserved, also what begins later. What is over is of no interest.
	Capacity []Capacity
}

// Rate is operations per day as the draws have it.
type Rate struct{ P10, Median, P90 compute.Operations }

// Forecast is what is foreseen for one subject.
type Forecast struct {
	Rate    Rate // of what goes on now
	Days    int  // that the rate rests on
	Young   bool // too few of them to know the spread
	Active  bool // something goes on
	subject *Subject
	s       *Settings
	paths   []path
}

// path is one draw.
type path struct {
	perDay float64 // giga-operations
	use    float64 // of the peak of what is reserved for later, 0..1
}

// New draws the paths of a subject.
func New(subject Subject, s *Settings) *Forecast {
	f := &Forecast{subject: &subject, s: s}
	f.paths = make([]path, 0, s.Draws)
	days := make([]float64, 0, len(subject.Days))
	for _, n := range subject.Days[max(0, len(subject.Days)-s.HistoryDays):] {
		days = append(days, n.Float()/compute.Giga)
	}
	f.Days, f.Young = len(days), len(days) < s.YoungBelowDays
	f.Active = subject.Active(s)
	r := random(subject.ID)
	sample := make([]float64, len(days))
	for range s.Draws {
		p := path{use: (float64(s.UseLowPercent) + r.unit()*float64(s.UseHighPercent-s.UseLowPercent)) / 100}
		if f.Active {
			for i := range sample {
				sample[i] = days[r.below(len(days))]
			}
			p.perDay = median(sample)
			if f.Young {
				p.perDay *= 1 + (2*r.unit()-1)*float64(s.YoungSpreadPercent)/100
			}
		}
		f.paths = append(f.paths, p)
	}
	rates := make([]float64, len(f.paths))
	for i, p := range f.paths {
		rates[i] = p.perDay
	}
	slices.Sort(rates)
	at := func(q float64) compute.Operations { return operations(rates[int(q*float64(len(rates)-1)+0.5)]) }
	f.Rate = Rate{at(0.1), at(0.5), at(0.9)}
	return f
}

// Active says whether something goes on. It costs nothing beside New, which draws.
func (x Subject) Active(s *Settings) bool {
	return min(len(x.Days), s.HistoryDays) > 0 && x.LastNS > 0 && x.NowNS-x.LastNS <= int64(s.IdleAfter)
}

// Chance is the probability that a line is crossed by a time.
type Chance struct {
	ByNS        int64
	Probability float64
}

// Crossing is when a line is crossed. Dates are 0 where they lie beyond the
// horizon or never come.
type Crossing struct {
	Threshold  compute.Operations
	EarliestNS int64 // one draw in ten crosses sooner
	LikelyNS   int64 // half of them
	LatestNS   int64 // nine in ten
	Chances    []Chance
	CouldNS    int64 // when full use of all that is reserved would cross, 0 if it would not
	Crossed    bool  // best has reached it already
}

// By returns the probability that it is crossed by a time.
func (c *Crossing) By(ns int64) float64 {
	p := 0.0
	for _, chance := range c.Chances {
		if chance.ByNS <= ns {
			p = chance.Probability
		}
	}
	return p
}

// horizons are the days for which probabilities are told, with those of the settings.
var horizons = []int{1, 3, 7, 30, 60, 90}

// Cross returns when the threshold is crossed.
func (f *Forecast) Cross(threshold compute.Operations) Crossing {
	now, end := f.subject.NowNS, f.subject.NowNS+int64(f.s.HorizonDays)*int64(Day)
	c := Crossing{Threshold: threshold}
	need := (threshold - f.subject.Done.Best).Float() / compute.Giga
	if need <= 0 {
		c.Crossed, c.EarliestNS, c.LikelyNS, c.LatestNS, c.CouldNS = true, now, now, now, now
		c.Chances = []Chance{{now, 1}}
		return c
	}
	pieces := f.pieces(end)
	dates := make([]int64, len(f.paths))
	for i, p := range f.paths {
		dates[i] = reach(pieces, need, func(g *piece) float64 { return g.rate(p) })
	}
	slices.Sort(dates)
	at := func(q float64) int64 {
		if d := dates[int(q*float64(len(dates)-1)+0.5)]; d < math.MaxInt64 {
			return d
		}
		return 0
	}
	c.EarliestNS, c.LikelyNS, c.LatestNS = at(0.1), at(0.5), at(0.9)
	days := append(slices.Clone(horizons), f.s.NearDays, f.s.HorizonDays)
	slices.Sort(days)
	for _, n := range slices.Compact(days) {
		by := now + int64(n)*int64(Day)
		if by > end {
			break
		}
		n, _ := slices.BinarySearchFunc(dates, by+1, func(a, b int64) int {
			if a < b {
				return -1
			}
			return 1
		})
		c.Chances = append(c.Chances, Chance{by, float64(n) / float64(len(dates))})
	}
	// What could be done at most is not bounded by the horizon: a reservation says
	// itself when it ends.
	far := end
	for _, r := range f.subject.Capacity {
		far = max(far, r.ToNS)
	}
	if len(f.subject.Capacity) > 0 {
		most := (threshold - f.subject.Done.High).Float() / compute.Giga
		if ns := reach(f.pieces(far), max(0, most), (*piece).most); ns < math.MaxInt64 {
			c.CouldNS = ns
		}
	}
	return c
}

// By returns what will have been done by a time: low and high of the draws added
// to those of what is done, and in high no less than all that is reserved could
// do.
func (f *Forecast) By(ns int64) compute.Bounds {
	pieces := f.pieces(ns)
	grown := make([]float64, len(f.paths))
	for i, p := range f.paths {
		for k := range pieces {
			grown[i] += pieces[k].days() * pieces[k].rate(p)
		}
	}
	slices.Sort(grown)
	at := func(q float64) compute.Operations { return operations(grown[int(q*float64(len(grown)-1)+0.5)]) }
	most := 0.0
	if len(f.subject.Capacity) > 0 {
		for k := range pieces {
			most += pieces[k].days() * pieces[k].most()
		}
	}
	done := f.subject.Done
	return compute.Bounds{Low: done.Low.Add(at(0.1)), Best: done.Best.Add(at(0.5)), High: done.High.Add(max(at(0.9), operations(most)))}
}

// piece is a stretch of the future in which the same is reserved, in
// giga-operations per day.
type piece struct {
	fromNS, toNS int64
	now          float64 // what may go on of what goes on now; +Inf for no cap, 0 once its reservation is over
	later        float64 // peak of what was reserved for later and is in force then
}

func (g *piece) days() float64       { return float64(g.toNS-g.fromNS) / float64(Day) }
func (g *piece) rate(p path) float64 { return min(p.perDay, g.now) + p.use*g.later }
func (g *piece) most() float64 {
	if math.IsInf(g.now, 1) {
		return g.later
	}
	return g.now + g.later
}

// pieces cuts the time until end where a reservation begins or ends.
func (f *Forecast) pieces(end int64) []piece {
	now := f.subject.NowNS
	cuts := []int64{now, end}
	inForce := false
	for _, r := range f.subject.Capacity {
		inForce = inForce || r.FromNS <= now && r.ToNS > now
		for _, at := range []int64{r.FromNS, r.ToNS} {
			if at > now && at < end {
				cuts = append(cuts, at)
			}
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	var out []piece
	for i := range len(cuts) - 1 {
		g := piece{fromNS: cuts[i], toNS: cuts[i+1]}
		if !inForce {
			g.now = math.Inf(1)
			if f.subject.Held > 0 {
				g.now = perDay(f.subject.Held)
			}
		}
		for _, r := range f.subject.Capacity {
			switch {
			case r.FromNS > g.fromNS || r.ToNS <= g.fromNS:
			case r.FromNS <= now:
				g.now += perDay(r.Peak)
			default:
				g.later += perDay(r.Peak)
			}
		}
		out = append(out, g)
	}
	return out
}

// reach returns when need is done, math.MaxInt64 for never.
func reach(pieces []piece, need float64, rate func(*piece) float64) int64 {
	for i := range pieces {
		g := &pieces[i]
		r := rate(g)
		if does := r * g.days(); does >= need && r > 0 {
			return g.fromNS + int64(math.Ceil(need/r*float64(Day)))
		} else {
			need -= does
		}
	}
	return math.MaxInt64
}

// perDay is a rate in giga-operations per day.
func perDay(r compute.Rate) float64 { return r.OpsPerSecond() / compute.Giga * Day.Seconds() }

func operations(giga float64) compute.Operations {
	if giga >= math.MaxInt64 {
		return compute.MaxOperations
	}
	return compute.Operations(math.Round(max(0, giga)))
}

func median(values []float64) float64 {
	slices.Sort(values)
	n := len(values)
	return (values[(n-1)/2] + values[n/2]) / 2
}

// splitmix is a small generator of numbers (Steele, Lea and Flood 2014): the
// draws must be the same everywhere and for ever.
type splitmix uint64

func random(seed string) *splitmix {
	h := fnv.New64a()
	_, _ = h.Write([]byte(seed)) // never fails
	s := splitmix(h.Sum64())
	return &s
}

func (s *splitmix) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (s *splitmix) unit() float64   { return float64(s.next()>>11) / (1 << 53) }
func (s *splitmix) below(n int) int { return int(s.next() % uint64(n)) }
