package flopwatch_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/flopwatch/flopwatch/pkg/pgtest"
)

// cluster is three brokers, three collectors and a database, started as
// deploy/cluster does, and hosts that report to them.
type cluster struct {
	*testing.T
	dir, script, store string
	env                []string
	spaces             []string // network namespace of each broker, none where none can be made
	collectors         []*exec.Cmd
	brokers            []*exec.Cmd
	agents             []*exec.Cmd
	seen               map[string]bool // durable on hosts
	postgres           *pgtest.Server
	db                 *pgx.Conn
	times              map[string][]time.Duration // by what happened, until every host is counted again
}

func startCluster(t *testing.T, hosts int) *cluster {
	t.Helper()
	script, err := filepath.Abs("deploy/cluster/cluster.sh")
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{T: t, dir: t.TempDir(), script: script, seen: map[string]bool{}, collectors: make([]*exec.Cmd, 3), brokers: make([]*exec.Cmd, 3)}
	if out, err := exec.Command("go", "build", "-o", filepath.Join(programs, "nats-server"), "github.com/nats-io/nats-server/v2").CombinedOutput(); err != nil {
		t.Fatalf("build the NATS server: %v: %s", err, out)
	}
	c.postgres, c.times = pgtest.New(t, "cluster"), map[string][]time.Duration{}
	c.store = c.postgres.URL("cluster")
	c.run("flopwatch-collector", "migrate", "--to", c.store)
	addresses := c.networks()
	c.env = append(os.Environ(), "DIR="+c.dir, "STORE="+c.store, "PROGRAMS="+programs, "ADDRESS="+addresses, "PARTITIONS=8", fmt.Sprint("PORT=", 20000+rand.IntN(20000)))
	c.prepare()
	for i := range 3 {
		c.startBroker(i)
	}
	for i := range 3 {
		c.startCollector(i)
	}
	c.ready()
	c.connect()
	t.Cleanup(func() { _ = c.db.Close(context.WithoutCancel(t.Context())) })
	scene := filepath.Join(c.dir, "scene")
	if err := os.WriteFile(scene, []byte(pairScene), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("FAKE_NVML", scene)
	for i := range hosts {
		c.enroll(i)
	}
	c.sh("users")
	c.agents = make([]*exec.Cmd, hosts)
	for i := range hosts {
		c.startHost(i)
	}
	return c
}

func (c *cluster) startHost(i int) {
	c.Helper()
	name := fmt.Sprint("host", i)
	c.agents[i] = start(c.T, c.dir, "flopwatch-agent", "run", "--endpoint", name+".json", "--data", name,
		"--library", filepath.Join(programs, "libnvml-standin.so"), "--period", "200ms", "--window", "200ms")
}

// stopHosts stops the hosts. What an agent has no receipt for within seconds stays in
// its spool.
func (c *cluster) stopHosts() {
	c.Helper()
	for _, a := range c.agents {
		c.remember()
		interrupt(c.T, a)
	}
	c.remember()
}

func (c *cluster) run(name string, args ...string) string {
	c.Helper()
	cmd := exec.Command(filepath.Join(programs, name), args...)
	cmd.Dir = c.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (c *cluster) sh(args ...string) {
	c.Helper()
	cmd := exec.Command(c.script, args...)
	cmd.Env = c.env
	if out, err := cmd.CombinedOutput(); err != nil {
		c.Fatalf("cluster.sh %v: %v\n%s", args, err, out)
	}
}

func (c *cluster) prepare() { c.Helper(); c.sh("prepare") }

// ready waits until every collector answers.
func (c *cluster) ready() {
	c.Helper()
	for i := range 3 {
		c.wait(fmt.Sprintf("collector %d answers", i+1), 2*time.Minute, func() bool {
			return exec.Command(filepath.Join(programs, "flopwatchctl"), "--data", filepath.Join(c.dir, fmt.Sprint("collector", i+1)), "status").Run() == nil
		})
	}
}

// networks gives each broker a network namespace where that can be done, so that it
// can be cut off, and returns the addresses.
func (c *cluster) networks() string {
	loopback := "127.0.0.1 127.0.0.1 127.0.0.1"
	if os.Getuid() != 0 {
		return loopback
	}
	ip := func(args ...string) error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
		return nil
	}
	id, net := os.Getpid()%100000, fmt.Sprintf("10.%d.%d", 200+rand.IntN(50), rand.IntN(250))
	bridge := fmt.Sprint("fwb", id)
	if err := ip("link", "add", bridge, "type", "bridge"); err != nil {
		c.Logf("no broker can be cut off here: %v", err)
		return loopback
	}
	c.Cleanup(func() { _ = ip("link", "del", bridge) })
	var addresses, spaces []string
	for i := range 3 {
		space, address := fmt.Sprintf("fwcl%d%d", id, i), fmt.Sprintf("%s.%d", net, i+1)
		outer, inner := fmt.Sprintf("fwo%d%d", id, i), fmt.Sprintf("fwi%d%d", id, i)
		c.Cleanup(func() { _ = ip("netns", "del", space) })
		for _, step := range [][]string{
			{"netns", "add", space}, {"link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space}, {"link", "set", outer, "master", bridge},
			{"link", "set", outer, "up"}, {"-n", space, "link", "set", "lo", "up"}, {"-n", space, "addr", "add", address + "/24", "dev", inner}, {"-n", space, "link", "set", inner, "up"},
		} {
			if err := ip(step...); err != nil {
				c.Logf("no broker can be cut off here: %v", err)
				return loopback
			}
		}
		addresses, spaces = append(addresses, address), append(spaces, space)
	}
	if err := ip("addr", "add", net+".254/24", "dev", bridge); err != nil {
		c.Logf("no broker can be cut off here: %v", err)
		return loopback
	}
	if err := ip("link", "set", bridge, "up"); err != nil {
		c.Logf("no broker can be cut off here: %v", err)
		return loopback
	}
	c.spaces = spaces
	return strings.Join(addresses, " ")
}

// cut takes a broker's network away, or gives it back.
func (c *cluster) cut(i int, state string) {
	c.Helper()
	inner := fmt.Sprintf("fwi%s", strings.TrimPrefix(c.spaces[i], "fwcl"))
	if out, err := exec.Command("ip", "-n", c.spaces[i], "link", "set", inner, state).CombinedOutput(); err != nil {
		c.Fatalf("%v: %s", err, out)
	}
}

func (c *cluster) part(name string, i int, wrap ...string) *exec.Cmd {
	c.Helper()
	args := append(wrap, c.script, name, fmt.Sprint(i+1))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = c.env
	log, err := os.OpenFile(filepath.Join(c.dir, fmt.Sprint(name, i+1, ".log")), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.Fatal(err)
	}
	cmd.Stderr, cmd.Stdout = log, log
	err = cmd.Start()
	_ = log.Close()
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		if cmd.ProcessState == nil {
			kill(c.T, cmd)
		}
		if c.Failed() {
			c.Logf("%s: %s%s", log.Name(), tail(log.Name()), tail(filepath.Join(c.dir, fmt.Sprint(name, i+1), "log")))
		}
	})
	return cmd
}

