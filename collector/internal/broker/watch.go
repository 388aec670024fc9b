package broker

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
)

// maxNotices bounds what waits for the watch; what comes beyond is counted.
const maxNotices = 1024

// watch looks at who is connected. It keeps one connection for each key: a new
// one takes the place of the old. An agent that starts again never comes back as
// the one that it was, so when an instance that had to give way returns, two
// machines hold the key.
type watch struct {
	access  Access
	notices chan notice
	missed  atomic.Int64
	gone    map[string]map[string]bool // host → instances that gave way
	done    chan struct{}
	ended   chan struct{}
	stop    sync.Once
	live    func(nkey string) []*server.ConnInfo
	kick    func(cid uint64)
}

// maxGone bounds the instances that are remembered of one host.
const maxGone = 64

func newWatch(access Access) *watch {
	return &watch{access: access, notices: make(chan notice, maxNotices), gone: map[string]map[string]bool{}, done: make(chan struct{}), ended: make(chan struct{})}
}

// tell never waits: it is called from inside the server.
func (w *watch) tell(n notice) {
	select {
	case w.notices <- n:
	default:
		w.missed.Add(1)
	}
}

func (w *watch) run() {
	defer close(w.ended)
	for {
		select {
		case <-w.done:
			return
		case n := <-w.notices:
			switch {
			case n.refused != "" && w.access != nil:
				w.access.Refused(n.host, n.refused)
			case n.refused == "":
				w.arrived(n)
			}
		}
	}
}

func (w *watch) close() {
	w.stop.Do(func() { close(w.done) })
	<-w.ended
}

func (w *watch) arrived(n notice) {
	all := w.live(n.nkey)
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

// Recheck closes the connections of keys that Access does not admit any more.
func (b *Broker) Recheck() error {
	if b.access == nil {
		return nil
	}
	all, err := connections(b.server, "")
	if err != nil {
		return err
	}
	for _, c := range all {
		if c.AuthorizedUser == b.gate.own || c.AuthorizedUser == b.gate.shared {
			continue
		}
		if _, ok, _ := b.access.HostOf(c.AuthorizedUser); !ok {
			// It may have left by itself.
			_ = b.server.DisconnectClientByID(c.Cid)
		}
	}
	return nil
}

// connections returns the open connections of a public nkey, of all for "".
func connections(s *server.Server, nkey string) ([]*server.ConnInfo, error) {
	const page = 1 << 20
	z, err := s.Connz(&server.ConnzOptions{Username: true, User: nkey, Limit: page})
	if err != nil {
		return nil, errors.Join(errors.New("list connections"), err)
	}
	return z.Conns, nil
}
