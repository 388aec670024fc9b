package training

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// scale weighs pieces of evidence. Most pairs that are weighed are never joined,
// so what was found is put into words only for those that tell says.
type scale struct {
	tell  bool
	bits  int
	found []Evidence
}

// add puts a piece of evidence on the scale.
func (s *scale) add(name string, bits int, detail func() string) {
	s.bits += bits
	if s.tell && bits != 0 {
		s.found = append(s.found, Evidence{name, bits, detail()})
	}
}

func distance(a, b int64) time.Duration {
	if a > b {
		return time.Duration(a - b)
	}
	return time.Duration(b - a)
}

// inSpace weighs two parts that ran at the same time, and tells why if it is to.
func inSpace(a, b *part, w *Weights, tell bool) scale {
	s := scale{tell: tell}
	x := &w.Space
	hints(&s, a.Workload.Hint, b.Workload.Hint, x.Hint, x.OtherHint)
	if hash, ok := share(a.communicators, b.communicators); ok {
		s.add("communicator", x.Communicator, func() string { return "the same NCCL communicator " + short(hash) })
	}
	switch ab, ba := talks(a, b), talks(b, a); {
	case ab && ba:
		s.add("traffic", x.Traffic, func() string { return "both report traffic with each other" })
	case ab || ba:
		s.add("traffic_one_sided", x.TrafficOneSided, func() string { return "one reports traffic with the other" })
	case apart(a, b):
		s.add("other_traffic", x.OtherTraffic, func() string { return "each reports traffic with other hosts, not with each other" })
	}
	if domain, ok := share(a.fabrics, b.fabrics); ok {
		s.add("fabric", x.Fabric, func() string { return "the same NVLink domain " + short(domain) })
	}
	startAndStop(&s, a, b, w)
	if a.rhythm.PeriodNS > 0 && b.rhythm.PeriodNS > 0 {
		if a.rhythm.with(b.rhythm, x.PeriodPermille, x.PhasePercent) {
			s.add("rhythm", x.Rhythm, func() string {
				return fmt.Sprintf("one beat every %s", time.Duration(a.rhythm.PeriodNS).Round(time.Millisecond))
			})
		} else {
			s.add("other_rhythm", x.OtherRhythm, func() string {
				return fmt.Sprintf("beats of %s and %s", time.Duration(a.rhythm.PeriodNS).Round(time.Millisecond), time.Duration(b.rhythm.PeriodNS).Round(time.Millisecond))
			})
		}
	}
	if r, ok := a.activity.Correlation(b.activity); ok {
		switch {
		case r*100 >= float64(x.AlikePercent):
			s.add("activity", x.Activity, func() string { return fmt.Sprintf("activity goes together, correlation %.2f", r) })
		case r*100 <= float64(x.UnlikePercent):
			s.add("other_activity", x.OtherActivity, func() string { return fmt.Sprintf("activity does not go together, correlation %.2f", r) })
		}
	}
	accelerators(&s, a.Accelerator, b.Accelerator, x.Accelerator, x.OtherAccelerator)
	if a.Workload.Kind == measure.KindSlurmJob && b.Workload.Kind == measure.KindSlurmJob && a.Workload.ID != b.Workload.ID {
		s.add("other_job", x.OtherJob, func() string { return "two jobs of the scheduler" })
	}
	return s
}

