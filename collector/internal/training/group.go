package training

import (
	"maps"
	"slices"
)

// groups is a union of sets that keeps apart what must be.
type groups struct {
	parent []int
	size   []int
	apart  []map[int]bool // of each root: roots that must not come to it
}

func newGroups(n int) *groups {
	g := &groups{parent: make([]int, n), size: make([]int, n), apart: make([]map[int]bool, n)}
	for i := range g.parent {
		g.parent[i], g.size[i] = i, 1
	}
	return g
}

// clone returns a copy that shares nothing.
func (g *groups) clone() *groups {
	c := &groups{parent: slices.Clone(g.parent), size: slices.Clone(g.size), apart: make([]map[int]bool, len(g.apart))}
	for i, others := range g.apart {
		c.apart[i] = maps.Clone(others)
	}
	return c
}

func (g *groups) root(i int) int {
	for g.parent[i] != i {
		g.parent[i] = g.parent[g.parent[i]]
		i = g.parent[i]
	}
	return i
}

// keepApart forbids that i and j come together, if they are not yet.
func (g *groups) keepApart(i, j int) {
	i, j = g.root(i), g.root(j)
	if i == j {
		return
	}
	for _, at := range [][2]int{{i, j}, {j, i}} {
		if g.apart[at[0]] == nil {
			g.apart[at[0]] = map[int]bool{}
		}
		g.apart[at[0]][at[1]] = true
	}
}

// may reports whether joining i and j brings nothing together that is kept apart.
func (g *groups) may(i, j int) bool { return !g.apart[g.root(i)][g.root(j)] }

// join brings i and j together and reports whether that changed anything.
func (g *groups) join(i, j int) bool {
	i, j = g.root(i), g.root(j)
	if i == j || g.apart[i][j] {
		return false
	}
	if g.size[i] < g.size[j] {
		i, j = j, i
	}
	g.parent[j] = i
	g.size[i] += g.size[j]
	for other := range g.apart[j] {
		delete(g.apart[other], j)
		g.apart[other][i] = true
		if g.apart[i] == nil {
			g.apart[i] = map[int]bool{}
		}
		g.apart[i][other] = true
	}
	g.apart[j] = nil
	return true
}
