package ingest

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/allocation"
	"github.com/flopwatch/flopwatch/pkg/evidence"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// With this variable set to a directory the test program is a collector, which
// the kill test starts and kills.
const collectorEnv = "FLOPWATCH_TEST_COLLECTOR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(collectorEnv); dir != "" {
		if err := collect(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// collect runs broker, store and ingest until it is told to stop.
func collect(dir string) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	port, err := strconv.Atoi(os.Getenv(collectorEnv + "_PORT"))
	if err != nil {
		return err
	}
	b, err := broker.Start(ctx, broker.Options{Dir: filepath.Join(dir, "broker"), Port: port})
	if err != nil {
		return err
	}
	s, err := store.Open(ctx, filepath.Join(dir, "flopwatch.db"), store.Options{Postgres: os.Getenv(collectorEnv + "_STORE")})
	if err != nil {
		return errors.Join(err, b.Close())
	}
	cfg := Config{Store: s, Conn: b.Conn(), Key: key("collector"), Collector: "c", Interval: 20 * time.Millisecond}
	if os.Getenv(collectorEnv+"_CARRY") != "" {
		cfg.Carry = func(int64) time.Duration { return time.Second } // as in a fleet that is large
	}
	in, err := New(cfg)
	var wait sync.WaitGroup
	if hosts := os.Getenv(collectorEnv + "_ALLOCATE"); hosts != "" && err == nil {
		wait.Go(func() { keepAllocating(ctx, in, strings.Split(hosts, ",")) })
	}
	if err == nil {
		err = in.Run(ctx)
	}
	wait.Wait()
	return errors.Join(err, s.Close(), b.Close())
}

// keepAllocating gives the hosts to one tenant after another until it is told to
// stop. What it is killed in the middle of, the next one does again.
func keepAllocating(ctx context.Context, in *Ingest, hosts []string) {
	for n := os.Getpid(); ctx.Err() == nil; n++ {
		var all []allocation.Allocation
		for i, host := range hosts {
			all = append(all, allocation.Allocation{ID: host, Host: host, Tenant: measure.TenantID(fmt.Sprint("t", (n+i)%5)), FromNS: startNS + int64(n%100)*second})
		}
		if _, err := in.PutAllocations(ctx, all, false); err != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// child is one collector process.
type child struct {
	cmd    *exec.Cmd
	stderr strings.Builder
	killAt time.Time
}

func startChild(t *testing.T, dir string, port int, env ...string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0]), killAt: time.Now().Add(time.Duration(50+rand.IntN(250)) * time.Millisecond)}
	c.cmd.Env = append(os.Environ(), append(env, collectorEnv+"="+dir, fmt.Sprintf("%s_PORT=%d", collectorEnv, port), collectorEnv+"_STORE="+database(t, dir))...)
	c.cmd.Stderr = &c.stderr
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return c
}

// end sends the signal and waits. A collector that ended by itself is a fault.
func (c *child) end(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		t.Fatalf("the collector ended by itself: %v: %s", c.cmd.Wait(), c.stderr.String())
	}
	err := c.cmd.Wait()
	var exit *exec.ExitError
	killed := errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL
	if !killed && (s == syscall.SIGKILL || err != nil) {
		t.Fatalf("the collector ended with %v: %s", err, c.stderr.String())
	}
}

const kills = 24

// Invariant I4: the collector, its broker and its database are killed at random
// points under a feed that resends. The ledger and the evidence end up as those
// of a feed that nobody disturbed, to the last unit.
func TestKilledAtRandomPoints(t *testing.T) {
	senders := feed(t, 5, 600)
	dir := killed(t, senders, kills)
	calm := calmly(t, senders)
	want, got := dump(t, calm), dump(t, dir)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the ledger differs (-undisturbed +killed):\n%s", diff)
	}
	checkEvidence(t, dir, senders)
	if len(want) < 10 {
		t.Errorf("the ledger has only %d rows", len(want))
	}
}

