package lab

// Summer adds up the days of several subjects. The zero value is ready; after
// Reset it keeps its memory.
type Summer struct {
	first int // day of at[0]
	at    []Day
	used  []bool
	out   []Day
}

// Add adds days, which are in order.
func (s *Summer) Add(days []Day) {
	if len(days) == 0 {
		return
	}
	s.cover(days[0].Day, days[len(days)-1].Day)
	for i := range days {
		d := &days[i]
		n := d.Day - s.first
		t := &s.at[n]
		if !s.used[n] {
			s.used[n] = true
			*t = *d
			continue
		}
		t.Operations = t.Operations.Add(d.Operations)
		t.Devices += d.Devices
		t.ObservedS, t.ElapsedS = t.ObservedS+d.ObservedS, t.ElapsedS+d.ElapsedS
	}
}

// cover makes room for the days from and to.
func (s *Summer) cover(from, to int) {
	if len(s.at) == 0 {
		s.first = from
	}
	if before := s.first - from; before > 0 {
		s.at, s.used = append(make([]Day, before), s.at...), append(make([]bool, before), s.used...)
		s.first = from
	}
	if more := to - s.first + 1 - len(s.at); more > 0 {
		s.at, s.used = append(s.at, make([]Day, more)...), append(s.used, make([]bool, more)...)
	}
}

// Days returns the sum in order of the days. It is valid until Reset.
func (s *Summer) Days() []Day {
	s.out = s.out[:0]
	for i, used := range s.used {
		if used {
			s.out = append(s.out, s.at[i])
		}
	}
	return s.out
}

// Reset empties the sum.
func (s *Summer) Reset() {
	clear(s.used)
}
