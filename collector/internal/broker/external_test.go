package broker

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/ctl"
	"github.com/flopwatch/flopwatch/collector/internal/enrolment"
	"github.com/flopwatch/flopwatch/pkg/enrol"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// outside is a NATS server that runs from the files in deploy/nats.
type outside struct {
	server    *server.Server
	authority *enrolment.Authority
	dir       string
	collector string // file with the seed of its user
	public    string
	url       string
}

func public(t *testing.T, key nkeys.KeyPair) string {
	t.Helper()
	text, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// hosts are the inventory with these keys.
func hosts(t *testing.T, of map[string]nkeys.KeyPair) (all []apitypes.InventoryHost) {
	t.Helper()
	for id, key := range of {
		all = append(all, apitypes.InventoryHost{ID: id, State: "enrolled", Keys: []apitypes.HostKey{{Broker: public(t, key)}}})
	}
	return all
}

func startOutside(t *testing.T, of map[string]nkeys.KeyPair) *outside {
	t.Helper()
	o := &outside{dir: t.TempDir()}
	var err error
	if o.authority, err = enrolment.LoadAuthority(t.TempDir(), time.Now); err != nil {
		t.Fatal(err)
	}
	chain, key, err := o.authority.ForServer()
	if err != nil {
		t.Fatal(err)
	}
	conf, err := os.ReadFile("../../../deploy/nats/nats-server.conf")
	if err != nil {
		t.Fatal(err)
	}
	own, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := own.Seed()
	if err != nil {
		t.Fatal(err)
	}
	o.public, o.collector = public(t, own), filepath.Join(o.dir, "collector.nk")
	write(t, o.collector, seed)
	write(t, filepath.Join(o.dir, "server.pem"), chain)
	write(t, filepath.Join(o.dir, "server.key"), key)
	write(t, filepath.Join(o.dir, "nats-server.conf"), conf)
	write(t, filepath.Join(o.dir, "users.conf"), []byte(ctl.NATSUsers(o.public, hosts(t, of), time.Now())))
	options := o.options(t)
	if o.server, err = server.NewServer(options); err != nil {
		t.Fatal(err)
	}
	o.server.Start()
	t.Cleanup(func() {
		o.server.Shutdown()
		o.server.WaitForShutdown()
	})
	if !o.server.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server takes no connection")
	}
	o.url = "tls://" + o.server.Addr().String()
	return o
}

// options reads the configuration; all that a test changes is where it listens
// and where its relative paths begin.
func (o *outside) options(t *testing.T) *server.Options {
	t.Helper()
	t.Chdir(o.dir)
	options, err := server.ProcessConfigFile(filepath.Join(o.dir, "nats-server.conf"))
	if err != nil {
		t.Fatal(err)
	}
	options.Host, options.Port, options.NoSigs, options.NoLog = "127.0.0.1", server.RANDOM_PORT, true, true
	return options
}

