package roster

import (
	"context"
	"crypto/ed25519"
	"errors"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
	"github.com/flopwatch/flopwatch/pkg/enrol"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// bench is a roster over a real store, with a clock that the test moves.
type bench struct {
	*Roster
	store *store.Store
	key   ed25519.PrivateKey
	ns    atomic.Int64
	cuts  atomic.Int64
}

var here = netip.MustParseAddr("10.1.2.3")

func newBench(t *testing.T) *bench {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flopwatch.db")
	s, err := store.Open(t.Context(), path, store.Options{Postgres: storetest.Database(t, path, func(url string) error { return store.Migrate(t.Context(), url, "") })})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{store: s, key: ed25519.NewKeyFromSeed(make([]byte, 32))}
	b.ns.Store(time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC).UnixNano())
	b.start(t)
	return b
}

func (b *bench) start(t *testing.T) {
	t.Helper()
	r, err := New(t.Context(), Config{Keeper: b.store, Key: b.key, Authority: [32]byte{7}, Now: func() time.Time { return time.Unix(0, b.ns.Load()) }})
	if err != nil {
		t.Fatal(err)
	}
	r.Cuts(func() error { b.cuts.Add(1); return nil })
	b.Roster = r
}

func (b *bench) pass(d time.Duration) { b.ns.Add(d.Nanoseconds()) }

// keysOf are the public halves; that they are proven is not the roster's business.
func newKeys(t *testing.T) enrol.Keys {
	t.Helper()
	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	broker, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	text, err := broker.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return enrol.Keys{Signing: public, Broker: text}
}

// member is a host that enrolled.
func (b *bench) member(t *testing.T) (host string, k enrol.Keys, counter []byte) {
	t.Helper()
	token, _, err := b.Invite(t.Context(), Invitation{Name: "node"})
	if err != nil {
		t.Fatal(err)
	}
	k = newKeys(t)
	w, err := b.Enrol(t.Context(), token, k, here)
	if err != nil {
		t.Fatal(err)
	}
	return w.Host, k, w.Counter
}