// startAndStop weighs when two parts began and ended. Of two short ones that end
// apart each has done its own; a machine that leaves a long run has failed.
func startAndStop(s *scale, a, b *part, w *Weights) {
	x := &w.Space
	switch d := distance(a.StartNS, b.StartNS); {
	case d <= time.Duration(x.StartWithin):
		s.add("start", x.Start, func() string { return fmt.Sprintf("started %s apart", d.Round(time.Second)) })
	case d <= time.Duration(x.StartNearWithin):
		s.add("start_near", x.StartNear, func() string { return fmt.Sprintf("started %s apart", d.Round(time.Second)) })
	}
	if !a.ended || !b.ended {
		return
	}
	switch d := distance(a.EndNS, b.EndNS); {
	case d <= time.Duration(x.StopWithin):
		s.add("stop", x.Stop, func() string { return fmt.Sprintf("stopped %s apart", d.Round(time.Second)) })
	case min(a.EndNS-a.StartNS, b.EndNS-b.StartNS) < int64(w.Time.ShortBelow):
		s.add("other_stop", x.OtherStop, func() string {
			return fmt.Sprintf("stopped %s apart, and one took less than %s", pause(d), pause(time.Duration(w.Time.ShortBelow)))
		})
	}
}

func hints(s *scale, a, b string, same, other int) {
	if a == "" || b == "" {
		return
	}
	if a == b {
		s.add("hint", same, func() string { return "run hint " + a })
	} else {
		s.add("other_hint", other, func() string { return fmt.Sprintf("run hints %s and %s", a, b) })
	}
}

func accelerators(s *scale, a, b string, same, other int) {
	if a == b {
		s.add("accelerator", same, func() string { return "all on " + a })
	} else {
		s.add("other_accelerator", other, func() string { return a + " and " + b })
	}
}

// talks reports whether a saw traffic with a host of b that is not its own.
func talks(a, b *part) bool {
	for _, p := range a.peers {
		if p.SentBytes+p.ReceivedBytes > 0 && has(b.Hosts, p.Host) && !has(a.Hosts, p.Host) {
			return true
		}
	}
	return false
}

// apart reports whether both exchange with other hosts and none of those is one
// of both. In a ring most hosts do not talk with each other, but with the next.
func apart(a, b *part) bool {
	return talkative(a) && talkative(b) && !slices.ContainsFunc(a.peers, func(p Peer) bool {
		_, ok := slices.BinarySearchFunc(b.peers, p.Host, func(q Peer, host string) int { return cmp.Compare(q.Host, host) })
		return ok
	})
}

// talkative reports whether a part saw traffic with hosts that are not its own.
func talkative(p *part) bool {
	return slices.ContainsFunc(p.peers, func(q Peer) bool { return q.SentBytes+q.ReceivedBytes > 0 && !has(p.Hosts, q.Host) })
}

// inTime weighs an attempt that followed another, and tells why if it is to.
func inTime(a, b *attempt, w *Weights, tell bool) scale {
	s := scale{tell: tell}
	x := &w.Time
	for _, hint := range a.hints {
		if has(b.hints, hint) {
			hints(&s, hint, hint, x.Hint, x.OtherHint)
			break
		}
	}
	if s.bits == 0 && len(a.hints) > 0 && len(b.hints) > 0 {
		hints(&s, a.hints[0], b.hints[0], x.Hint, x.OtherHint)
	}
	if read, ok := share(a.wrote, b.read); ok {
		s.add("checkpoint", x.Checkpoint, func() string { return "read the checkpoint " + short(read) + " that the other wrote" })
	}
	gap := time.Duration(b.start - a.end)
	match := s.bits > 0
	switch {
	case gap > time.Duration(x.GapWithMatch) || !match && gap > time.Duration(x.Gap):
		return scale{bits: math.MinInt32}
	case gap <= time.Duration(x.SoonWithin):
		s.add("soon", x.Soon, func() string { return "after " + pause(gap) })
	case gap <= time.Duration(x.NightWithin):
		s.add("next_day", x.NextDay, func() string { return "after " + pause(gap) })
	default:
		s.add("later", x.Later, func() string { return "after " + pause(gap) })
	}
	if _, ok := share(a.workloads, b.workloads); ok {
		s.add("same_workload", x.SameWorkload, func() string { return "the same machine or pod again" })
	}
	if len(a.images) > 0 && len(b.images) > 0 {
		if image, ok := share(a.images, b.images); ok {
			s.add("image", x.Image, func() string { return "the same image " + short(image) })
		} else {
			s.add("other_image", x.OtherImage, func() string { return "another image" })
		}
	}
	if n := common(a.hosts, b.hosts); 2*n >= min(len(a.hosts), len(b.hosts)) {
		s.add("hosts", x.Hosts+rarity(n), func() string { return fmt.Sprintf("%d of %d hosts the same", n, len(b.hosts)) })
	}
	shape(&s, a.devices, b.devices, x)
	accelerators(&s, a.accelerator, b.accelerator, x.Accelerator, x.OtherAccelerator)
	if a.rhythm.PeriodNS > 0 && b.rhythm.PeriodNS > 0 {
		if a.rhythm.paceOf(b.rhythm, w.Space.PeriodPermille) {
			s.add("rhythm", x.Rhythm, func() string { return "steps of the same length" })
		} else {
			s.add("other_rhythm", x.OtherRhythm, func() string { return "steps of another length" })
		}
	}
	lengths(&s, a, b, x)
	return s
}

