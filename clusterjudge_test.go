package flopwatch_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// note keeps how long something took, and report tells it of all rounds.
func (c *cluster) note(what string, took time.Duration) { c.times[what] = append(c.times[what], took) }

func (c *cluster) report() {
	c.Helper()
	for _, what := range slices.Sorted(maps.Keys(c.times)) {
		all := slices.Sorted(slices.Values(c.times[what]))
		c.Logf("%-50s %3d times: min %v, median %v, max %v", what, len(all), all[0].Round(10*time.Millisecond), all[len(all)/2].Round(10*time.Millisecond), all[len(all)-1].Round(10*time.Millisecond))
	}
}

// judge stops the hosts and expects that every batch that was durable on one was
// counted once, and under one fence.
func (c *cluster) judge() {
	c.Helper()
	c.stopHosts()
	shared := filepath.Join(c.dir, "shared")
	var counts map[string]int
	missing := 0
	counted := func(limit time.Duration) bool {
		for end := time.Now().Add(limit); ; time.Sleep(200 * time.Millisecond) {
			counts, missing = evidence(c.T, shared), 0
			for e := range c.seen {
				if counts[e] == 0 {
					missing++
				}
			}
			if missing == 0 || time.Now().After(end) {
				return missing == 0
			}
		}
	}
	holes := func() {
		c.Helper()
		for _, row := range c.rows("SELECT id || ' ' || batches || ' ' || seq FROM host WHERE batches <> seq AND epoch = 1") {
			c.Errorf("a host's chain has a hole: %s", row)
		}
	}
	holes()
	// A partition may be moving while a host stops: its spool has the rest, which it
	// sends when it starts again.
	for again := 0; !counted(20*time.Second) && again < 5; again++ {
		for i := range c.agents {
			c.startHost(i)
		}
		c.moves("hosts that started again")
		c.stopHosts()
	}
	twice := 0
	for _, n := range counts {
		if n > 1 {
			twice++
		}
	}
	terms := c.rows("SELECT concat_ws(' ', 'partition', no, 'fence', fence, 'by', split_part(c.name, ' ', 1), 'batches', batches) FROM partition_term t LEFT JOIN collector c ON c.id = t.owner ORDER BY no, fence")
	overlaps := c.rows(`SELECT concat_ws(' ', a.no, a.fence, b.fence) FROM partition_term a JOIN partition_term b ON b.no = a.no AND b.fence > a.fence
		WHERE a.checkpoints > 0 AND b.checkpoints > 0 AND b.first_revision <= a.last_revision`)
	sums := c.rows("SELECT concat_ws(' ', (SELECT sum(batches) FROM partition_term), (SELECT sum(batches) FROM host), (SELECT value FROM meta WHERE key = 'batches'))")
	var byTerm, byHost, all int
	if _, err := fmt.Sscan(sums[0], &byTerm, &byHost, &all); err != nil || byTerm != all || byHost != all {
		c.Errorf("batches by terms, hosts and in all: %s (%v)", sums[0], err)
	}
	c.Logf("%d durable batches: %d lost, %d counted twice; %d terms, %d overlap; batches by terms, hosts and in all: %s", len(c.seen), missing, twice, len(terms), len(overlaps), sums[0])
	if missing > 0 || twice > 0 || len(overlaps) > 0 || len(c.seen) < 20*len(c.agents) {
		c.Errorf("%d of %d durable batches lost, %d counted twice, overlaps %v\n%s", missing, len(c.seen), twice, overlaps, strings.Join(terms, "\n"))
	}
	for i := range 3 {
		c.Logf("%s", c.run("flopwatchctl", "--data", fmt.Sprint("collector", i+1), "ledger", "check"))
	}
	holes()
}
