package training

import (
	"cmp"
	"slices"
)

// reach is with how many neighbours in order a candidate is weighed. What is
// alike lies side by side, so a few are enough, and the work stays linear.
const reach = 4

// maxPeers is how many of its peers a part is weighed with.
const maxPeers = 16

// edge is a pair of parts whose evidence reaches the threshold.
type edge struct {
	from, to int // from begins earlier
	scale
}

// candidates weighs parts of one tenant that ran at the same time and share
// something.
type candidates struct {
	parts []part
	w     *Weights
	seen  map[[2]int]bool
	edges []edge
}

// spaceEdges returns the pairs to join, the strongest first.
func spaceEdges(parts []part, w *Weights) []edge {
	c := &candidates{parts: parts, w: w, seen: map[[2]int]bool{}}
	c.shared(func(p *part) []string { return p.communicators })
	c.shared(func(p *part) []string { return p.fabrics })
	c.shared(func(p *part) []string { return appendKnown(nil, p.Workload.Hint) })
	c.starts()
	c.rhythms()
	c.peers()
	slices.SortFunc(c.edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(b.bits, a.bits), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	return c.edges
}

// weigh looks at a pair, once. Parts are ordered by start, so the smaller index
// began earlier.
func (c *candidates) weigh(i, j int) {
	if i > j {
		i, j = j, i
	}
	if a, b := &c.parts[i], &c.parts[j]; i == j || b.StartNS > a.EndNS || c.seen[[2]int{i, j}] {
		return
	}
	c.seen[[2]int{i, j}] = true
	if s := inSpace(&c.parts[i], &c.parts[j], c.w); s.bits >= c.w.Threshold {
		c.edges = append(c.edges, edge{i, j, s})
	}
}

// neighbours weighs each of a list with those that follow it.
func (c *candidates) neighbours(list []int) {
	for at, i := range list {
		for _, j := range list[at+1 : min(at+1+reach, len(list))] {
			c.weigh(i, j)
		}
	}
}

// shared weighs parts that have a word in common.
func (c *candidates) shared(words func(*part) []string) {
	by := map[string][]int{}
	for i := range c.parts {
		for _, word := range words(&c.parts[i]) {
			by[word] = append(by[word], i)
		}
	}
	for _, list := range by {
		c.neighbours(list)
		// The first that is still running stands for those that began before.
		first := list[0]
		for _, i := range list[1:] {
			c.weigh(first, i)
			if c.parts[i].EndNS > c.parts[first].EndNS {
				first = i
			}
		}
	}
}

// starts weighs parts that began within a minute of the first of their group
// on the same accelerator: with the first, and with those that stopped when
// they did or beat as they do.
func (c *candidates) starts() {
	order := c.order(func(a, b *part) int { return cmp.Compare(a.Accelerator, b.Accelerator) })
	for from := 0; from < len(order); {
		first, to := &c.parts[order[from]], from
		for to < len(order) && c.parts[order[to]].Accelerator == first.Accelerator && c.parts[order[to]].StartNS-first.StartNS <= int64(c.w.Space.StartWithin) {
			to++
		}
		group := slices.Clone(order[from:to])
		for _, i := range group {
			c.weigh(order[from], i)
		}
		c.sorted(group, func(a, b *part) int { return cmp.Compare(a.EndNS, b.EndNS) })
		c.sorted(group, func(a, b *part) int { return cmp.Compare(a.rhythm.PeriodNS, b.rhythm.PeriodNS) })
		from = to
	}
}

// rhythms weighs parts of one period.
func (c *candidates) rhythms() {
	var known []int
	for i := range c.parts {
		if c.parts[i].rhythm.PeriodNS > 0 {
			known = append(known, i)
		}
	}
	c.sorted(known, func(a, b *part) int {
		return cmp.Or(cmp.Compare(a.Accelerator, b.Accelerator), cmp.Compare(a.rhythm.PeriodNS, b.rhythm.PeriodNS))
	})
}

// sorted weighs neighbours in the given order, of equals in that of the parts.
func (c *candidates) sorted(list []int, by func(a, b *part) int) {
	slices.SortFunc(list, func(i, j int) int { return cmp.Or(by(&c.parts[i], &c.parts[j]), cmp.Compare(i, j)) })
	c.neighbours(list)
}

func (c *candidates) order(by func(a, b *part) int) []int {
	list := make([]int, len(c.parts))
	for i := range list {
		list[i] = i
	}
	slices.SortFunc(list, func(i, j int) int { return cmp.Or(by(&c.parts[i], &c.parts[j]), cmp.Compare(i, j)) })
	return list
}

// peers weighs parts of which one saw traffic with a host of the other.
func (c *candidates) peers() {
	on := map[string][]int{}
	talk := false
	for i := range c.parts {
		talk = talk || len(c.parts[i].peers) > 0
	}
	if !talk {
		return
	}
	for i := range c.parts {
		for _, host := range c.parts[i].Hosts {
			on[host] = append(on[host], i)
		}
	}
	for i := range c.parts {
		looked := 0
		for _, p := range c.parts[i].peers {
			if has(c.parts[i].Hosts, p.Host) {
				continue
			}
			if looked++; looked > maxPeers {
				break
			}
			// Parts on a host are ordered by start: the last ones that began before
			// this one ended may be the other side.
			list := on[p.Host]
			end, _ := slices.BinarySearchFunc(list, c.parts[i].EndNS, func(j int, ns int64) int { return cmp.Compare(c.parts[j].StartNS, ns) })
			for _, j := range list[max(0, end-reach):end] {
				c.weigh(i, j)
			}
		}
	}
}

func has(ordered []string, word string) bool {
	_, ok := slices.BinarySearch(ordered, word)
	return ok
}