func tail(path string) string {
	data, _ := os.ReadFile(path)
	return string(data[max(0, len(data)-3000):])
}

func (c *cluster) startBroker(i int) {
	c.Helper()
	var wrap []string
	if c.spaces != nil {
		wrap = []string{"ip", "netns", "exec", c.spaces[i]}
	}
	c.brokers[i] = c.part("broker", i, wrap...)
}

func (c *cluster) startCollector(i int) { c.Helper(); c.collectors[i] = c.part("collector", i) }

func (c *cluster) enroll(i int) {
	c.Helper()
	name := fmt.Sprint("host", i)
	out := c.run("flopwatchctl", "--data", "collector1", "hosts", "invite", "--name", name, "--devices", "2", "--out", name+".token")
	server := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).FindString(out)
	c.run("flopwatch-agent", "enroll", "--server", server, "--token", name+".token", "--endpoint", name+".json", "--keys", name+".keys", "--data", name)
}

// remember notes what the spools hold.
func (c *cluster) remember() {
	for i := range c.agents {
		remember(c.T, filepath.Join(c.dir, fmt.Sprint("host", i), "spool"), c.seen)
	}
}

func (c *cluster) wait(what string, limit time.Duration, done func() bool) time.Duration {
	c.Helper()
	began := time.Now()
	for !done() {
		c.remember()
		if time.Since(began) > limit {
			if c.db == nil {
				c.Fatalf("%s: not within %s", what, limit)
			}
			c.Fatalf("%s: not within %s; leases: %v", what, limit, c.rows("SELECT concat_ws(' ', no, owner, fence) FROM partition_lease ORDER BY no"))
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(began)
}

func (c *cluster) rows(query string, args ...any) []string {
	c.Helper()
	found, err := c.db.Query(c.Context(), query, args...)
	if err != nil {
		c.Fatal(err)
	}
	out, err := pgx.CollectRows(found, pgx.RowTo[string])
	if err != nil {
		c.Fatal(err)
	}
	return out
}

// connect opens the connection by which the test looks at the database.
func (c *cluster) connect() {
	c.Helper()
	var err error
	if c.db, err = pgx.Connect(c.Context(), c.store); err != nil {
		c.Fatal(err)
	}
	if _, err := c.db.Exec(c.Context(), "SET search_path = flopwatch"); err != nil {
		c.Fatal(err)
	}
}

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

// note keeps how long something took, and report tells it of all rounds.
func (c *cluster) note(what string, took time.Duration) { c.times[what] = append(c.times[what], took) }

func (c *cluster) report() {
	c.Helper()
	for _, what := range slices.Sorted(maps.Keys(c.times)) {
		all := slices.Sorted(slices.Values(c.times[what]))
		c.Logf("%-50s %3d times: min %v, median %v, max %v", what, len(all), all[0].Round(10*time.Millisecond), all[len(all)/2].Round(10*time.Millisecond), all[len(all)-1].Round(10*time.Millisecond))
	}
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

// Three collectors on three brokers and one database: each part is killed in turn,
// two collectors at once, the database too, and a broker is cut off. Nothing is lost or counted twice, and
// no two collectors count one partition. CLUSTER_ROUNDS sets how often.
func TestClusterChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a dozen programs")
	}
	c := startCluster(t, 6)
	c.wait("hosts are counted by three collectors", 3*time.Minute, func() bool {
		owners := c.rows("SELECT DISTINCT owner FROM partition_lease WHERE owner <> ''")
		return len(c.rows("SELECT id FROM host")) == len(c.agents) && len(owners) >= 2
	})
	t.Logf("leases: %v", c.rows("SELECT concat_ws(' ', no, (SELECT name FROM collector WHERE id = owner)) FROM partition_lease ORDER BY no"))
	rounds := number(t, "CLUSTER_ROUNDS", 1)
	for range rounds {
		for i := range 3 {
			if rounds > 1 || i == 0 {
				kill(t, c.brokers[i])
				c.moves(fmt.Sprintf("kill -9 of broker %d", i+1))
				c.startBroker(i)
				c.moves(fmt.Sprintf("the start of broker %d", i+1))
			}
		}
		for i := range 3 {
			if rounds > 1 || i == 0 {
				c.killCollectors(i)
				c.moves("another start")
			}
		}
		c.killCollectors(1, 2)
		c.moves("two other starts")
		c.killPostgres()
		if c.spaces != nil {
			for i := range 3 {
				if rounds > 1 || i == 1 {
					c.cut(i, "down")
					for end := time.Now().Add(8 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
						c.remember() // long enough that everybody finds out
					}
					c.moves(fmt.Sprintf("the cutting off of broker %d", i+1))
					c.cut(i, "up")
					c.moves(fmt.Sprintf("the return of broker %d", i+1))
				}
			}
		}
	}
	c.judge()
	c.report()
}
