// Package broker runs the message broker inside the collector, NATS with
// JetStream, or connects to one that runs outside.
//
// Hosts connect with keys of their own and may send on one subject each; Access
// says whose key is whose. The attacks that were measured against the broker are
// tests.
//
// The broker is transport and may lose everything: agents keep each batch until
// a receipt that follows the collector's commit. So the stream gives no
// acknowledgements, which closes the reply subject as a way for one host to
// fill another's quota, and no message ids, which one host could squat for
// another.
package broker

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

// MaxMessageBytes is the largest message: 1 MiB and what the envelope adds.
const MaxMessageBytes = 1<<20 + 4<<10

// Options of a Broker. Dir must be set.
type Options struct {
	Dir  string // private directory for the stream and the agents' key
	Host string // address to listen on, 127.0.0.1 if ""; another needs TLS and OwnKeysOnly
	Port int    // 0 takes a free one
	// TLS is for connections of agents; nil is without, on loopback.
	TLS *tls.Config
	// MaxBytes of the stream on disk, 2 GiB if 0; less where the volume is small.
	MaxBytes   int64
	MaxPerHost int64 // messages of one host in the stream, 1,000 if 0
	// Partitions into which the hosts are divided. With more than one the stream names
	// the partition of each batch (see wire.PartitionMapping).
	Partitions int
	// Access admits hosts by keys of their own. nil admits none but the agents of
	// this machine.
	Access Access
	// OwnKeysOnly refuses the key that all agents of this machine share, which may
	// send for every host: it is for a trial.
	OwnKeysOnly bool
	Log         *slog.Logger // warnings and errors of the server; nil drops them
}

// Broker is a running broker.
type Broker struct {
	opts   Options
	seed   string
	gate   *gate
	watch  *watch
	access Access
	own    nkeys.KeyPair // the collector's, lives as long as the process and on no disk

	mu     sync.Mutex // a restart replaces these
	server *server.Server
	conn   *nats.Conn
}

// Start starts the server, makes the stream and connects to it in process. It
// returns when the server takes connections.
func Start(ctx context.Context, opts Options) (*Broker, error) {
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = 2 << 30
	}
	if opts.MaxPerHost <= 0 {
		opts.MaxPerHost = 1_000
	}
	if opts.Port == 0 {
		opts.Port = server.RANDOM_PORT
	}
	if opts.Host == "" {
		opts.Host = "127.0.0.1"
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if ip, err := netip.ParseAddr(opts.Host); (err != nil || !ip.IsLoopback()) && (opts.TLS == nil || !opts.OwnKeysOnly || opts.Access == nil) {
		return nil, fmt.Errorf("start broker on %s: an address that is not loopback needs TLS and enrolled hosts", opts.Host)
	}
	b := &Broker{opts: opts, seed: filepath.Join(opts.Dir, "agent.nk"), access: opts.Access}
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start broker in %s: %w", opts.Dir, err), b.Close())
	}
	return b, nil
}

func (b *Broker) start(ctx context.Context) error {
	if err := os.MkdirAll(b.opts.Dir, 0o700); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	var err error
	if b.opts.MaxBytes, err = below(b.opts.Dir, b.opts.MaxBytes); err != nil {
		return err
	}
	agents, err := loadOrCreateSeed(b.seed)
	if err != nil {
		return err
	}
	if b.own, err = nkeys.CreateUser(); err != nil {
		return fmt.Errorf("make the collector's key: %w", err)
	}
	ownPublic, err := b.own.PublicKey()
	if err != nil {
		return fmt.Errorf("make the collector's key: %w", err)
	}
	if b.opts.OwnKeysOnly {
		agents = ""
	}
	b.watch = newWatch(b.opts.Access, b.live, b.kick, b.send)
	b.gate = &gate{own: ownPublic, shared: agents, access: b.opts.Access, tell: b.watch.tell, barred: b.watch.barred}
	if err := b.listen(ctx); err != nil {
		return err
	}
	b.opts.Port = b.server.Addr().(*net.TCPAddr).Port // a restart comes back where agents look
	go b.watch.run(b.traffic)
	return nil
}

