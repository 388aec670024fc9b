package training

import (
	"cmp"
	"math"
	"slices"
)

// reach is with how many neighbours in order a candidate is weighed. What is
// alike lies side by side, so a few are enough, and the work stays linear.
const reach = 4

// maxPeers is how many of its peers a part is weighed with.
const maxPeers = 16

// edge is a pair of parts whose evidence reaches the threshold. A fleet has
// millions, so it keeps the sum alone; what it is made of is weighed again for
// the few that become joins.
type edge struct {
	from, to int32 // from begins earlier
	bits     int32
}

// candidates weighs parts of one tenant that ran at the same time and share
// something.
type candidates struct {
	parts []part
	w     *Weights
	pairs []uint64 // both indexes, the smaller first; some are there several times
}

// spaceEdges returns the pairs to join, the strongest first.
func spaceEdges(parts []part, w *Weights) []edge {
	c := &candidates{parts: parts, w: w}
	c.shared(func(p *part) []string { return p.communicators })
	c.shared(func(p *part) []string { return p.fabrics })
	c.shared(func(p *part) []string { return appendKnown(nil, p.Workload.Hint) })
	c.starts()
	c.rhythms()
	c.peers()
	slices.Sort(c.pairs)
	c.pairs = slices.Compact(c.pairs)
	var edges []edge
	for _, pair := range c.pairs {
		i, j := int32(pair>>32), int32(pair&math.MaxUint32)
		if s := inSpace(&parts[i], &parts[j], w, false); s.bits >= w.Threshold {
			edges = append(edges, edge{i, j, int32(s.bits)})
		}
	}
	slices.SortFunc(edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(b.bits, a.bits), cmp.Compare(a.from, b.from), cmp.Compare(a.to, b.to))
	})
	return edges
}

// weigh notes a pair that is to be weighed. Parts are ordered by start, so the
// smaller index began earlier.
func (c *candidates) weigh(i, j int) {
	if i > j {
		i, j = j, i
	}
	if i != j && c.parts[j].StartNS <= c.parts[i].EndNS {
		c.pairs = append(c.pairs, uint64(i)<<32|uint64(j))
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
// on the same accelerator: with the first, with the next, and with those
// that stopped when they did or beat as they do.
func (c *candidates) starts() {
	order := c.order(func(a, b *part) int { return cmp.Compare(a.Accelerator, b.Accelerator) })
	for from := 0; from < len(order); {
		first, to := &c.parts[order[from]], from
		for to < len(order) && c.parts[order[to]].Accelerator == first.Accelerator && c.parts[order[to]].StartNS-first.StartNS <= int64(c.w.Space.StartNearWithin) {
			to++
		}
		group := slices.Clone(order[from:to])
		for _, i := range group {
			c.weigh(order[from], i)
		}
		c.neighbours(group)
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
