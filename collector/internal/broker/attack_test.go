package broker

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

// fleet is an Access over a map.
type fleet struct {
	mu      sync.Mutex
	hosts   map[string]string // public nkey → host
	refused []string
	copied  []string
}

func (f *fleet) HostOf(nkey string) (string, bool, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	host, ok := f.hosts[nkey]
	return host, ok, "the key belongs to no host"
}

func (f *fleet) Refused(host, what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = append(f.refused, host+": "+what)
}

func (f *fleet) Copied(host, why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.copied = append(f.copied, host+": "+why)
	for nkey, h := range f.hosts {
		if h == host {
			delete(f.hosts, nkey)
		}
	}
}

func (f *fleet) KeysOf(host string) (keys []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for nkey, h := range f.hosts {
		if h == host {
			keys = append(keys, nkey)
		}
	}
	return keys
}

// Show knows no counters: package roster does.
func (f *fleet) Show(string, string) ([]byte, bool) { return nil, false }

func (f *fleet) Outdated(string, bool) {}

// told waits until a notice contains the text.
func (f *fleet) told(t *testing.T, text string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		f.mu.Lock()
		all := slices.Concat(f.refused, f.copied)
		f.mu.Unlock()
		if slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, text) }) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("nobody was told of %q, but of %q", text, all)
		}
	}
}

// enroll adds a host with a key of its own.
func (f *fleet) enroll(t *testing.T, host string) nkeys.KeyPair {
	t.Helper()
	key, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hosts == nil {
		f.hosts = map[string]string{}
	}
	f.hosts[public] = host
	return key
}

// member is one connected host.
type member struct {
	*nats.Conn
	faults chan error
}

func join(url string, key nkeys.KeyPair, extra ...nats.Option) (*member, error) {
	public, err := key.PublicKey()
	if err != nil {
		return nil, err
	}
	m := &member{faults: make(chan error, 64)}
	options := append([]nats.Option{nats.Nkey(public, key.Sign), nats.CustomInboxPrefix("receipt"),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { m.faults <- err })}, extra...)
	m.Conn, err = nats.Connect(url, options...)
	return m, err
}

func mustJoin(t *testing.T, url string, key nkeys.KeyPair, extra ...nats.Option) *member {
	t.Helper()
	m, err := join(url, key, extra...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// refuses runs the act and wants the server to refuse permission for it.
func (m *member) refuses(t *testing.T, what string, act func() error) {
	t.Helper()
	if err := act(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := m.Flush(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	// The server answers in order, so the refusal was read before the flush ended;
	// the library hands it on from another goroutine.
	select {
	case err := <-m.faults:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("%s: %v", what, err)
		}
	case <-time.After(30 * time.Second):
		t.Errorf("%s was allowed", what)
	}
}

const hostA, hostB = "aaaaaaaaaaaaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbbbbbbbbbbbb"

// bench is a server under attack: how to reach it and what is on it.
type bench struct {
	url  string
	a, b nkeys.KeyPair
	js   jetstream.JetStream
	tls  nats.Option                     // nil without
	told func(t *testing.T, text string) // nil where nobody is told
}

func embedded(t *testing.T) *bench {
	f := &fleet{}
	a, b := f.enroll(t, hostA), f.enroll(t, hostB)
	broker := start(t, Options{Dir: t.TempDir(), MaxPerHost: 10, Access: f, OwnKeysOnly: true})
	js, err := jetstream.New(broker.Conn())
	if err != nil {
		t.Fatal(err)
	}
	return &bench{url: broker.URL(), a: a, b: b, js: js, told: f.told}
}

func (s *bench) options() []nats.Option {
	if s.tls == nil {
		return nil
	}
	return []nats.Option{s.tls}
}

func (s *bench) join(t *testing.T, key nkeys.KeyPair) *member {
	t.Helper()
	return mustJoin(t, s.url, key, s.options()...)
}

func (s *bench) stored(t *testing.T, subject string) int {
	t.Helper()
	stream, err := s.js.Stream(t.Context(), wire.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(subject))
	if err != nil {
		t.Fatal(err)
	}
	return int(info.State.Subjects[subject])
}

func (s *bench) waitStored(t *testing.T, subject string, n int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); s.stored(t, subject) != n; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d messages on %s, want %d", s.stored(t, subject), subject, n)
		}
	}
}