// The same where rows stay behind what was counted, as in a large fleet: what is
// carried is there after each kill, and in the end nothing is.
func TestKilledWhileCarrying(t *testing.T) {
	senders := feed(t, 5, 600)
	dir := killed(t, senders, kills/2, collectorEnv+"_CARRY=1")
	if diff := cmp.Diff(dump(t, calmly(t, senders)), dump(t, dir)); diff != "" {
		t.Errorf("the ledger differs (-undisturbed +killed):\n%s", diff)
	}
	checkEvidence(t, dir, senders)
	if left := rows(t, dir, "SELECT CAST(host AS TEXT) FROM carried"); len(left) > 0 {
		t.Errorf("hosts %v are carried after the end", left)
	}
}

// Hosts are given to one tenant after another while the collector is killed. At
// the end each device has what it has without allocations and kills, the ledger
// balances, and one more allocation gives everything to its tenant.
func TestKilledWhileAllocating(t *testing.T) {
	senders := feed(t, 3, 400)
	var hosts []string
	var last []allocation.Allocation
	for _, s := range senders {
		hosts = append(hosts, s.host.id)
		last = append(last, allocation.Allocation{ID: s.host.id, Host: s.host.id, Tenant: "last", FromNS: 1})
	}
	dir := killed(t, senders, kills/2, collectorEnv+"_ALLOCATE="+strings.Join(hosts, ","))
	const held = `SELECT concat_ws(' ', h.id, d.id, d.last_ns - d.first_ns, d.recent_ops, sum(s.duration_ns), sum(s.ops_low), sum(s.ops_best), sum(s.ops_high), sum(s.ceiling))
		FROM %s s JOIN device d ON d.no = s.device JOIN host h ON h.no = d.host GROUP BY d.no, h.id ORDER BY h.id, d.id`
	want := rows(t, calmly(t, senders), fmt.Sprintf(held, "segment"))
	for _, from := range []string{"segment", "counted"} {
		if diff := cmp.Diff(want, rows(t, dir, fmt.Sprintf(held, from))); diff != "" {
			t.Errorf("%s differs (-undisturbed +killed):\n%s", from, diff)
		}
	}
	if n := rows(t, dir, "SELECT CAST(count(*) AS TEXT) FROM correction"); n[0] == "0" {
		t.Error("nothing was corrected, so this test shows nothing")
	}
	s := openStore(t, dir)
	if _, err := s.PutAllocations(t.Context(), last, now, false); err != nil {
		t.Fatal(err)
	}
	check, err := store.NewReader(s, "", false).Check(t.Context())
	if err != nil || !check.Balanced {
		t.Errorf("check %+v: %v", check, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if owners := rows(t, dir, "SELECT DISTINCT t.id FROM counted c JOIN tenant t ON t.no = c.tenant"); !slices.Equal(owners, []string{"last"}) {
		t.Errorf("owners %v", owners)
	}
	checkEvidence(t, dir, senders)
}

// calmly returns a directory with the ledger that nobody disturbed.
func calmly(t *testing.T, senders []*sender) string {
	t.Helper()
	dir := t.TempDir()
	s := openStore(t, dir)
	if _, err := s.Checkpoint(t.Context(), store.Checkpoint{At: time.Now(), Changes: undisturbed(t, senders).Take()}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// killed feeds a collector that is killed again and again until all is receipted,
// and returns its directory.
func killed(t *testing.T, senders []*sender, kills int, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	port := freePort(t)
	first, err := broker.Start(t.Context(), broker.Options{Dir: filepath.Join(dir, "broker")}) // makes the agents' key
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	receipts := make(chan *nats.Msg, 4096)
	agents := connectAgents(t, first.AgentSeedFile(), port, senders, receipts)
	collector := key("collector").Public().(ed25519.PublicKey)

	byID := map[string]*sender{}
	for _, s := range senders {
		byID[wire.ReceiptSubject(s.host.id)] = s
	}
	c := startChild(t, dir, port, env...)
	killed, deadline := 0, time.Now().Add(5*time.Minute)
	for open := len(senders); open > 0 || killed < kills; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not done after five minutes: %d kills, %d hosts open: %s", killed, open, c.stderr.String())
		}
		for len(receipts) > 0 {
			m := <-receipts
			if err := byID[m.Subject].receipt(collector, m.Data); err != nil {
				t.Fatal(err)
			}
		}
		window := 3 // slow enough to be killed in the middle
		if killed >= kills {
			window = 200
		}
		open = 0
		for _, s := range senders {
			if s.done < len(s.envelopes) {
				open++
			}
			if err := s.push(agents, window, 60*time.Millisecond); err != nil {
				s.sent = s.done // the broker is down: send again
			}
		}
		if killed < kills && time.Now().After(c.killAt) {
			if open == 0 {
				t.Fatalf("the feed was through after %d kills", killed)
			}
			c.end(t, syscall.SIGKILL)
			killed++
			c = startChild(t, dir, port, env...)
		}
	}
	c.end(t, syscall.SIGTERM)
	return dir
}

// feed makes hosts with chains of batches, some with a hole in the account or a
// new epoch before them.
func feed(t *testing.T, hosts, batches int) []*sender {
	var all []*sender
	for i := range hosts {
		h := newHost(fmt.Sprintf("host %d", i), 2)
		var envelopes [][]byte
		for n := range batches {
			switch {
			case n%97 == 50:
				h.atNS += 35 * second
			case n%89 == 40:
				h.epoch, h.seq = h.epoch+1, 0
			case n%83 == 30:
				h.atNS -= 7 * second
			}
			envelopes = append(envelopes, h.next(t, 1+n%4))
		}
		all = append(all, newSender(t, h, envelopes))
	}
	return all
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}

func connectAgents(t *testing.T, seed string, port int, senders []*sender, receipts chan *nats.Msg) *nats.Conn {
	t.Helper()
	option, err := nats.NkeyOptionFromSeed(seed)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	c, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", port), option, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); <-closed })
	for _, s := range senders {
		if _, err := c.ChanSubscribe(wire.ReceiptSubject(s.host.id), receipts); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// dump returns every account and segment as one line each, without numbers that
// depend on which host came first.
func dump(t *testing.T, dir string) []string {
	t.Helper()
	all := rows(t, dir, `
		SELECT concat_ws(' ', 'segment', host, device, state, workload, tenant, method, start_ns, end_ns, duration_ns, ops_low, ops_best, ops_high, ceiling, energy_mj)
		FROM segment_full UNION ALL
		SELECT concat_ws(' ', 'device', h.id, d.id, d.first_ns, d.last_ns, overlap_ns, windows, recent_ops, recent_ns) FROM device d JOIN host h ON h.no = d.host UNION ALL
		SELECT concat_ws(' ', 'host', id, epoch, seq, hex(hash), first_ns, last_ns, batches) FROM host UNION ALL
		SELECT concat_ws(' ', 'quarantine', host, reason) FROM quarantine`)
	slices.Sort(all)
	return all
}

// checkEvidence expects each envelope once, and those of a host in their order.
func checkEvidence(t *testing.T, dir string, senders []*sender) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "evidence", "*.fwe"))
	if err != nil {
		t.Fatal(err)
	}
	place := map[string][2]int{}
	for i, s := range senders {
		for j, e := range s.envelopes {
			place[string(e)] = [2]int{i, j}
		}
	}
	next := make([]int, len(senders))
	for _, path := range files {
		file, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range evidence.Frames(file) {
			if err != nil {
				t.Fatal(err)
			}
			at, ok := place[string(e)]
			if !ok || next[at[0]] != at[1] {
				t.Fatalf("evidence of host %d: batch %d where %d is due", at[0], at[1], next[at[0]])
			}
			next[at[0]]++
		}
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	}
	for i, s := range senders {
		if next[i] != len(s.envelopes) {
			t.Errorf("evidence of host %d: %d batches of %d", i, next[i], len(s.envelopes))
		}
	}
}