// listen starts the server and connects to it.
func (b *Broker) listen(ctx context.Context) error {
	settings := serverOptions(b.opts)
	settings.CustomClientAuthentication = b.gate
	srv, err := server.NewServer(settings)
	if err != nil {
		return fmt.Errorf("configure server: %w", err)
	}
	b.mu.Lock()
	b.server = srv
	b.mu.Unlock()
	srv.SetLoggerV2(serverLog{b.opts.Log, b.gate.read}, false, false, false)
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		return errors.New("the server took no connection within 10 s (is the port in use?)")
	}
	conn, err := nats.Connect("", nats.InProcessServer(srv), nats.Name("collector"), nats.MaxReconnects(-1),
		nats.Nkey(b.gate.own, b.own.Sign))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	b.mu.Lock()
	b.conn = conn
	b.mu.Unlock()
	return makeStream(ctx, conn, b.opts.MaxBytes, streamConfig(b.opts.MaxBytes, b.opts.MaxPerHost, 1, b.opts.Partitions))
}

// below returns how much the stream may take of the volume that holds dir: less
// than 70 % of it, with room for the stream's own files. A store that meets the
// end of its disk does not recover by itself.
func below(dir string, want int64) (int64, error) {
	var volume syscall.Statfs_t
	if err := syscall.Statfs(dir, &volume); err != nil {
		return 0, fmt.Errorf("look at the volume of %s: %w", dir, err)
	}
	most := (int64(volume.Blocks)*volume.Bsize/10*7 - ownFiles) / 5 * 4 // the rest is for the bucket of leases
	if most < MaxMessageBytes {
		return 0, fmt.Errorf("the volume of %s is too small for a broker: it has %d MiB", dir, int64(volume.Blocks)*volume.Bsize>>20)
	}
	return min(want, most), nil
}

// ownFiles is room for what the store keeps beside messages.
const ownFiles = 8 << 20

// serverOptions turns every feature off that a host has no use for.
func serverOptions(opts Options) *server.Options {
	return &server.Options{
		ServerName:         "flopwatch-collector",
		Host:               opts.Host,
		TLSConfig:          opts.TLS,
		TLSTimeout:         2,
		Port:               opts.Port,
		NoSigs:             true,
		NoSystemAccount:    true,
		NoSublistCache:     true, // hosts and deliveries have a subject each: hardly one is looked for twice
		AlwaysEnableNonce:  true,
		JetStream:          true,
		StoreDir:           opts.Dir,
		MaxPayload:         MaxMessageBytes,
		MaxControlLine:     1 << 10,
		JetStreamMaxStore:  opts.MaxBytes + min(tenancyBytes, opts.MaxBytes/4) + ownFiles/2,
		JetStreamMaxMemory: 16 << 20,
		AuthTimeout:        2,
		PingInterval:       5 * time.Second,
		MaxPingsOut:        2,
	}
}

// makeStream makes the stream that agents publish to, or brings it up to date. One
// with another mapping is made anew: no consumer would be sent what lies in it, and
// the agents send that again.
func makeStream(ctx context.Context, conn *nats.Conn, maxBytes int64, config jetstream.StreamConfig) error {
	js, err := jetstream.New(conn)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	if old, err := js.Stream(ctx, wire.StreamName); err == nil {
		is, want := old.CachedInfo().Config.SubjectTransform, config.SubjectTransform
		if (is == nil) != (want == nil) || is != nil && *is != *want {
			if err := js.DeleteStream(ctx, wire.StreamName); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				return fmt.Errorf("make stream %s anew for another number of partitions: %w", wire.StreamName, err)
			}
		}
	}
	_, err = js.CreateOrUpdateStream(ctx, config)
	if err != nil {
		return fmt.Errorf("make stream %s: %w", wire.StreamName, err)
	}
	return tenancyBucket(ctx, js, min(tenancyBytes, maxBytes/4), config.Replicas)
}

