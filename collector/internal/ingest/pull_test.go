package ingest

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// pulling is a pull of its own, and what it asked so far.
type pulling struct {
	t             *testing.T
	b             *broker.Broker
	conn          *nats.Conn // of the pull
	js            jetstream.JetStream
	p             *pull
	s             *source
	waits, noWait atomic.Int64
	sent          int
	stop          func()
}

const pullAckWait = 20 * time.Second

func startPulling(t *testing.T, maxBatches, maxBytes int) *pulling {
	t.Helper()
	x := &pulling{t: t, b: startBroker(t)}
	x.conn = x.b.Conn()
	var err error
	if x.js, err = jetstream.New(x.conn); err != nil {
		t.Fatal(err)
	}
	consumer, err := x.js.CreateOrUpdateConsumer(t.Context(), wire.StreamName, jetstream.ConsumerConfig{
		Durable: ConsumerName, AckPolicy: jetstream.AckExplicitPolicy, AckWait: pullAckWait, MaxAckPending: 2 * maxBatches,
	})
	if err != nil {
		t.Fatal(err)
	}
	sub, err := x.conn.Subscribe("$JS.API.CONSUMER.MSG.NEXT.>", func(m *nats.Msg) {
		var q pullRequest
		if err := json.Unmarshal(m.Data, &q); err != nil {
			t.Error(err)
		}
		if q.NoWait {
			x.noWait.Add(1)
		} else {
			x.waits.Add(1)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	x.s = &source{messages: make(chan message, groupMost), stop: make(chan struct{})}
	cfg := Config{Conn: x.conn, MaxBatches: maxBatches, MaxBytes: maxBytes, Log: slog.New(slog.DiscardHandler)}
	if x.p, err = startPull(t.Context(), cfg, consumer, x.s); err != nil {
		t.Fatal(err)
	}
	x.s.consume = x.p
	x.stop = sync.OnceFunc(x.s.close)
	t.Cleanup(x.stop)
	return x
}

// send publishes numbered messages of a size, with a pause between them.
func (x *pulling) send(n, size int, pause time.Duration) {
	for range n {
		body := make([]byte, size)
		copy(body, strconv.Itoa(x.sent))
		if err := x.conn.Publish(wire.BatchSubject("h"+strconv.Itoa(x.sent%50)), body); err != nil {
			x.t.Error(err)
		}
		x.sent++
		time.Sleep(pause)
	}
}

// collect takes n messages that were sent, and sees that each is the next.
func (x *pulling) collect(from, n int) {
	x.t.Helper()
	limit := time.After(pullAckWait - 2*time.Second)
	for i := from; i < from+n; i++ {
		select {
		case m := <-x.s.messages:
			if number := string(m.Data()[:len(strconv.Itoa(i))]); number != strconv.Itoa(i) {
				x.t.Fatalf("message %s instead of %d", number, i)
			}
			if err := m.Ack(); err != nil {
				x.t.Fatal(err)
			}
		case <-limit:
			x.t.Fatalf("message %d of %d did not come before it would have been sent again", i, from+n)
		}
	}
}

// Messages come once each and in their order, however many come, and while their
// number changes. None waits until the broker sends it again.
func TestPulledMessagesComeOnce(t *testing.T) {
	t.Parallel()
	x := startPulling(t, 2048, 32<<20)
	for _, phase := range []struct {
		n      int
		pause  time.Duration
		noWait bool
	}{
		{10, 20 * time.Millisecond, false},
		{800, 500 * time.Microsecond, true},
		{20, 20 * time.Millisecond, false},
		{6000, 0, true},
		{20, 20 * time.Millisecond, false},
	} {
		time.Sleep(3 * groupLinger) // whatever came before it is over
		before, from := x.noWait.Load(), x.sent
		done := make(chan struct{})
		go func() { defer close(done); x.send(phase.n, 900, phase.pause) }()
		x.collect(from, phase.n)
		<-done
		if groups := x.noWait.Load() - before; groups > 0 != phase.noWait {
			t.Errorf("%d requests for groups while %d messages came each %s", groups, phase.n, phase.pause)
		}
	}
	time.Sleep(3 * groupLinger)
	before := x.waits.Load() + x.noWait.Load()
	time.Sleep(time.Second)
	if asked := x.waits.Load() + x.noWait.Load() - before; asked > 0 {
		t.Errorf("asked %d times while nothing came", asked)
	}
}

// Requests end at a number of bytes too, and a message that is larger than that is
// not asked for in a hurry.
func TestPulledBytesAreBounded(t *testing.T) {
	t.Parallel()
	x := startPulling(t, 2048, 4<<10)
	x.send(500, 1000, 0)
	x.collect(0, 500)
	before := x.waits.Load() + x.noWait.Load()
	x.send(1, 8<<10, 0)
	time.Sleep(2 * time.Second)
	if asked := x.waits.Load() + x.noWait.Load() - before; asked > 5 {
		t.Errorf("asked %d times for a message that is too large", asked)
	}
}

// A pull ends with its consumer, whether a request waits then or is made later, and
// with its connection.
func TestPullEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(x *pulling) error{
		"consumer deleted while a request waits": func(x *pulling) error {
			return x.js.DeleteConsumer(t.Context(), wire.StreamName, ConsumerName)
		},
		"consumer deleted while none waits": func(x *pulling) error {
			go x.send(300, 900, 500*time.Microsecond)
			x.collect(0, 300)
			return x.js.DeleteConsumer(t.Context(), wire.StreamName, ConsumerName)
		},
		"broker closed": func(x *pulling) error { return x.b.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			x := startPulling(t, 2048, 32<<20)
			x.send(1, 900, 0)
			x.collect(0, 1)
			x.sent = 0
			if err := end(x); err != nil {
				t.Fatal(err)
			}
			select {
			case <-x.p.Closed():
			case <-time.After(4 * pullPatience):
				t.Fatal("goes on")
			}
		})
	}
}

// What was asked is asked again on another connection.
func TestPullReconnects(t *testing.T) {
	t.Parallel()
	x := startPulling(t, 2048, 32<<20)
	x.send(1, 900, 0)
	x.collect(0, 1)
	before := x.waits.Load()
	if err := x.conn.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	for until := time.Now().Add(10 * time.Second); x.waits.Load() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("not asked again")
		}
	}
	x.send(500, 900, 0)
	x.collect(1, 500)
}