// The attacks that were measured against the broker, by name, each refused. They
// run against any server that hosts connect to.
var attacks = []struct {
	name string
	run  func(t *testing.T, s *bench, a, b *member)
}{
	{"acknowledgement into another's inbox", func(t *testing.T, s *bench, a, b *member) {
		inbox, err := b.SubscribeSync(wire.ReceiptSubject(hostB))
		if err != nil {
			t.Fatal(err)
		}
		publish(t, b.Conn, &nats.Msg{Subject: wire.BatchSubject(hostB)})
		for range 20 {
			publish(t, a.Conn, &nats.Msg{Subject: wire.BatchSubject(hostA), Reply: wire.ReceiptSubject(hostB), Data: []byte("x")})
		}
		s.waitStored(t, wire.BatchSubject(hostA), 10)
		if m, err := inbox.NextMsg(200 * time.Millisecond); !errors.Is(err, nats.ErrTimeout) {
			t.Errorf("B heard %v, %v", m, err)
		}
	}},
	{"another's quota filled by reply", func(t *testing.T, s *bench, a, b *member) {
		for range 50 {
			publish(t, a.Conn, &nats.Msg{Subject: wire.BatchSubject(hostA), Reply: wire.BatchSubject(hostB), Data: []byte("x")})
		}
		s.waitStored(t, wire.BatchSubject(hostA), 10)
		if n := s.stored(t, wire.BatchSubject(hostB)); n != 0 {
			t.Errorf("A put %d messages on B's subject", n)
		}
		publish(t, b.Conn, &nats.Msg{Subject: wire.BatchSubject(hostB), Data: []byte("y")})
		s.waitStored(t, wire.BatchSubject(hostB), 1)
	}},
	{"message id squatted", func(t *testing.T, s *bench, a, b *member) {
		header := nats.Header{"Nats-Msg-Id": {"1"}}
		publish(t, a.Conn, &nats.Msg{Subject: wire.BatchSubject(hostA), Header: header, Data: []byte("x")})
		s.waitStored(t, wire.BatchSubject(hostA), 1)
		publish(t, b.Conn, &nats.Msg{Subject: wire.BatchSubject(hostB), Data: []byte("y")})
		s.waitStored(t, wire.BatchSubject(hostB), 1)
	}},
	{"flood evicts others", func(t *testing.T, s *bench, a, b *member) {
		publish(t, b.Conn, &nats.Msg{Subject: wire.BatchSubject(hostB), Data: []byte("y")})
		for range 2_000 {
			if err := a.Publish(wire.BatchSubject(hostA), make([]byte, 1_000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Flush(); err != nil {
			t.Fatal(err)
		}
		s.waitStored(t, wire.BatchSubject(hostA), 10)
		for range 9 {
			publish(t, b.Conn, &nats.Msg{Subject: wire.BatchSubject(hostB), Data: []byte("y")})
		}
		s.waitStored(t, wire.BatchSubject(hostB), 10)
	}},
	{"publish to what is not its own", func(t *testing.T, s *bench, a, b *member) {
		for _, subject := range []string{
			wire.BatchSubject(hostB), "telemetry." + hostA + ".other", "telemetry." + hostA + ".batch.more", "telemetry.x.batch", wire.CounterSubject(hostA), wire.CounterSubject(hostB), wire.BatchSubject(wire.ProbeHost),
			wire.ReceiptSubject(hostA), wire.ReceiptSubject(hostB), "_INBOX.x", "$SYS.REQ.SERVER.PING", "$JS.API.INFO",
			"$JS.API.STREAM.PURGE." + wire.StreamName, "$JS.API.STREAM.DELETE." + wire.StreamName, "$JS.API.STREAM.MSG.GET." + wire.StreamName,
			"$JS.API.CONSUMER.CREATE." + wire.StreamName, "$JS.API.CONSUMER.MSG.NEXT." + wire.StreamName + ".ledger", "$JS.ACK." + wire.StreamName + ".ledger.1.1.1.1.1",
			// The answer would go where A likes, such as to B's subject of batches.
			"$JS.API.DIRECT.GET.KV_tenancy.$KV.tenancy." + hostA + ".leases", "$JS.API.CONSUMER.CREATE.KV_tenancy.x",
			"$KV.tenancy." + hostA + ".leases", "$KV.tenancy." + hostB + ".leases", "$KV.settings." + hostA + ".all",
		} {
			a.refuses(t, "publish to "+subject, func() error {
				return a.PublishMsg(&nats.Msg{Subject: subject, Reply: wire.BatchSubject(hostB), Data: []byte("x")})
			})
			if s.told != nil {
				s.told(t, fmt.Sprintf("%s: Publish Violation - Subject %q", hostA, subject))
			}
		}
		if n := s.stored(t, wire.BatchSubject(hostB)); n != 0 {
			t.Errorf("A put %d messages on B's subject", n)
		}
	}},
	{"listen to what is not its own", func(t *testing.T, s *bench, a, b *member) {
		for _, subject := range []string{
			">", "*", "*.>", "receipt.*", "receipt.>", wire.ReceiptSubject(hostB), "counter.*", "counter.>", wire.CounterSubject(hostB), "telemetry.>", wire.BatchSubject("*"), wire.BatchSubject(hostB), wire.BatchSubject(hostA),
			"_INBOX.>", "$JS.>", "$SYS.>", "$KV.>", "$KV.tenancy.>", "$KV.*." + hostA + ".>", "$KV.tenancy." + hostB + ".>", "$KV.settings." + hostB + ".>",
		} {
			a.refuses(t, "subscribe to "+subject, func() error {
				_, err := a.SubscribeSync(subject)
				return err
			})
		}
		a.refuses(t, "subscribe in a queue", func() error {
			_, err := a.QueueSubscribeSync(wire.ReceiptSubject(hostB), "q")
			return err
		})
	}},
	{"headers of optional features", func(t *testing.T, s *bench, a, b *member) {
		publish(t, a.Conn, &nats.Msg{Subject: wire.BatchSubject(hostA), Data: []byte("first")})
		s.waitStored(t, wire.BatchSubject(hostA), 1)
		for name, value := range map[string]string{
			"Nats-Rollup": "sub", "Nats-TTL": "1s", "Nats-Incr": "+1", "Nats-Batch-Id": "x", "Nats-Schedule": "@every 1s", "Nats-Schedule-Target": wire.BatchSubject(hostB),
		} {
			header := nats.Header{name: {value}}
			if name == "Nats-Batch-Id" {
				header["Nats-Batch-Sequence"] = []string{"1"}
			}
			publish(t, a.Conn, &nats.Msg{Subject: wire.BatchSubject(hostA), Header: header, Data: []byte(name)})
		}
		publish(t, b.Conn, &nats.Msg{Subject: wire.BatchSubject(hostB), Data: []byte("last")}) // after all of A's
		s.waitStored(t, wire.BatchSubject(hostB), 1)
		stream, err := s.js.Stream(t.Context(), wire.StreamName)
		if err != nil {
			t.Fatal(err)
		}
		first, err := stream.GetMsg(t.Context(), 1)
		if err != nil || string(first.Data) != "first" {
			t.Errorf("the first message: %v, %v", first, err)
		}
		if n := s.stored(t, wire.BatchSubject(hostB)); n != 1 {
			t.Errorf("%d messages on B's subject", n)
		}
	}},
	{"payload of 2 MiB", func(t *testing.T, s *bench, a, b *member) {
		if err := a.Publish(wire.BatchSubject(hostA), make([]byte, 2<<20)); !errors.Is(err, nats.ErrMaxPayload) {
			t.Errorf("the client's answer: %v", err)
		}
		// A client that does not ask is cut off.
		if s.tls != nil {
			return // what follows speaks without TLS
		}
		raw, err := net.Dial("tcp", strings.TrimPrefix(s.url, "nats://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = raw.Close() }()
		if _, err := fmt.Fprintf(raw, "CONNECT {\"verbose\":false}\r\nPUB %s %d\r\n", wire.BatchSubject(hostA), 2<<20); err != nil {
			t.Fatal(err)
		}
		if n := s.stored(t, wire.BatchSubject(hostA)); n != 0 {
			t.Errorf("%d messages stored", n)
		}
	}},
	{"connections without the key", func(t *testing.T, s *bench, a, b *member) {
		public, err := s.a.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		stranger, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		for name, option := range map[string]nats.Option{
			"nothing":              nats.Name("x"),
			"a name":               nats.UserInfo(hostA, ""),
			"a name and the key":   nats.UserInfo(public, public),
			"a token":              nats.Token(public),
			"another's signature":  nats.Nkey(public, stranger.Sign),
			"a repeated signature": nats.Nkey(public, func([]byte) ([]byte, error) { return s.a.Sign([]byte("an older nonce")) }),
			"no signature":         nats.Nkey(public, func([]byte) ([]byte, error) { return nil, nil }),
		} {
			if c, err := nats.Connect(s.url, append(s.options(), option)...); err == nil {
				c.Close()
				t.Errorf("%s got in", name)
			}
		}
		if m, err := join(s.url, stranger, s.options()...); err == nil {
			m.Close()
			t.Error("a key of no host got in")
		}
		if s.told != nil {
			s.told(t, "a connection: the key belongs to no host")
			s.told(t, "without a good signature")
		}
	}},
}

func TestAttacksOnTheEmbeddedBroker(t *testing.T) {
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			s := embedded(t)
			attack.run(t, s, s.join(t, s.a), s.join(t, s.b))
		})
	}
}

// What a host may do works.
func TestHostsOwnSubjects(t *testing.T) {
	s := embedded(t)
	a := mustJoin(t, s.url, s.a)
	for _, subject := range []string{wire.ReceiptSubject(hostA), wire.CounterSubject(hostA), "$KV.tenancy." + hostA + ".>", "$KV.settings." + hostA + ".>"} {
		sub, err := a.SubscribeSync(subject)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Flush(); err != nil {
			t.Fatal(err)
		}
		concrete := strings.ReplaceAll(subject, ">", "x")
		if err := s.js.Conn().Publish(concrete, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if m, err := sub.NextMsg(5 * time.Second); err != nil || string(m.Data) != "hello" {
			t.Errorf("%s: %v", subject, err)
		}
	}
	publish(t, a.Conn, &nats.Msg{Subject: wire.BatchSubject(hostA), Data: []byte("x")})
	s.waitStored(t, wire.BatchSubject(hostA), 1)
	select {
	case err := <-a.faults:
		t.Error(err)
	default:
	}
}

// A host whose key is taken away loses the connection that it has, and gets no
// other; the others keep theirs.
func TestRevocationCutsConnections(t *testing.T) {
	f := &fleet{}
	a, b := f.enroll(t, hostA), f.enroll(t, hostB)
	broker := start(t, Options{Dir: t.TempDir(), Access: f, OwnKeysOnly: true})
	cut := make(chan struct{})
	ma := mustJoin(t, broker.URL(), a, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(cut) }))
	mb := mustJoin(t, broker.URL(), b, nats.NoReconnect())
	public, err := a.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	delete(f.hosts, public)
	f.mu.Unlock()
	if err := broker.Recheck(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-cut:
	case <-time.After(30 * time.Second):
		t.Fatal("the connection stays")
	}
	if !ma.IsClosed() || !mb.IsConnected() || !broker.Conn().IsConnected() {
		t.Errorf("closed %v; others %v %v", ma.IsClosed(), mb.Status(), broker.Conn().Status())
	}
	if m, err := join(broker.URL(), a); err == nil {
		m.Close()
		t.Error("it came back")
	}
}

// One key in two places: the copies push each other out, and when one that had to
// give way returns, both are locked. An agent that starts again is no copy.
func TestCopiedKeyIsLocked(t *testing.T) {
	f := &fleet{}
	key := f.enroll(t, hostA)
	broker := start(t, Options{Dir: t.TempDir(), Access: f, OwnKeysOnly: true})
	as := func(id string) nats.Option { return nats.Name("agent" + wire.InstanceMark + id) }
	for i := range 5 { // restarts, with and without an end of the one before
		m := mustJoin(t, broker.URL(), key, as(fmt.Sprint("start-", i)), nats.NoReconnect())
		if i%2 == 0 {
			m.Close()
		}
	}
	again := []nats.Option{nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0), nats.MaxReconnects(-1)}
	one := mustJoin(t, broker.URL(), key, append(again, as("one"))...)
	f.mu.Lock()
	if len(f.copied) > 0 {
		t.Errorf("restarts are taken for copies: %v", f.copied)
	}
	f.mu.Unlock()
	two := mustJoin(t, broker.URL(), key, append(again, as("two"))...)
	f.told(t, "two running agents use one key in turn")
	if err := broker.Recheck(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); one.IsConnected() || two.IsConnected(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a copy is still connected")
		}
	}
}