// streamConfig is the stream with every optional feature off.
func streamConfig(maxBytes, maxPerHost int64, replicas, partitions int) jetstream.StreamConfig {
	var mapping *jetstream.SubjectTransformConfig
	if partitions > 1 {
		from, to := wire.PartitionMapping(partitions)
		mapping = &jetstream.SubjectTransformConfig{Source: from, Destination: to}
	}
	return jetstream.StreamConfig{
		SubjectTransform:     mapping,
		Name:                 wire.StreamName,
		Subjects:             []string{wire.BatchSubject("*")},
		Storage:              jetstream.FileStorage,
		Retention:            jetstream.WorkQueuePolicy,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		MaxMsgsPerSubject:    maxPerHost,
		MaxBytes:             maxBytes,
		Replicas:             replicas,
		MaxMsgSize:           MaxMessageBytes,
		MaxConsumers:         -1,
		NoAck:                true,
		DenyDelete:           true,
		DenyPurge:            true,
	}
}

// Conn returns the collector's connection, which may use every subject. It is
// closed by Close, and replaced by Restart.
func (b *Broker) Conn() *nats.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.conn
}

// Bar cuts off a host and keeps it from connecting for a minute.
func (b *Broker) Bar(host string) error {
	if b.access == nil {
		return nil
	}
	b.watch.bar(host, time.Now())
	all, err := b.connections("")
	if err != nil {
		return err
	}
	for _, c := range all {
		if id, ok, _ := b.access.HostOf(c.AuthorizedUser); ok && id == host {
			b.kick(c.Cid)
		}
	}
	return nil
}

// Addr returns the address for agents, host:port.
func (b *Broker) Addr() string { return net.JoinHostPort(b.opts.Host, strconv.Itoa(b.opts.Port)) }

// URL returns the address for agents of a trial.
func (b *Broker) URL() string { return "nats://" + b.Addr() }

// AgentSeedFile returns the path of the nkey seed with which agents on this
// machine connect, as nats.NkeyOptionFromSeed reads it.
func (b *Broker) AgentSeedFile() string { return b.seed }

// Close closes the connection, stops the server and waits until it has.
func (b *Broker) Close() error {
	b.stop()
	if b.watch != nil {
		b.watch.close()
	}
	return nil
}

// stop stops the server and waits until it has.
func (b *Broker) stop() {
	b.mu.Lock()
	conn, srv := b.conn, b.server
	b.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
	if srv != nil {
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// Restart stops the server and starts it again on the same address and store:
// what a store needs that met the end of its disk. Conn is another one then.
func (b *Broker) Restart(ctx context.Context) error {
	b.stop()
	if err := b.listen(ctx); err != nil {
		return fmt.Errorf("start broker again: %w", err)
	}
	return nil
}

// loadOrCreateSeed returns the public key of the seed in the file, which it
// makes on the first start.
func loadOrCreateSeed(path string) (string, error) {
	seed, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		seed, err = createSeed(path)
	}
	if err != nil {
		return "", fmt.Errorf("nkey seed: %w", err)
	}
	key, err := nkeys.ParseDecoratedUserNKey(seed)
	if err != nil {
		return "", fmt.Errorf("nkey seed in %s: %w", path, err)
	}
	public, err := key.PublicKey()
	if err != nil {
		return "", fmt.Errorf("nkey seed in %s: %w", path, err)
	}
	return public, nil
}

func createSeed(path string) (seed []byte, err error) {
	key, err := nkeys.CreatePairWithRand(nkeys.PrefixByteUser, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make: %w", err)
	}
	if seed, err = key.Seed(); err != nil {
		return nil, fmt.Errorf("make: %w", err)
	}
	// Renamed into place, so that a kill leaves no half a key.
	file, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	_, err = file.Write(seed)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	return seed, nil
}

// serverLog passes what the server warns about to the collector's log.
type serverLog struct {
	log  *slog.Logger
	read func(line string) // hears every error
}

func (l serverLog) Noticef(format string, v ...any) {}
func (l serverLog) Debugf(format string, v ...any)  {}
func (l serverLog) Tracef(format string, v ...any)  {}
func (l serverLog) Warnf(format string, v ...any) {
	l.log.Warn("broker", slog.String("says", fmt.Sprintf(format, v...)))
}
func (l serverLog) Errorf(format string, v ...any) {
	line := fmt.Sprintf(format, v...)
	l.read(line)
	l.log.Error("broker", slog.String("says", line))
}
func (l serverLog) Fatalf(format string, v ...any) { l.Errorf(format, v...) }