// What the broker says of requests that are over counts for nothing, and what was
// sent late for them is handed over. Who is not answered asks again.
func TestPullOfStaleAnswers(t *testing.T) {
	t.Parallel()
	x := startPulling(t, 2048, 32<<20)
	x.stop() // from here on it is called by hand
	p := *x.p
	p.source = &source{messages: make(chan message, 1), stop: make(chan struct{})}
	ctx := t.Context()
	p.busy = true
	status := func(subject, code, why string) *nats.Msg {
		return &nats.Msg{Subject: subject, Header: nats.Header{"Status": {code}, "Description": {why}}}
	}
	old, n := p.reply(), p.request
	if !p.ask(ctx) || p.request != n+1 {
		t.Fatal("not asked")
	}
	for _, m := range []*nats.Msg{status(old, "404", "No Messages"), status(old, "409", "Leadership Change"), status(p.reply(), "100", "Idle Heartbeat")} {
		if !p.answer(ctx, m) || p.request != n+1 || p.want == 0 || !p.busy {
			t.Errorf("after %v: request %d, %d wanted", m.Header, p.request, p.want)
		}
	}
	if !p.over(ctx) || p.request != n+1 {
		t.Error("asked again though the broker was heard")
	}
	if !p.over(ctx) || p.request != n+2 || p.busy {
		t.Error("not asked again after silence")
	}
	if !p.answer(ctx, status(p.reply(), "409", "Leadership Change")) || p.want != 0 {
		t.Error("no rest after a change of leaders")
	}
	if !p.take(ctx, &nats.Msg{Subject: "telemetry.h.batch", Data: []byte{1}}) || len(p.source.messages) != 1 || p.request != n+2 {
		t.Error("a message that came late is not handed over")
	}
	if !p.over(ctx) || p.request != n+3 {
		t.Error("not asked again after a rest")
	}
	for _, m := range []*nats.Msg{status(old, "409", "Consumer Deleted"), status(old, "400", "Bad Request")} {
		if p.answer(ctx, m) {
			t.Errorf("goes on after %v", m.Header)
		}
	}
	if err := x.b.Close(); err != nil {
		t.Fatal(err)
	}
	if p.ask(ctx) {
		t.Error("goes on without a connection")
	}
	if err := x.conn.Publish("x", nil); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("the connection: %v", err)
	}
}