func (o *outside) connect(t *testing.T, perHost int64) *External {
	t.Helper()
	e, err := Connect(t.Context(), ExternalOptions{URL: o.url, SeedFile: o.collector, TLS: enrol.ByAuthority(o.authority.Certificate()), MaxPerHost: perHost})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

func external(t *testing.T) *bench {
	a, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	b, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	o := startOutside(t, map[string]nkeys.KeyPair{hostA: a, hostB: b})
	e := o.connect(t, 10)
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	return &bench{url: o.url, a: a, b: b, js: js, tls: nats.Secure(enrol.ByAuthority(o.authority.Certificate()))}
}

func TestAttacksOnAnExternalBroker(t *testing.T) {
	for _, attack := range attacks {
		t.Run(attack.name, func(t *testing.T) {
			s := external(t)
			attack.run(t, s, s.join(t, s.a), s.join(t, s.b))
		})
	}
}

// The collector's user outside may do what the collector needs and cannot speak
// as a host.
func TestCollectorOnAnExternalBroker(t *testing.T) {
	a, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	o := startOutside(t, map[string]nkeys.KeyPair{hostA: a})
	e := o.connect(t, 10)
	if err := e.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	js, err := jetstream.New(e.Conn())
	if err != nil {
		t.Fatal(err)
	}
	consumer, err := js.CreateOrUpdateConsumer(t.Context(), wire.StreamName, jetstream.ConsumerConfig{Durable: "ledger", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	member := &member{faults: make(chan error, 8)}
	member.Conn, err = nats.Connect(o.url, nats.Nkey(public(t, a), a.Sign), nats.Secure(enrol.ByAuthority(o.authority.Certificate())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	receipts, err := member.SubscribeSync(wire.ReceiptSubject(hostA))
	if err != nil {
		t.Fatal(err)
	}
	publish(t, member.Conn, &nats.Msg{Subject: wire.BatchSubject(hostA), Data: []byte("x")})
	for { // the probe comes first
		m, err := consumer.Next(jetstream.FetchMaxWait(5 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if err := m.DoubleAck(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m.Subject() == wire.BatchSubject(hostA) {
			break
		}
	}
	publish(t, e.Conn(), &nats.Msg{Subject: wire.ReceiptSubject(hostA), Data: []byte("r")})
	if m, err := receipts.NextMsg(5 * time.Second); err != nil || string(m.Data) != "r" {
		t.Errorf("receipt: %v %v", m, err)
	}
	publish(t, e.Conn(), &nats.Msg{Subject: wire.BatchSubject(hostA), Data: []byte("forged")})
	if m, err := consumer.Next(jetstream.FetchMaxWait(300 * time.Millisecond)); err == nil {
		t.Errorf("the collector's user spoke as a host: %s", m.Data())
	}
	// A store that was lost is told from one that sticks, and the stream made again.
	if err := js.DeleteConsumer(t.Context(), wire.StreamName, "ledger"); err != nil {
		t.Fatal(err)
	}
	if Lost(e.Probe(t.Context())) {
		t.Error("a stream that is there is said to be lost")
	}
	if err := e.Restart(t.Context()); err != nil {
		t.Error(err)
	}
}

// A host that is not in users.conf any more loses its connection when the server
// loads the file anew.
func TestRevocationOnAnExternalBroker(t *testing.T) {
	a, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	b, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	o := startOutside(t, map[string]nkeys.KeyPair{hostA: a, hostB: b})
	secure := nats.Secure(enrol.ByAuthority(o.authority.Certificate()))
	cut := make(chan struct{})
	one, err := nats.Connect(o.url, nats.Nkey(public(t, a), a.Sign), secure, nats.NoReconnect(), nats.ClosedHandler(func(*nats.Conn) { close(cut) }))
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	two, err := nats.Connect(o.url, nats.Nkey(public(t, b), b.Sign), secure, nats.NoReconnect())
	if err != nil {
		t.Fatal(err)
	}
	defer two.Close()
	write(t, filepath.Join(o.dir, "users.conf"), []byte(ctl.NATSUsers(o.public, hosts(t, map[string]nkeys.KeyPair{hostB: b}), time.Now())))
	begun := time.Now()
	options := o.options(t)
	options.Port = o.server.Addr().(*net.TCPAddr).Port
	if err := o.server.ReloadOptions(options); err != nil {
		t.Fatal(err)
	}
	select {
	case <-cut:
		t.Logf("cut after %s", time.Since(begun).Round(time.Microsecond))
	case <-time.After(30 * time.Second):
		t.Fatal("the connection stays")
	}
	if !two.IsConnected() {
		t.Error("another host lost its connection")
	}
}

// Every optional feature of stream and server is off. What a newer version of the
// library adds is off too, or this fails.
func TestOptionalFeaturesAreOff(t *testing.T) {
	b := start(t, Options{Dir: t.TempDir()})
	js, err := jetstream.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), wire.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	config := reflect.ValueOf(stream.CachedInfo().Config)
	on := map[string]bool{"NoAck": true, "DenyDelete": true, "DenyPurge": true, "DiscardNewPerSubject": true}
	for i := range config.NumField() {
		name, v := config.Type().Field(i).Name, config.Field(i)
		switch v.Kind() {
		case reflect.Bool:
			if v.Bool() != on[name] {
				t.Errorf("stream: %s is %v", name, v.Bool())
			}
		case reflect.Pointer:
			if !v.IsNil() {
				t.Errorf("stream: %s is set", name)
			}
		case reflect.Slice:
			if name != "Subjects" && v.Len() > 0 {
				t.Errorf("stream: %s is set", name)
			}
		}
	}
	if c := stream.CachedInfo().Config; c.Discard != jetstream.DiscardNew || c.MaxMsgsPerSubject != 1000 || c.MaxMsgSize != MaxMessageBytes || c.Storage != jetstream.FileStorage {
		t.Errorf("stream: %+v", c)
	}
	o := serverOptions(Options{Host: "127.0.0.1"})
	if o.Cluster.Port != 0 || o.Gateway.Port != 0 || o.LeafNode.Port != 0 || o.Websocket.Port != 0 || o.MQTT.Port != 0 || o.HTTPPort != 0 || o.HTTPSPort != 0 ||
		o.ProfPort != 0 || o.NoAuthUser != "" || len(o.Routes) != 0 || len(o.LeafNode.Remotes) != 0 {
		t.Errorf("server: %+v", o)
	}
}

// The stream takes less than 70 % of its volume, whatever is asked for.
func TestStreamStaysBelowTheDisk(t *testing.T) {
	dir := smallDisk(t, 32)
	most, err := below(dir, 1<<40)
	if err != nil || most > 32<<20/10*7 || most < MaxMessageBytes {
		t.Errorf("%d MiB of 32, %v", most>>20, err)
	}
	if _, err := below(smallDisk(t, 4), 1<<40); err == nil || !strings.Contains(err.Error(), "too small") {
		t.Errorf("a volume of 4 MiB: %v", err)
	}
}
