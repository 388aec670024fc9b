package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

// pull asks the broker for messages. Where few come one request waits for them, and
// each is handed over as it comes. Where many come it asks for those that are there,
// ten times a second: a message that is delivered alone wakes goroutines of broker and
// client one after the other, which takes longer than all they do with it.
//
// All requests are answered to one subscription that lasts, so that what the broker
// sends late, to a request that is over too, is handed over like the rest. Only what
// says how a request went must be of the newest.
type pull struct {
	cfg      Config
	source   *source
	consumer jetstream.Consumer
	inbox    string // requests are answered to it and their number
	answers  *nats.Subscription
	arrived  chan *nats.Msg
	states   chan nats.Status
	closed   chan struct{}

	request   int
	asked     time.Time
	want      int // messages of the request, 0 while none waits
	got, size int
	heard     bool // the broker, since the timer was set
	busy      bool
	timer     *time.Timer
}

// Where so many messages came in a time they are taken in groups, until one is smaller.
const (
	pullBusy   = groupBusy
	pullWithin = 2 * groupLinger
	pullFew    = groupBusy / 4
)

// How long requests wait for messages, how often the broker says that they still do,
// and how long one that does not wait may be without an answer.
const (
	pullExpires   = 30 * time.Second
	pullHeartbeat = 10 * time.Second
	pullPatience  = 3 * time.Second
)

// pullRequest is what the broker is asked with.
type pullRequest struct {
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes"`
	NoWait    bool          `json:"no_wait,omitempty"`
	Expires   time.Duration `json:"expires,omitempty"`
	Heartbeat time.Duration `json:"idle_heartbeat,omitempty"`
}

// pulled is a message that came for a request.
type pulled struct{ m *nats.Msg }

func (p pulled) Subject() string      { return p.m.Subject }
func (p pulled) Data() []byte         { return p.m.Data }
func (p pulled) Headers() nats.Header { return p.m.Header }
func (p pulled) Ack() error           { return p.m.Ack() }
func (p pulled) Nak() error           { return p.m.Nak() }

// startPull begins to hand over to the source what the consumer has.
func startPull(ctx context.Context, cfg Config, consumer jetstream.Consumer, s *source) (*pull, error) {
	p := &pull{
		cfg: cfg, source: s, consumer: consumer, inbox: cfg.Conn.NewInbox() + ".",
		// More than the broker sends without acknowledgement.
		arrived: make(chan *nats.Msg, 4*cfg.MaxBatches+groupMost),
		closed:  make(chan struct{}),
		timer:   time.NewTimer(pullPatience),
	}
	var err error
	if p.answers, err = cfg.Conn.ChanSubscribe(p.inbox+"*", p.arrived); err != nil {
		return nil, err
	}
	p.states = cfg.Conn.StatusChanged(nats.CONNECTED, nats.CLOSED)
	go p.run(ctx)
	return p, nil
}

// Stop makes it end. The source hands nothing over any more when it is called.
func (p *pull) Stop() {
	<-p.closed
	p.cfg.Conn.RemoveStatusListener(p.states)
	_ = p.answers.Unsubscribe() // fails when the connection is gone
}

// Closed is closed when nothing comes any more.
func (p *pull) Closed() <-chan struct{} { return p.closed }

func (p *pull) run(ctx context.Context) {
	defer close(p.closed)
	defer p.timer.Stop()
	for ok := p.ask(ctx); ok; {
		select {
		case <-p.source.stop:
			return
		case state := <-p.states:
			// Another connection: what was asked before is forgotten.
			p.busy = false
			ok = state != nats.CLOSED && p.ask(ctx)
		case <-p.timer.C:
			ok = p.over(ctx)
		case m := <-p.arrived:
			if strings.HasPrefix(m.Subject, p.inbox) {
				ok = p.answer(ctx, m)
			} else {
				ok = p.take(ctx, m)
			}
		}
	}
}

