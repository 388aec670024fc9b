package training

import (
	"cmp"
	"slices"
)

// attempt is one start of a run on all its hosts: parts that were joined in
// space.
type attempt struct {
	parts       []int // ascending, so that the first began first
	start, end  int64
	ended       bool
	uneven      bool // the attempts of the run up to this one took different times
	interrupted bool // it is of a run that took long in all and was interrupted before
	hosts       []string
	devices     int
	accelerator string
	hints       []string
	images      []string
	workloads   []string
	read, wrote []string
	rhythm      Rhythm
}

// attemptsOf puts the groups of parts into the order in which they began.
func attemptsOf(parts []part, g *groups) []attempt {
	at := map[int]int{}
	var all []attempt
	for i := range parts {
		root := g.root(i)
		k, known := at[root]
		if !known {
			k = len(all)
			at[root] = k
			all = append(all, attempt{})
		}
		all[k].parts = append(all[k].parts, i)
	}
	for i := range all {
		all[i].sum(parts)
	}
	return all
}

func (a *attempt) sum(parts []part) {
	of := map[string]int{}
	a.start, a.ended = parts[a.parts[0]].StartNS, true
	for _, i := range a.parts {
		p := &parts[i]
		a.end, a.ended = max(a.end, p.EndNS), a.ended && p.ended
		a.devices += p.Devices
		of[p.Accelerator] += p.Devices
		a.hosts = append(a.hosts, p.Hosts...)
		a.hints = appendKnown(a.hints, p.Workload.Hint)
		a.images = append(a.images, p.images...)
		a.workloads = append(a.workloads, string(p.Workload.Kind)+" "+p.Workload.ID+" on "+p.Hosts[0])
		a.read, a.wrote = append(a.read, p.read...), append(a.wrote, p.wrote...)
		if a.rhythm.PeriodNS == 0 {
			a.rhythm = p.rhythm
		}
	}
	a.accelerator = most(of)
	for _, list := range []*[]string{&a.hosts, &a.hints, &a.images, &a.workloads, &a.read, &a.wrote} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
}

// chain is a run as far as it is known: attempts of which each took up where
// the one before ended.
type chain struct {
	last           attempt
	attempts       int
	shortest, long int64 // how long attempts took
	total          int64 // how long all of them took together
	members        []int // indexes of the attempts
}

// broken reports whether the run was interrupted at different times and took
// long in all. Somebody who tries things out ends them early; a run that is known
// to fail fails soon after a start too.
func (c *chain) broken(w *Weights) bool {
	return c.attempts > 2 && 2*c.shortest < c.long && c.total >= int64(w.Time.InterruptedFrom)
}

// chains finds for each attempt the run that it goes on with. It keeps of what
// is alike only the newest few, so that the work stays linear.
type chains struct {
	parts []part
	w     *Weights
	g     *groups
	all   []chain
	by    map[string][]int // word → chains that have it, newest last
}

// kept is how many chains a word leads to.
const kept = 8

// sampled is how many of an attempt's hosts lead to it.
const sampled = 16

// words are what leads from an attempt to the chains that it may go on with.
func (a *attempt) words() []string {
	words := []string{"shape " + a.accelerator + " " + string(rune('a'+rarity(a.devices))), "accelerator " + a.accelerator}
	for _, list := range []struct {
		kind  string
		words []string
	}{{"hint ", a.hints}, {"image ", a.images}, {"workload ", a.workloads[:min(len(a.workloads), sampled)]}, {"checkpoint ", a.read}, {"checkpoint ", a.wrote}} {
		for _, word := range list.words {
			words = append(words, list.kind+word)
		}
	}
	for i := range min(sampled, len(a.hosts)) {
		words = append(words, "host "+a.hosts[i*len(a.hosts)/min(sampled, len(a.hosts))])
	}
	return words
}

// timeLinks joins attempts in time and returns the joins between their first
// parts. together are the parts of which a person said that they are of one run.
//
// It looks twice. Whether a short attempt is a trial or a restart that failed is
// known only from the run around it, also from what followed. So the first look
// finds which attempts are of a run that was interrupted again and again, and the
// second weighs all of them with that.
func timeLinks(parts []part, g *groups, attempts []attempt, w *Weights, together map[int][]int) []link {
	first := &chains{parts: parts, w: w, g: g.clone(), by: map[string][]int{}}
	links := first.follow(attempts, together)
	again := false
	for i := range first.all {
		if !first.all[i].broken(w) {
			continue
		}
		again = true
		for _, k := range first.all[i].members {
			attempts[k].interrupted = true
		}
	}
	if !again {
		*g = *first.g
		return links
	}
	return (&chains{parts: parts, w: w, g: g, by: map[string][]int{}}).follow(attempts, together)
}

// follow joins attempts in the order in which they began.
func (c *chains) follow(attempts []attempt, together map[int][]int) []link {
	at := map[int]int{} // part → chain
	var links []link
	for i := range attempts {
		a := &attempts[i]
		words := a.words()
		best, said := c.best(a, words), false
		for _, p := range a.parts {
			for _, q := range together[p] {
				if k, known := at[q]; known && c.g.may(p, q) {
					best, said = k, true
				}
			}
		}
		k := best
		if best >= 0 {
			s := inTime(&c.all[best].last, a, c.w, true)
			if said && s.bits < c.w.Threshold {
				s = saidSo(c.w)
			}
			links = append(links, link{c.all[best].last.parts[0], a.parts[0], s})
			c.g.join(c.all[best].last.parts[0], a.parts[0])
			c.all[best].extend(a)
		} else {
			k = len(c.all)
			c.all = append(c.all, chain{last: *a, attempts: 1, shortest: a.end - a.start, long: a.end - a.start, total: a.end - a.start})
		}
		c.all[k].members = append(c.all[k].members, i)
		for _, p := range a.parts {
			at[p] = k
		}
		c.remember(k, words)
	}
	return links
}

// best returns the chain that the attempt goes on with by the evidence, or -1.
func (c *chains) best(a *attempt, words []string) int {
	looked := map[int]bool{}
	best, bits := -1, 0
	for _, word := range words {
		for _, k := range c.by[word] {
			if looked[k] {
				continue
			}
			looked[k] = true
			last := &c.all[k].last
			if a.start < last.end-int64(c.w.Time.Overlap) || a.start <= last.start || !c.g.may(last.parts[0], a.parts[0]) {
				continue
			}
			s := inTime(last, a, c.w, false)
			if s.bits < c.w.Threshold {
				continue
			}
			// Of equals the one that ended last, then the one that began first.
			if best < 0 || cmp.Or(cmp.Compare(s.bits, bits), cmp.Compare(last.end, c.all[best].last.end), cmp.Compare(best, k)) > 0 {
				best, bits = k, s.bits
			}
		}
	}
	return best
}

func (c *chains) remember(k int, words []string) {
	for _, word := range words {
		list := c.by[word]
		if at := slices.Index(list, k); at >= 0 {
			list = slices.Delete(list, at, at+1)
		}
		if len(list) == kept {
			list = slices.Delete(list, 0, 1)
		}
		c.by[word] = append(list, k)
	}
}

// extend goes on with an attempt.
func (c *chain) extend(a *attempt) {
	length := a.end - a.start
	c.shortest, c.long = min(c.shortest, length), max(c.long, length)
	c.total += length
	c.attempts++
	end := max(c.last.end, a.end)
	interrupted := c.last.interrupted || a.interrupted
	c.last = *a
	c.last.end, c.last.interrupted = end, interrupted
	c.last.uneven = c.attempts > 2 && 2*c.shortest < c.long
}
