package flopwatch_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// killPostgres kills the database with all that it does, and starts it again. A
// collector that does not know whether its last checkpoint holds ends, and is started
// again, as systemd would.
func (c *cluster) killPostgres() {
	c.Helper()
	was := c.rows("SELECT id || ' ' || batches FROM host ORDER BY id")
	c.postgres.Kill(c.T)
	_ = c.db.Close(c.Context()) // its other end is gone
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		c.remember() // hosts go on meanwhile
	}
	c.postgres.Again(c.T)
	c.connect()
	// No receipt may be ahead of what the database has after its recovery.
	for i, row := range c.rows("SELECT id || ' ' || batches FROM host ORDER BY id") {
		var id, before string
		var had, has int
		if _, err := fmt.Sscan(was[i], &before, &had); err != nil {
			c.Fatal(err)
		}
		if _, err := fmt.Sscan(row, &id, &has); err != nil || id != before || has < had {
			c.Errorf("after kill -9 the database has %s, and had %s: %v", row, was[i], err)
		}
	}
	restarted := 0
	c.movesWhile("kill -9 of PostgreSQL", func() { restarted += c.revive() })
	c.Logf("kill -9 of PostgreSQL: %d collectors ended and were started again", restarted)
}

// revive starts collectors again that ended by themselves.
func (c *cluster) revive() (n int) {
	c.Helper()
	for i, cmd := range c.collectors {
		if ended(cmd.Process.Pid) {
			_ = cmd.Wait() // it told its error in its log
			c.startCollector(i)
			n++
		}
	}
	return n
}

// ended says whether a process that nobody waited for is over.
func ended(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	_, after, _ := strings.Cut(string(text), ") ")
	return strings.HasPrefix(after, "Z")
}

// owners are the processes that a collector by name has had.
const ownedBy = "SELECT no || ' ' || fence FROM partition_lease WHERE owner IN (SELECT id FROM collector WHERE name = ANY($1)) ORDER BY no"

// moves expects that the batches of every host go on to be counted.
func (c *cluster) moves(after string) {
	c.Helper()
	c.movesWhile(after, func() {})
}

func (c *cluster) movesWhile(after string, meanwhile func()) {
	c.Helper()
	was := c.rows("SELECT id || ' ' || batches FROM host ORDER BY id")
	took := c.wait("every host is counted after "+after, 2*time.Minute, func() bool {
		meanwhile()
		now := c.rows("SELECT id || ' ' || batches FROM host ORDER BY id")
		return len(now) == len(c.agents) && !slices.ContainsFunc(now, func(row string) bool { return slices.Contains(was, row) })
	})
	c.Logf("after %s every host is counted again within %s", after, took.Round(10*time.Millisecond))
	c.note(strings.TrimRight(after, " 123,c"), took)
}

// killCollectors kills some at once and reports how long it takes until others
// have all of their partitions.
func (c *cluster) killCollectors(which ...int) {
	c.Helper()
	var names []string
	for _, i := range which {
		names = append(names, fmt.Sprint("c", i+1))
	}
	if c.revive() > 0 { // one that noticed late that the database was gone
		c.ready()
	}
	held := c.rows(ownedBy, names)
	for _, i := range which {
		kill(c.T, c.collectors[i])
	}
	took := c.wait("take-over", 2*time.Minute, func() bool {
		now := c.rows(ownedBy, names)
		return !slices.ContainsFunc(held, func(row string) bool { return slices.Contains(now, row) })
	})
	c.Logf("kill -9 of %s: %d partitions taken over within %s", strings.Join(names, ", "), len(held), took.Round(10*time.Millisecond))
	c.note(fmt.Sprintf("take-over from %d killed", len(which)), took)
	c.moves(fmt.Sprintf("take-over of %s", strings.Join(names, ", ")))
	for _, i := range which {
		c.startCollector(i)
	}
}