// shape weighs the number of devices. Many devices are rare, so the same large
// number says more than the same small one.
func shape(s *scale, a, b int, x *TimeWeights) {
	low, high := min(a, b), max(a, b)
	switch {
	case (high-low)*100 <= high*x.ShapePercent:
		s.add("shape", x.Shape+rarity(b), func() string { return fmt.Sprintf("%d and %d devices", a, b) })
	case high <= 2*low:
		s.add("resized", x.Resized, func() string { return fmt.Sprintf("%d and %d devices", a, b) })
	default:
		s.add("other_shape", x.OtherShape, func() string { return fmt.Sprintf("%d and %d devices", a, b) })
	}
}

// rarity is one bit for every 4 × as many, as if sizes fell off with their
// square root, which those of published clusters about do.
func rarity(n int) int {
	bits := 0
	for n >= 4 {
		bits, n = bits+1, n/4
	}
	return bits
}

// lengths weighs how long the attempts took. A failure ends a run at any time;
// who takes the same time twice has done the same work twice.
func lengths(s *scale, a, b *attempt, x *TimeWeights) {
	la, lb := a.end-a.start, b.end-b.start
	interrupted := a.interrupted || b.interrupted
	switch {
	case (!a.ended || la >= int64(x.ShortBelow)) && (!b.ended || lb >= int64(x.ShortBelow)):
	case interrupted:
		s.add("interrupted", x.Interrupted, func() string {
			return "one took less than " + pause(time.Duration(x.ShortBelow)) + ", of a run that was interrupted before"
		})
	default:
		s.add("short", x.Short, func() string { return "one took less than " + pause(time.Duration(x.ShortBelow)) })
	}
	if !a.ended || !b.ended || a.uneven || interrupted {
		return
	}
	low, high := float64(min(la, lb)), float64(max(la, lb))
	switch {
	case low >= high*float64(x.SameLengthPercent)/100:
		s.add("same_length", x.SameLength, func() string { return fmt.Sprintf("took the same time, %s: a repetition", pause(time.Duration(lb))) })
	case low >= high*float64(x.SimilarLengthPercent)/100:
		s.add("similar_length", x.SimilarLength, func() string {
			return fmt.Sprintf("took %s and %s: may be a repetition", pause(time.Duration(la)), pause(time.Duration(lb)))
		})
	}
}

// pause writes a duration without what nobody reads.
func pause(d time.Duration) string {
	switch {
	case d < 0:
		return "an overlap of " + pause(-d)
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		m := int64(d.Round(time.Minute) / time.Minute)
		if m < 60 {
			return fmt.Sprintf("%d min", m)
		}
		return fmt.Sprintf("%d h %d min", m/60, m%60)
	}
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}

// short cuts a digest to what tells it from others on a page.
func short(word string) string {
	if len(word) > 16 {
		return word[:16] + "…"
	}
	return word
}