// ask makes a request and reports whether there is a broker to be asked.
func (p *pull) ask(ctx context.Context) bool {
	q := pullRequest{Batch: p.cfg.MaxBatches, MaxBytes: p.cfg.MaxBytes, NoWait: true}
	patience := pullPatience
	if !p.busy {
		q = pullRequest{Batch: min(pullBusy, p.cfg.MaxBatches), MaxBytes: p.cfg.MaxBytes, Expires: pullExpires, Heartbeat: pullHeartbeat}
		patience = 2 * pullHeartbeat
	}
	p.request++
	p.asked, p.want, p.got, p.size, p.heard = time.Now(), q.Batch, 0, 0, false
	p.timer.Reset(patience)
	body, err := json.Marshal(q)
	if err == nil {
		err = p.cfg.Conn.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+wire.StreamName+"."+ConsumerName, p.reply(), body)
	}
	if err != nil {
		p.warn(ctx, err.Error())
		p.rest(askEvery)
	}
	return !errors.Is(err, nats.ErrConnectionClosed)
}

// reply is where the newest request is answered.
func (p *pull) reply() string { return p.inbox + strconv.Itoa(p.request) }

// rest asks nothing for so long.
func (p *pull) rest(d time.Duration) {
	p.want = 0
	p.timer.Reset(d)
}

// over asks anew when a rest is over, or when the broker was silent for too long.
func (p *pull) over(ctx context.Context) bool {
	switch {
	case p.want == 0:
	case p.heard:
		p.heard = false
		p.timer.Reset(2 * pullHeartbeat)
		return true
	default:
		p.busy = false
		p.warn(ctx, "the broker is silent, and is asked again")
		if p.gone(ctx) { // it says nothing to requests for a consumer that it does not know
			return false
		}
	}
	return p.ask(ctx)
}

// take hands a message over. When it was the last of its request the next is made
// before that, so that the broker does not wait for those who count.
func (p *pull) take(ctx context.Context, m *nats.Msg) bool {
	p.got, p.size = p.got+1, p.size+m.Size()
	if p.want > 0 && (p.got >= p.want || p.size >= p.cfg.MaxBytes) {
		if !p.busy && time.Since(p.asked) < pullWithin {
			p.busy = true
			p.rest(groupLinger)
		} else if !p.ask(ctx) {
			return false
		}
	}
	ok := p.source.hand(pulled{m})
	p.heard = true // also when that took long
	return ok
}

// answer acts on what the broker says of a request, and reports whether the consumer
// is there.
func (p *pull) answer(ctx context.Context, m *nats.Msg) bool {
	status, why := m.Header.Get("Status"), strings.ToLower(m.Header.Get("Description"))
	if status == "400" || status == "409" && strings.Contains(why, "consumer deleted") {
		p.warn(ctx, why)
		return false
	}
	if p.want == 0 || m.Subject != p.reply() {
		return true // of a request that is over
	}
	p.heard = true
	switch {
	case status == "100": // it waits
	case status == "404" || status == "408":
		if p.busy = p.busy && p.got >= pullFew; p.busy {
			p.rest(groupLinger)
			return true
		}
		return p.ask(ctx)
	case status == "409" && strings.Contains(why, "exceeds maxbytes") && p.got > 0:
		return p.ask(ctx)
	default:
		// No leader yet, a server that stops, or nobody who knows of the consumer.
		p.busy = false
		p.warn(ctx, strings.TrimSpace(status+" "+why))
		p.rest(askEvery)
		return status != "503" || !p.gone(ctx)
	}
	return true
}

// gone reports whether the broker says that there is nothing to ask for.
func (p *pull) gone(ctx context.Context) bool {
	_, err := p.consumer.Info(ctx)
	return errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound)
}

func (p *pull) warn(ctx context.Context, why string) {
	p.cfg.Log.LogAttrs(ctx, slog.LevelWarn, "consume", slog.String("error", why))
}
