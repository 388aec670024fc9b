package training

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// scheduled are the kinds whose id means the same on every host.
var scheduled = []measure.WorkloadKind{measure.KindSlurmJob, measure.KindPod}

// part is a part with what is known of it.
type part struct {
	Part
	communicators []string
	fabrics       []string
	peers         []Peer
	images        []string
	read, wrote   []string
	rhythm        Rhythm
	activity      Curve
	known         int64 // up to when its hosts are known, the latest there is where that is not told
	ended         bool  // and not merely seen up to now
}

// baseKey names a workload. The hint is in it, because a person may say that the
// same hint is chance.
func baseKey(s *Stretch) PartKey { return KeyOf(s.Workload, s.Host) }

// KeyOf is the key of the first part of a workload on a host. Later parts of the
// same workload have the day on which they began behind it.
func KeyOf(w measure.Workload, host string) PartKey {
	key := string(w.Kind) + " " + w.ID
	if !slices.Contains(scheduled, w.Kind) {
		key += " on " + host
	}
	if w.Hint != "" {
		key += " for " + strconv.Quote(w.Hint)
	}
	return PartKey(key)
}

var laterPart = regexp.MustCompile(` from \d{4}-\d{2}-\d{2}'*$`)

// First is the key of the first part of the workload that the key is of.
func (k PartKey) First() PartKey { return PartKey(laterPart.ReplaceAllString(string(k), "")) }

// partsOf cuts the stretches into parts, ordered by start and key.
func partsOf(stretches []Stretch, w *Weights, until int64) []part {
	keys := make([]PartKey, len(stretches))
	order := make([]int, len(stretches))
	frontier := until
	for i := range stretches {
		keys[i], order[i] = baseKey(&stretches[i]), i
		frontier = max(frontier, stretches[i].EndNS)
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &stretches[i], &stretches[j]
		return cmp.Or(cmp.Compare(keys[i], keys[j]), cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.EndNS, b.EndNS),
			cmp.Compare(a.Host, b.Host), cmp.Compare(a.Accelerator, b.Accelerator),
			// A part has the rhythm of its first stretch that has one, whichever came first.
			cmp.Compare(a.Rhythm.PeriodNS, b.Rhythm.PeriodNS), cmp.Compare(a.Rhythm.PhaseNS, b.Rhythm.PhaseNS),
			cmp.Compare(len(a.Activity.Values), len(b.Activity.Values)))
	})
	// A part is large and a fleet has many: where each begins and ends is found
	// and put in order first, so that no part is ever moved.
	type span struct {
		from, to int
		again    bool // the workload was there before
	}
	var spans []span
	for from := 0; from < len(order); {
		// A job's number comes round again, and a machine may serve something else
		// next month: what lies further apart than any join goes is another part.
		limit := w.Time.Gap
		if stretches[order[from]].Workload.Hint != "" || slices.Contains(scheduled, stretches[order[from]].Workload.Kind) {
			limit = w.Time.GapWithMatch
		}
		end, to := stretches[order[from]].EndNS, from+1
		for to < len(order) && keys[order[to]] == keys[order[from]] && stretches[order[to]].StartNS-end <= int64(limit) {
			end = max(end, stretches[order[to]].EndNS)
			to++
		}
		spans = append(spans, span{from, to, from > 0 && keys[order[from-1]] == keys[order[from]]})
		from = to
	}
	key := func(s span) PartKey {
		key := keys[order[s.from]]
		if s.again {
			key += PartKey(" from " + time.Unix(0, stretches[order[s.from]].StartNS).UTC().Format(time.DateOnly))
		}
		return key
	}
	slices.SortFunc(spans, func(a, b span) int {
		if c := cmp.Compare(stretches[order[a.from]].StartNS, stretches[order[b.from]].StartNS); c != 0 {
			return c
		}
		return cmp.Compare(key(a), key(b))
	})
	parts := make([]part, len(spans))
	for i, s := range spans {
		parts[i] = gather(stretches, order[s.from:s.to])
		parts[i].Key = key(s)
		parts[i].ended = parts[i].EndNS < max(min(frontier, parts[i].known)-int64(w.Space.Settled), frontier-int64(w.Space.Silent))
	}
	return parts
}

// gather makes one part of stretches that are ordered by start.
func gather(stretches []Stretch, members []int) part {
	first := &stretches[members[0]]
	p := part{Part: Part{Workload: first.Workload, StartNS: first.StartNS, Members: slices.Sorted(slices.Values(members))}, known: math.MaxInt64}
	type place struct{ host, accelerator string }
	devices := map[place]int{}
	for _, i := range members {
		s := &stretches[i]
		p.EndNS = max(p.EndNS, s.EndNS)
		if s.KnownNS != 0 {
			p.known = min(p.known, s.KnownNS)
		}
		at := place{s.Host, s.Accelerator}
		devices[at] = max(devices[at], s.Devices)
		p.Hosts = append(p.Hosts, s.Host)
		p.communicators = append(p.communicators, s.Communicators...)
		p.fabrics = append(p.fabrics, s.Fabrics...)
		p.peers = append(p.peers, s.Peers...)
		p.images = appendKnown(p.images, s.Image)
		p.read = appendKnown(p.read, s.ReadCheckpoint)
		p.wrote = appendKnown(p.wrote, s.WroteCheckpoint)
		if p.rhythm.PeriodNS == 0 {
			p.rhythm = s.Rhythm
		}
		if len(p.activity.Values) == 0 {
			p.activity = s.Activity
		}
	}
	for _, list := range []*[]string{&p.Hosts, &p.communicators, &p.fabrics, &p.images, &p.read, &p.wrote} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	slices.SortFunc(p.peers, func(a, b Peer) int { return cmp.Compare(a.Host, b.Host) })
	of := map[string]int{}
	for at, n := range devices {
		p.Devices += n
		of[at.accelerator] += n
	}
	p.Accelerator = most(of)
	return p
}

// most returns the word with the largest number, of equals the first.
func most(of map[string]int) string {
	best, found := "", false
	for word, n := range of {
		if !found || n > of[best] || n == of[best] && word < best {
			best, found = word, true
		}
	}
	return best
}

func appendKnown(list []string, word string) []string {
	if word == "" {
		return list
	}
	return append(list, word)
}

// label is what people call the part.
func (p *Part) label() string {
	switch {
	case p.Workload.Hint != "":
		return p.Workload.Hint
	case p.Workload.Kind == measure.KindSlurmJob || p.Workload.Kind == measure.KindPod:
		return p.Workload.ID
	case p.Workload.Kind == measure.KindNone && p.Workload.ID == "":
		return "time that nobody saw"
	}
	return string(p.Workload.Kind) + " " + p.Workload.ID
}

// share reports whether two ordered lists have a word in common, and which.
func share(a, b []string) (string, bool) {
	for len(a) > 0 && len(b) > 0 {
		switch cmp.Compare(a[0], b[0]) {
		case -1:
			a = a[1:]
		case 1:
			b = b[1:]
		default:
			return a[0], true
		}
	}
	return "", false
}

// common counts the words that two ordered lists have in common.
func common(a, b []string) int {
	n := 0
	for len(a) > 0 && len(b) > 0 {
		switch cmp.Compare(a[0], b[0]) {
		case -1:
			a = a[1:]
		case 1:
			b = b[1:]
		default:
			n, a, b = n+1, a[1:], b[1:]
		}
	}
	return n
}
