package broker

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

// maxNotices bounds what waits for the watch; what comes beyond is counted.
const maxNotices = 1024

// watch looks at who is connected. It keeps one connection for each host: a new
// one takes the place of the old. An agent that starts again never comes back as
// the one that it was, so when an instance that had to give way returns, two
// machines hold the key. And it looks at how much each host sends.
type watch struct {
	access  Access
	notices chan notice
	missed  atomic.Int64
	gone    map[string]map[string]bool // host → instances that gave way
	done    chan struct{}
	ended   chan struct{}
	started atomic.Bool
	stop    sync.Once

	live func(nkeys ...string) []*server.ConnInfo
	kick func(cid uint64)
	send func(subject string, data []byte)

	telling map[string]telling
	seen    map[uint64]traffic // by connection

	mu      sync.Mutex
	barring map[string]time.Time // host → until when it may not connect
}

// telling is what a host that came is told, until it can be expected to listen.
type telling struct {
	next  []byte
	times int
	at    time.Time // of the next time
}

// traffic is what came over one connection so far.
type traffic struct {
	messages, bytes int64
}

// maxGone bounds the instances that are remembered of one host.
const maxGone = 64

// A host is told its counter so often, at growing distances: it subscribes only
// after it was let in, and a message to nobody is lost.
const (
	tellTimes = 6
	tellFirst = 50 * time.Millisecond
)

// What one host may send, over lookEvery. Draining a full spool stays below it.
// Beyond that its connection is cut, and it may not come back for a while.
const (
	lookEvery   = 2 * time.Second
	maxMessages = 20_000
	maxBytes    = 512 << 20
	barFor      = time.Minute
)

func newWatch(access Access, live func(...string) []*server.ConnInfo, kick func(uint64), send func(string, []byte)) *watch {
	return &watch{
		access: access, notices: make(chan notice, maxNotices), gone: map[string]map[string]bool{}, done: make(chan struct{}), ended: make(chan struct{}),
		live: live, kick: kick, send: send, telling: map[string]telling{}, seen: map[uint64]traffic{}, barring: map[string]time.Time{},
	}
}

// tell never waits: it is called from inside the server.
func (w *watch) tell(n notice) {
	select {
	case w.notices <- n:
	default:
		w.missed.Add(1)
	}
}

// run looks until close is called. connected returns who is.
func (w *watch) run(connected func() []*server.ConnInfo) {
	w.started.Store(true)
	defer close(w.ended)
	tell, look := time.NewTicker(tellFirst), time.NewTicker(lookEvery)
	defer tell.Stop()
	defer look.Stop()
	for {
		select {
		case <-w.done:
			return
		case now := <-tell.C:
			w.tellHosts(now)
		case now := <-look.C:
			if w.access != nil {
				w.look(connected(), now)
			}
		case n := <-w.notices:
			switch {
			case w.access == nil:
			case n.outdated:
				w.access.Outdated(n.host, len(w.live(w.access.KeysOf(n.host)...)) > 0)
			case n.refused != "":
				w.access.Refused(n.host, n.refused)
			default:
				w.arrived(n)
			}
		}
	}
}

func (w *watch) close() {
	w.stop.Do(func() { close(w.done) })
	if w.started.Load() {
		<-w.ended
	}
}

func (w *watch) arrived(n notice) {
	if n.next != nil {
		w.telling[n.host] = telling{next: n.next}
	}
	all := w.live(w.access.KeysOf(n.host)...)
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b *server.ConnInfo) int { return cmp.Compare(b.Cid, a.Cid) })
	newest := instance(all[0].Name)
	for _, old := range all[1:] {
		if id := instance(old.Name); id != newest {
			if w.gone[n.host] == nil || len(w.gone[n.host]) >= maxGone {
				w.gone[n.host] = map[string]bool{}
			}
			w.gone[n.host][id] = true
		}
		w.kick(old.Cid)
	}
	if w.gone[n.host][newest] {
		delete(w.gone, n.host)
		w.access.Copied(n.host, "two running agents use one key in turn")
	}
}

// tellHosts sends hosts that came what they are to show the next time.
func (w *watch) tellHosts(now time.Time) {
	for host, t := range w.telling {
		if now.Before(t.at) {
			continue
		}
		w.send(wire.CounterSubject(host), t.next)
		t.times++
		t.at = now.Add(tellFirst << (2 * t.times))
		if t.times >= tellTimes {
			delete(w.telling, host)
			continue
		}
		w.telling[host] = t
	}
}

// look cuts off who sends more than any host has to say.
func (w *watch) look(all []*server.ConnInfo, now time.Time) {
	seen := make(map[uint64]traffic, len(all))
	for _, c := range all {
		is, was := traffic{c.InMsgs, c.InBytes}, w.seen[c.Cid]
		seen[c.Cid] = is
		messages, bytes := is.messages-was.messages, is.bytes-was.bytes
		if messages <= maxMessages && bytes <= maxBytes {
			continue
		}
		host, ok, _ := w.access.HostOf(c.AuthorizedUser)
		if !ok {
			continue // the collector itself, or who is cut anyway
		}
		w.bar(host, now)
		w.kick(c.Cid)
		w.access.Refused(host, fmt.Sprintf("a flood of %d messages and %d MiB within %s; cut off for %s", messages, bytes>>20, lookEvery, barFor))
	}
	w.seen = seen
}

// bar keeps a host from connecting for a time.
func (w *watch) bar(host string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for h, until := range w.barring {
		if now.After(until) {
			delete(w.barring, h)
		}
	}
	w.barring[host] = now.Add(barFor)
}

// barred reports whether a host may not connect because it flooded the broker.
func (w *watch) barred(host string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	until, ok := w.barring[host]
	return ok && time.Now().Before(until)
}

// Recheck closes the connections of keys that Access does not admit any more.
func (b *Broker) Recheck() error {
	if b.access == nil {
		return nil
	}
	all, err := b.connections("")
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.AuthorizedUser == b.gate.own || c.AuthorizedUser == b.gate.shared {
			continue
		}
		if _, ok, _ := b.access.HostOf(c.AuthorizedUser); !ok {
			b.kick(c.Cid)
		}
	}
	return nil
}

// kick closes a connection.
func (b *Broker) kick(cid uint64) {
	b.mu.Lock()
	srv := b.server
	b.mu.Unlock()
	_ = srv.DisconnectClientByID(cid) // it may have left by itself
}

// send publishes to hosts. What nobody hears is lost.
func (b *Broker) send(subject string, data []byte) {
	if conn := b.Conn(); conn != nil {
		_ = conn.Publish(subject, data) // a broker that is being restarted tells them when they come again
	}
}

// live returns the open connections of some keys.
func (b *Broker) live(nkeys ...string) (all []*server.ConnInfo) {
	for _, nkey := range nkeys {
		some, err := b.connections(nkey)
		if err != nil {
			b.opts.Log.Error("broker", slog.Any("error", err))
		}
		all = append(all, some...)
	}
	return all
}

// traffic returns all open connections.
func (b *Broker) traffic() []*server.ConnInfo { return b.live("") }

// connections returns the open connections of a public nkey, of all for "".
func (b *Broker) connections(nkey string) ([]*server.ConnInfo, error) {
	const page = 1 << 20
	b.mu.Lock()
	srv := b.server
	b.mu.Unlock()
	z, err := srv.Connz(&server.ConnzOptions{Username: true, User: nkey, Limit: page})
	if err != nil {
		return nil, errors.Join(errors.New("list connections"), err)
	}
	return z.Conns, nil
}
