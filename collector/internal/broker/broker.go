// Package broker runs the message broker inside the collector: NATS with
// JetStream on a loopback address.
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
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
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
	Dir        string // private directory for the stream and the agents' key
	Port       int    // on 127.0.0.1; 0 takes a free one
	MaxBytes   int64  // of the stream on disk, 2 GiB if 0
	MaxPerHost int64  // messages of one host in the stream, 1,000 if 0
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
	server *server.Server
	conn   *nats.Conn
	seed   string
	gate   *gate
	watch  *watch
	access Access
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
	b := &Broker{seed: filepath.Join(opts.Dir, "agent.nk"), access: opts.Access}
	if err := b.start(ctx, opts); err != nil {
		return nil, errors.Join(fmt.Errorf("start broker in %s: %w", opts.Dir, err), b.Close())
	}
	return b, nil
}

func (b *Broker) start(ctx context.Context, opts Options) error {
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return fmt.Errorf("create directory: %w", err)
	}
	agents, err := loadOrCreateSeed(b.seed)
	if err != nil {
		return err
	}
	// The collector's own key lives as long as the process and on no disk.
	own, err := nkeys.CreateUser()
	if err != nil {
		return fmt.Errorf("make the collector's key: %w", err)
	}
	ownPublic, err := own.PublicKey()
	if err != nil {
		return fmt.Errorf("make the collector's key: %w", err)
	}
	if opts.OwnKeysOnly {
		agents = ""
	}
	b.watch = newWatch(opts.Access)
	b.gate = &gate{own: ownPublic, shared: agents, access: opts.Access, tell: b.watch.tell}
	settings := serverOptions(opts)
	settings.CustomClientAuthentication = b.gate
	srv, err := server.NewServer(settings)
	if err != nil {
		return fmt.Errorf("configure server: %w", err)
	}
	b.server = srv
	log := opts.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	srv.SetLoggerV2(serverLog{log, b.gate.read}, false, false, false)
	b.watch.live = func(nkey string) []*server.ConnInfo {
		all, err := connections(srv, nkey)
		if err != nil {
			log.ErrorContext(ctx, "broker", slog.Any("error", err))
		}
		return all
	}
	b.watch.kick = func(cid uint64) { _ = srv.DisconnectClientByID(cid) } // it may have left by itself
	go b.watch.run()
	srv.Start()
	if !srv.ReadyForConnections(10 * time.Second) {
		return errors.New("the server took no connection within 10 s (is the port in use?)")
	}
	b.conn, err = nats.Connect("", nats.InProcessServer(srv), nats.Name("collector"), nats.MaxReconnects(-1),
		nats.Nkey(ownPublic, own.Sign))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return b.stream(ctx, opts)
}

// serverOptions turns every feature off that a host has no use for.
func serverOptions(opts Options) *server.Options {
	return &server.Options{
		ServerName:        "flopwatch-collector",
		Host:              "127.0.0.1",
		Port:              opts.Port,
		NoSigs:            true,
		NoSystemAccount:   true,
		AlwaysEnableNonce: true,
		JetStream:         true,
		StoreDir:          opts.Dir,
		MaxPayload:        MaxMessageBytes,
		MaxControlLine:    1 << 10,
		// Room for the stream's own files beside its messages.
		JetStreamMaxStore:  opts.MaxBytes + tenancyBytes + 64<<20,
		JetStreamMaxMemory: 16 << 20,
		AuthTimeout:        2,
		PingInterval:       5 * time.Second,
		MaxPingsOut:        2,
	}
}

// stream makes the stream that agents publish to, or brings it up to date.
func (b *Broker) stream(ctx context.Context, opts Options) error {
	js, err := jetstream.New(b.conn)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	_, err = js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:                 wire.StreamName,
		Subjects:             []string{wire.BatchSubject("*")},
		Storage:              jetstream.FileStorage,
		Retention:            jetstream.WorkQueuePolicy,
		Discard:              jetstream.DiscardNew,
		DiscardNewPerSubject: true,
		MaxMsgsPerSubject:    opts.MaxPerHost,
		MaxBytes:             opts.MaxBytes,
		MaxMsgSize:           MaxMessageBytes,
		MaxConsumers:         -1,
		NoAck:                true,
		DenyDelete:           true,
		DenyPurge:            true,
	})
	if err != nil {
		return fmt.Errorf("make stream %s: %w", wire.StreamName, err)
	}
	return tenancyBucket(ctx, js)
}

// Conn returns the collector's connection, which may use every subject. It is
// closed by Close.
func (b *Broker) Conn() *nats.Conn { return b.conn }

// URL returns the address for agents.
func (b *Broker) URL() string {
	return "nats://" + b.server.Addr().(*net.TCPAddr).String()
}

// AgentSeedFile returns the path of the nkey seed with which agents on this
// machine connect, as nats.NkeyOptionFromSeed reads it.
func (b *Broker) AgentSeedFile() string { return b.seed }

// Close closes the connection, stops the server and waits until it has.
func (b *Broker) Close() error {
	if b.conn != nil {
		b.conn.Close()
	}
	if b.server != nil {
		b.server.Shutdown()
		b.server.WaitForShutdown()
		b.watch.close()
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
		return "", fmt.Errorf("agents' key: %w", err)
	}
	key, err := nkeys.ParseDecoratedUserNKey(seed)
	if err != nil {
		return "", fmt.Errorf("agents' key in %s: %w", path, err)
	}
	public, err := key.PublicKey()
	if err != nil {
		return "", fmt.Errorf("agents' key in %s: %w", path, err)
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
