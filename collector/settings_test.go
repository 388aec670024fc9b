package collector

import (
	"bufio"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/flopwatch/flopwatch/collector/internal/approval"
	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/collector/internal/rollout"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/settings"
)

// simulated is an agent that hears of its settings, verifies and applies them,
// and reports what it runs.
type simulated struct {
	host    string
	conn    *nats.Conn
	mu      sync.Mutex
	current settings.Told
	applied time.Time
}

// fleetOf is a collector with an embedded broker and agents on connections of
// their own.
type fleetOf struct {
	t        *testing.T
	store    *store.Store
	teller   *teller
	agents   []*simulated
	together int             // agents in one process
	others   []*bufio.Reader // of processes in which agents run that this one has no room for
	start    time.Time
}

func agentsOf(t *testing.T, n int) *fleetOf { return agentsIn(t, n, roomFor) }

// agentsIn is agentsOf with so many agents in a process.
func agentsIn(t *testing.T, n, together int) *fleetOf {
	t.Helper()
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "flopwatch.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	bus, err := broker.Start(t.Context(), broker.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	f := &fleetOf{t: t, store: db, together: together, start: time.Now(), teller: newTeller(db, key, func(host string, envelope []byte) error { return broker.TellSettings(bus.Conn(), host, envelope) }, slog.New(slog.DiscardHandler))}
	seed, err := nats.NkeyOptionFromSeed(bus.AgentSeedFile())
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public().(ed25519.PublicKey)
	f.agents = make([]*simulated, n)
	if n > together {
		f.elsewhere(bus.URL(), bus.AgentSeedFile(), public)
	} else {
		connect(t, f.agents, 0, bus.URL(), seed, public)
	}
	t.Cleanup(func() {
		for _, a := range f.agents {
			if a.conn != nil {
				a.conn.Close()
			}
		}
		if err := bus.Close(); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	f.report()
	return f
}

// connect makes agents, numbered from first, each on a connection of its own.
func connect(t *testing.T, agents []*simulated, first int, url string, seed nats.Option, collector ed25519.PublicKey) {
	t.Helper()
	var connecting sync.WaitGroup
	faults := make(chan error, len(agents))
	next := make(chan int)
	for range 16 {
		connecting.Go(func() {
			for i := range next {
				a := &simulated{host: hostName(first + i)}
				agents[i] = a
				var err error
				a.conn, err = nats.Connect(url, seed, nats.Timeout(30*time.Second), nats.NoReconnect())
				if err == nil {
					_, err = a.conn.Subscribe(settings.Subject(a.host), func(m *nats.Msg) { a.take(collector, m.Data) })
				}
				if err == nil {
					err = a.conn.FlushTimeout(time.Minute)
				}
				if err != nil {
					faults <- err
				}
			}
		})
	}
	for i := range agents {
		next <- i
	}
	close(next)
	connecting.Wait()
	select {
	case err := <-faults:
		t.Fatal(err)
	default:
	}
}

func hostName(i int) string { return fmt.Sprintf("%s%05d", "aaaaaaaaaaaaaaaaaaaaa", i) }

// take is what an agent does with what it hears.
func (a *simulated) take(collector ed25519.PublicKey, envelope []byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	told, err := settings.Open(collector, a.host, a.current.Serial, envelope)
	if err != nil {
		return
	}
	if told.Version != a.current.Version {
		a.applied = time.Now()
	}
	a.current = told
}

// roomFor is how many agents one process has room for: each takes two
// descriptors, its own and the broker's.
const roomFor = 4_000

// elsewhere runs the agents in processes of their own, this test program again.
func (f *fleetOf) elsewhere(url, seedFile string, collector ed25519.PublicKey) {
	f.t.Helper()
	for first := 0; first < len(f.agents); first += f.together {
		last := min(len(f.agents), first+f.together)
		cmd := exec.CommandContext(f.t.Context(), os.Args[0], "-test.run=^TestAgentsElsewhere$", "-test.timeout=10m")
		cmd.Env = append(os.Environ(), "FLOPWATCH_AGENTS_ELSEWHERE="+fmt.Sprintf("%s %s %x %d %d", url, seedFile, []byte(collector), first, last))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			f.t.Fatal(err)
		}
		f.t.Cleanup(func() {
			if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				f.t.Error(err)
			}
			_ = cmd.Wait() // it was killed
		})
		f.others = append(f.others, bufio.NewReader(out))
		for i := first; i < last; i++ {
			f.agents[i] = &simulated{host: hostName(i)}
		}
	}
	for _, other := range f.others {
		if line, err := other.ReadString('\n'); line != "connected\n" {
			f.t.Fatalf("agents elsewhere say %q, %v", line, err)
		}
	}
}