func (b *bench) findings(t *testing.T) string {
	t.Helper()
	all, err := store.NewReader(b.store, "", false).Findings(t.Context(), desk.FindingQuery{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range all {
		out = append(out, f.Rule)
	}
	return strings.Join(out, " ")
}

func TestTokensOpenOnceInTimeFromTheirNetwork(t *testing.T) {
	b := newBench(t)
	invite := func(in Invitation) enrol.Token {
		t.Helper()
		token, h, err := b.Invite(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		if token.Host != string(h.ID) || !inventory.ValidHostID(h.ID) {
			t.Errorf("token for %s, host %s", token.Host, h.ID)
		}
		return token
	}
	refused := func(what string, token enrol.Token, from string) {
		t.Helper()
		if _, err := b.Enrol(t.Context(), token, newKeys(t), netip.MustParseAddr(from)); !errors.Is(err, ErrToken) {
			t.Errorf("%s: %v", what, err)
		}
	}
	token := invite(Invitation{Name: "a", Network: "10.1.0.0/16"})
	refused("from elsewhere", token, "10.2.0.1")
	if _, err := b.Enrol(t.Context(), token, newKeys(t), netip.MustParseAddr("::ffff:10.1.9.9")); err != nil {
		t.Error(err)
	}
	refused("used", token, "10.1.9.9")
	late := invite(Invitation{Name: "b"})
	b.pass(enrol.TokenLife)
	refused("expired", late, "10.1.9.9")
	first := invite(Invitation{Name: "c"})
	second := invite(Invitation{Host: ledger.HostID(first.Host)})
	refused("replaced", first, "10.1.9.9")
	b.start(t) // tokens outlive the collector
	if _, err := b.Enrol(t.Context(), second, newKeys(t), here); err != nil {
		t.Error(err)
	}
	made, err := enrol.NewToken(first.Host, [32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	refused("made up", made, "10.1.9.9")
	for _, in := range []Invitation{{Life: 25 * time.Hour}, {Life: time.Second}, {Network: "10.1.2.3/16"}, {Network: "all"}} {
		if _, _, err := b.Invite(t.Context(), in); !errors.Is(err, ErrInvitation) {
			t.Errorf("%+v: %v", in, err)
		}
	}
	if _, _, err := b.Invite(t.Context(), Invitation{Host: "aaaaaaaaaaaaaaaaaaaaaaaaaa"}); !errors.Is(err, ErrNoHost) {
		t.Errorf("a host that is not there: %v", err)
	}
}

func TestKeysOfAHostThroughItsLife(t *testing.T) {
	b := newBench(t)
	host, old, _ := b.member(t)
	is := func(what string, k enrol.Keys, want bool) {
		t.Helper()
		id, refused := b.Identify(k.Signing)
		name, ok, _ := b.HostOf(k.Broker)
		if (refused == "") != want || ok != want || string(id) != host || name != host {
			t.Errorf("%s: signing %s %q, broker %s %v; want %v", what, id, refused, name, ok, want)
		}
	}
	is("enrolled", old, true)
	next := newKeys(t)
	rotation := enrol.Rotation{Host: host, Keys: next, OldSigning: old.Signing}
	until, err := b.Rotate(t.Context(), rotation, here)
	if err != nil || until.UnixNano() != b.ns.Load()+Overlap.Nanoseconds() {
		t.Fatalf("rotate: %s, %v", until, err)
	}
	is("old, in the overlap", old, true)
	is("new", next, true)
	b.pass(Overlap)
	is("old, after the overlap", old, false)
	is("new", next, true)
	if _, err := b.Rotate(t.Context(), enrol.Rotation{Host: host, Keys: newKeys(t), OldSigning: old.Signing}, here); !errors.Is(err, inventory.ErrRefused) {
		t.Errorf("rotated by a key that ended: %v", err)
	}
	if _, err := b.Rotate(t.Context(), enrol.Rotation{Host: host, Keys: old, OldSigning: next.Signing}, here); !errors.Is(err, inventory.ErrRefused) {
		t.Errorf("bound a key a second time: %v", err)
	}
	other, otherKeys, _ := b.member(t)
	if _, err := b.Rotate(t.Context(), enrol.Rotation{Host: other, Keys: newKeys(t), OldSigning: next.Signing}, here); !errors.Is(err, inventory.ErrRefused) {
		t.Errorf("rotated for another host: %v", err)
	}
	before := b.cuts.Load()
	if _, err := b.Decide(t.Context(), ledger.HostID(host), inventory.Revoke, "sold"); err != nil {
		t.Fatal(err)
	}
	if b.cuts.Load() != before+1 {
		t.Error("nothing was cut")
	}
	is("revoked", next, false)
	if id, refused := b.Identify(otherKeys.Signing); refused != "" || string(id) != other {
		t.Errorf("the other host: %s %s", id, refused)
	}
	b.start(t) // all of it is stored
	is("revoked, after a restart", next, false)
	h, _ := b.Host(ledger.HostID(host))
	if len(h.Keys) != 2 {
		t.Errorf("lineage of %d keys", len(h.Keys))
	}
}

// shower is one machine that shows counters.
type shower struct {
	signed []byte
	word   string
}

func (b *bench) shows(host string, s shower) (next []byte, ok bool) {
	next, outdated := b.Show(host, enrol.Showing{Signed: s.signed, Word: s.word}.Encode())
	return next, !outdated
}

func TestCountersTellAHostFromItsCopy(t *testing.T) {
	b := newBench(t)
	host, _, first := b.member(t)
	a := shower{first, "w0"}
	for i := range 5 { // each connection takes one; an answer that is lost is given again
		next, ok := b.shows(host, a)
		again, okAgain := b.shows(host, a)
		if !ok || !okAgain || string(next) != string(again) {
			t.Fatalf("connection %d: %v %v", i, ok, okAgain)
		}
		a = shower{next, "w" + string(rune('1'+i))}
		if i == 2 { // a crash of the collector forgets nothing that was written
			b.save(t.Context())
			b.start(t)
		}
	}
	if _, ok := b.shows(host, shower{first, "w0"}); ok {
		t.Error("an outdated counter was let in")
	}
	for name, text := range map[string]string{"nothing": "", "no counter": "x.y", "of another host": enrol.Showing{Signed: enrol.Counter{Host: "other", Number: 1 << 40}.Sign(b.key), Word: "w"}.Encode()} {
		if _, outdated := b.Show(host, text); !outdated {
			t.Errorf("%s was let in", name)
		}
	}
	// One that the collector signed and forgot in a crash counts.
	b.start(t)
	if _, ok := b.shows(host, a); !ok {
		t.Error("a counter that is ahead was refused")
	}
}

func TestOutdatedCounterRecoversOnceThenLocks(t *testing.T) {
	b := newBench(t)
	host, keys, first := b.member(t)
	restored := shower{first, "other"}
	a := shower{first, "w0"}
	for range 3 {
		next, _ := b.shows(host, a)
		a = shower{next, "w"}
	}
	if _, ok := b.shows(host, restored); ok {
		t.Fatal("let in unasked")
	}
	b.Outdated(host, false)
	next, ok := b.shows(host, restored)
	if !ok {
		t.Fatal("a restored machine was not let in once")
	}
	if got := b.findings(t); got != store.RuleRestoredHost {
		t.Errorf("findings %q", got)
	}
	// The one that it was restored from comes as well: now both are locked.
	if _, ok := b.shows(host, a); ok {
		t.Fatal("the machine before was let in")
	}
	b.Outdated(host, false)
	if _, refused := b.Identify(keys.Signing); refused == "" {
		t.Fatal("not locked")
	}
	if got := b.findings(t); !strings.Contains(got, store.RuleCopiedKey) {
		t.Errorf("findings %q", got)
	}
	if _, err := b.Decide(t.Context(), ledger.HostID(host), inventory.Clear, "the copy is gone"); err != nil {
		t.Fatal(err)
	}
	if _, ok := b.shows(host, shower{next, "after"}); !ok {
		t.Error("cleared and not let in")
	}
}

func TestOutdatedWhileAnotherIsConnectedLocksAtOnce(t *testing.T) {
	b := newBench(t)
	host, keys, _ := b.member(t)
	before := b.cuts.Load()
	b.Outdated(host, true)
	if _, ok, why := b.HostOf(keys.Broker); ok || !strings.Contains(why, "copied") {
		t.Errorf("not locked: %s", why)
	}
	if b.cuts.Load() == before {
		t.Error("connections stay")
	}
	for range 100 { // nothing more is written
		b.Outdated(host, true)
		b.Refused(host, "a subject")
	}
	if got := b.findings(t); strings.Count(got, store.RuleCopiedKey) != 1 || strings.Count(got, store.RuleBrokerRefused) != 1 {
		t.Errorf("findings %q", got)
	}
	h, _ := b.Host(ledger.HostID(host))
	if h.Changes != 3 {
		t.Errorf("%d changes", h.Changes)
	}
}

func TestRunWritesCountersAtItsEnd(t *testing.T) {
	b := newBench(t)
	host, _, first := b.member(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	if _, ok := b.shows(host, shower{first, "w"}); !ok {
		t.Fatal("not let in")
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	kept, err := b.store.LoadCounters(t.Context())
	if err != nil || kept[ledger.HostID(host)].Word != "w" {
		t.Errorf("%+v, %v", kept, err)
	}
}
