package broker

import (
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The server's own clean-up of timers, which it does not join.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*Server).Shutdown"))
}

func start(t *testing.T, opts Options) *Broker {
	t.Helper()
	b, err := Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// agent connects as agents do and sends permission errors to the channel.
func agent(t *testing.T, b *Broker) (*nats.Conn, chan error) {
	t.Helper()
	key, err := nats.NkeyOptionFromSeed(b.AgentSeedFile())
	if err != nil {
		t.Fatal(err)
	}
	faults := make(chan error, 16)
	c, err := nats.Connect(b.URL(), key, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { faults <- err }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c, faults
}

func publish(t *testing.T, c *nats.Conn, m *nats.Msg) {
	t.Helper()
	if err := errors.Join(c.PublishMsg(m), c.Flush()); err != nil {
		t.Fatal(err)
	}
}

// stored returns how many messages wait on the subject.
func stored(t *testing.T, b *Broker, subject string) int {
	t.Helper()
	js, err := jetstream.New(b.Conn())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), wire.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(subject))
	if err != nil {
		t.Fatal(err)
	}
	return int(info.State.Subjects[subject])
}

// waitStored waits until the subject holds n messages; a publish is not
// acknowledged, so there is nothing else to wait for.
func waitStored(t *testing.T, b *Broker, subject string, n int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		got := stored(t, b, subject)
		if got == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d messages on %s, want %d", got, subject, n)
		}
	}
}

func TestOnlyLoopbackWithTheKey(t *testing.T) {
	b := start(t, Options{Dir: t.TempDir()})
	address := strings.TrimPrefix(b.URL(), "nats://")
	if host, _, err := net.SplitHostPort(address); err != nil || host != "127.0.0.1" {
		t.Errorf("listens on %s: %v", address, err)
	}
	if c, err := nats.Connect(b.URL()); err == nil {
		c.Close()
		t.Error("a client without a key got in")
	}
	other, err := os.ReadFile(start(t, Options{Dir: t.TempDir()}).AgentSeedFile())
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/other.nk"
	if err := os.WriteFile(path, other, 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := nats.NkeyOptionFromSeed(path)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := nats.Connect(b.URL(), key); err == nil {
		c.Close()
		t.Error("the key of another installation got in")
	}
	if info, err := os.Stat(b.AgentSeedFile()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v %v", info.Mode(), err)
	}
}

func TestAgentsMayOnlySendBatchesAndHearReceipts(t *testing.T) {
	b := start(t, Options{Dir: t.TempDir()})
	c, faults := agent(t, b)
	expect := func(what string, refused bool) {
		t.Helper()
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-faults:
			if !refused {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(100 * time.Millisecond):
			if refused {
				t.Errorf("%s was allowed", what)
			}
		}
	}
	for _, subject := range []string{"$JS.API.STREAM.PURGE.TELEMETRY", "$JS.API.INFO", "receipt.a", "telemetry.a.other", "_INBOX.x", "$SYS.REQ.SERVER.PING"} {
		publish(t, c, &nats.Msg{Subject: subject})
		expect("publish to "+subject, true)
	}
	for _, subject := range []string{"telemetry.*.batch", "_INBOX.>", "$JS.>", ">"} {
		if _, err := c.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
		expect("subscribe to "+subject, true)
	}
	if _, err := c.SubscribeSync(wire.ReceiptSubject("a")); err != nil {
		t.Fatal(err)
	}
	expect("subscribe to receipts", false)
	publish(t, c, &nats.Msg{Subject: wire.BatchSubject("a"), Data: []byte("x")})
	expect("publish a batch", false)
	waitStored(t, b, wire.BatchSubject("a"), 1)
}

// One host can neither fill another's share of the stream nor be heard through
// its reply subject.
func TestHostsDoNotHarmEachOther(t *testing.T) {
	b := start(t, Options{Dir: t.TempDir(), MaxPerHost: 10})
	c, _ := agent(t, b)
	for range 50 {
		publish(t, c, &nats.Msg{Subject: wire.BatchSubject("a"), Reply: wire.BatchSubject("b"), Data: []byte("x")})
	}
	waitStored(t, b, wire.BatchSubject("a"), 10)
	publish(t, c, &nats.Msg{Subject: wire.BatchSubject("b"), Data: []byte("y")})
	waitStored(t, b, wire.BatchSubject("b"), 1)
}

func TestRestartKeepsKeyAndMessages(t *testing.T) {
	dir := t.TempDir()
	b := start(t, Options{Dir: dir})
	before, err := os.ReadFile(b.AgentSeedFile())
	if err != nil {
		t.Fatal(err)
	}
	c, _ := agent(t, b)
	publish(t, c, &nats.Msg{Subject: wire.BatchSubject("a"), Data: make([]byte, MaxMessageBytes)})
	waitStored(t, b, wire.BatchSubject("a"), 1)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again := start(t, Options{Dir: dir})
	after, err := os.ReadFile(again.AgentSeedFile())
	if err != nil || string(after) != string(before) {
		t.Errorf("the key changed: %v", err)
	}
	waitStored(t, again, wire.BatchSubject("a"), 1)
}