// hear takes up what version the agents elsewhere run, and since when.
func (f *fleetOf) hear() {
	f.t.Helper()
	heard := 0
	for _, other := range f.others {
		for range min(f.together, len(f.agents)-heard) {
			var i, version int
			var ns int64
			line, err := other.ReadString('\n')
			if _, scan := fmt.Sscan(line, &i, &version, &ns); err != nil || scan != nil {
				f.t.Fatalf("agents elsewhere say %q, %v", line, err)
			}
			f.agents[i].current.Version, f.agents[i].applied = version, time.Unix(0, ns)
			heard++
		}
	}
}

// TestAgentsElsewhere is agents of another process's test. It tells when each ran
// version 1, and stays until it is killed.
func TestAgentsElsewhere(t *testing.T) {
	text := os.Getenv("FLOPWATCH_AGENTS_ELSEWHERE")
	if text == "" {
		t.Skip("runs as a part of make settings-reach")
	}
	var url, seedFile string
	var public []byte
	var first, last int
	if _, err := fmt.Sscanf(text, "%s %s %x %d %d", &url, &seedFile, &public, &first, &last); err != nil {
		t.Fatal(err)
	}
	seed, err := nats.NkeyOptionFromSeed(seedFile)
	if err != nil {
		t.Fatal(err)
	}
	agents := make([]*simulated, last-first)
	connect(t, agents, first, url, seed, public)
	fmt.Println("connected")
	for i, a := range agents {
		for {
			a.mu.Lock()
			version, at := a.current.Version, a.applied
			a.mu.Unlock()
			if version != 0 {
				fmt.Println(first+i, version, at.UnixNano())
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	select {} // until it is killed
}

// report commits what every agent runs, as a batch of each would.
func (f *fleetOf) report() {
	f.t.Helper()
	now := time.Now()
	var c store.Checkpoint
	c.At = now
	for i, a := range f.agents {
		a.mu.Lock()
		version := a.current.Version
		a.mu.Unlock()
		c.Changes.Hosts = append(c.Changes.Hosts, ledger.Host{No: int64(i + 1), ID: ledger.HostID(a.host), PublicKey: make([]byte, ed25519.PublicKeySize), Name: a.host, Settings: version,
			FirstNS: f.start.UnixNano(), LastNS: now.UnixNano(), Batches: 1, Position: ledger.Position{Epoch: 1, Seq: 1}, Before: ledger.Position{Epoch: 1, Seq: 1}})
	}
	if _, err := f.store.Checkpoint(f.t.Context(), c, f.teller); err != nil {
		f.t.Fatal(err)
	}
}

// approve puts a text in force, by two people.
func (f *fleetOf) approve(text string) {
	f.t.Helper()
	f.schedule(text, time.Now())
}

// schedule has a text come into force at an instant, by two people.
func (f *fleetOf) schedule(text string, from time.Time) {
	f.t.Helper()
	p, err := readText("settings", "s.yaml", text)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx := audit.With(f.t.Context(), audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: "usr_ana"}})
	made, err := f.store.CreatePolicy(ctx, p)
	if err == nil {
		_, err = f.store.ActOnPolicy(ctx, made.ID, 0, "propose", "", func(p draft.Policy, _ []draft.Policy, now time.Time) (draft.Policy, error) {
			return p.Propose("usr_ana", "because", from, now, 0)
		})
	}
	if err == nil {
		_, err = f.store.ActOnPolicy(ctx, made.ID, 0, "approve", "", func(p draft.Policy, _ []draft.Policy, now time.Time) (draft.Policy, error) {
			return p.Approve(approval.Approver{ID: "usr_ben", SignedIn: now}, p.Proposal.Digest, now)
		})
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fleetOf) look() {
	f.t.Helper()
	if err := f.teller.look(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// running counts the agents that run a version.
func (f *fleetOf) running(version int) int {
	n := 0
	for _, a := range f.agents {
		a.mu.Lock()
		if a.current.Version == version {
			n++
		}
		a.mu.Unlock()
	}
	return n
}

// A change reaches every agent. FLOPWATCH_AGENTS says how many, for
// make settings-reach.
func TestSettingsReachAgents(t *testing.T) {
	n := 100
	if text := os.Getenv("FLOPWATCH_AGENTS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	if n <= roomFor {
		t.Run("in this process", func(t *testing.T) { settingsReach(t, n, roomFor) })
	}
	t.Run("in processes of their own", func(t *testing.T) { settingsReach(t, n, min(roomFor, max(1, n/2))) })
}

func settingsReach(t *testing.T, n, together int) {
	f := agentsIn(t, n, together)
	f.look()
	f.approve("version: 1\ntitle: all at once\nlayers: [{sample_period: 2s}]\nrollout: {steps: [100], hold: 1m}\n")
	began := time.Now()
	f.look()
	f.hear()
	for f.running(1) < n {
		if time.Since(began) > 2*time.Minute {
			t.Fatalf("%d of %d run it", f.running(1), n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := make([]time.Duration, 0, n)
	for _, a := range f.agents {
		took = append(took, a.applied.Sub(began))
	}
	slices.Sort(took)
	t.Logf("%d agents: median %s, p99 %s, last %s after the change was seen; it is seen within %s", n, took[n/2], took[n*99/100], took[n-1], tellEvery)
	if limit := 30 * time.Second * time.Duration(max(1, n/10_000)); os.Getenv("FLOPWATCH_AGENTS") != "" && took[n-1]+tellEvery > limit {
		t.Errorf("the last agent runs it after %s, more than %s", took[n-1]+tellEvery, limit)
	}
	f.report()
	f.look()
	fleet, err := f.store.FleetSettings(t.Context(), time.Now(), false)
	if err != nil {
		t.Fatal(err)
	}
	if by, behind := fleet.Rollout.Converged(fleet.Text, fleet.Hosts); by[1] != n || len(behind) != 0 {
		t.Errorf("reported: %v, %d behind", by, len(behind))
	}
}

// While nothing is in force no host is looked at, however many come in; a text that
// comes into force later is noticed when it does.
func TestNothingInForceLooksAtNoHost(t *testing.T) {
	f := agentsOf(t, 3)
	at := time.Now()
	f.teller.now = func() time.Time { return at }
	f.look()
	read := f.teller.covered
	at = at.Add(2 * time.Minute)
	f.report()
	f.look()
	if f.teller.covered != read {
		t.Error("hosts were read while nothing is in force")
	}
	f.schedule("version: 1\ntitle: later\nlayers: [{sample_period: 2s}]\nrollout: {steps: [100], hold: 1m}\n", at.Add(time.Hour))
	f.look()
	if f.teller.fleet.Text != nil {
		t.Error("it is in force too early")
	}
	at = at.Add(time.Hour + time.Second)
	f.look()
	if f.teller.fleet.Text == nil || len(f.teller.fleet.Hosts) != 3 {
		t.Errorf("it is not in force an hour later: %+v", f.teller.fleet.Policy)
	}
	// A host that comes in later is told within a look.
	f.teller.cost = 0
	at = at.Add(time.Second)
	f.teller.reports["new"] = 0
	f.look()
	if f.teller.covered != at {
		t.Error("a new host was not looked at")
	}
}

// A version goes to one host in a hundred first; when they see less than the
// others it is stopped by itself, and they run what they ran before.
func TestBadSettingsAreStopped(t *testing.T) {
	f := agentsOf(t, 200)
	f.approve("version: 1\ntitle: good\nlayers: [{sample_period: 2s}]\nrollout: {steps: [100], hold: 1m}\n")
	at := time.Now()
	f.teller.now = func() time.Time { return at }
	settle := func(version, n int) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); f.running(version) != n; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d agents run version %d, want %d", f.running(version), version, n)
			}
		}
		f.report()
	}
	f.look()
	settle(1, 200)
	at = at.Add(2 * time.Minute)
	f.look()
	f.approve("version: 2\ntitle: bad\nlayers: [{sample_period: 4s}]\nrollout: {steps: [1, 10, 100], hold: 10m}\n")
	at = time.Now().Add(2 * time.Minute)
	f.look()
	few := 0
	for end := time.Now().Add(20 * time.Second); few == 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		few = f.running(2)
	}
	if few == 0 || few > 10 {
		t.Fatalf("%d of 200 got it first", few)
	}
	f.report()
	// The hosts with it fall silent: none of their time is observed.
	at = at.Add(time.Minute)
	f.look()
	fleet := f.teller.fleet
	for i := range fleet.Hosts {
		h := &fleet.Hosts[i]
		h.Elapsed += 60_000
		if h.Reports != 2 {
			h.Observed += 60_000
		}
	}
	at = at.Add(5 * time.Second) // before coverage is read anew
	f.look()
	if r := f.teller.fleet.Rollout; r.State != rollout.Stopped {
		t.Fatalf("%s: %s", r.State, r.Reason)
	}
	at = at.Add(time.Second)
	f.look()
	settle(1, 200)
	// It stays stopped for a collector that starts anew.
	again := newTeller(f.store, f.teller.key, f.teller.tell, f.teller.log)
	again.now = f.teller.now
	if err := again.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := again.fleet.Rollout; r.State != rollout.Stopped || r.Before != 1 {
		t.Errorf("%+v", r)
	}
}
