package flopwatch_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
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

// Three collectors on three brokers and one database: each part is killed in turn,
// two collectors at once, the database too, and a broker is cut off. Nothing is lost or counted twice, and
// no two collectors count one partition. CLUSTER_ROUNDS sets how often.
func TestClusterChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a dozen programs")
	}
	c := startCluster(t, 6)
	settled := time.Now()
	c.wait("hosts are counted by several collectors", 3*time.Minute, func() bool {
		owners := c.rows("SELECT DISTINCT owner FROM partition_lease WHERE owner <> ''")
		counted := len(c.rows("SELECT id FROM host")) == len(c.agents)
		if counted && len(owners) == 1 && time.Since(settled) > 15*time.Second {
			// Where a host is counted follows from its key: one time in a hundred all six are
			// of the partitions of one collector.
			c.addHost()
			settled = time.Now()
		}
		return counted && len(owners) >= 2
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
