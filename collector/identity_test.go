package collector

import (
	"context"
	"crypto/ed25519"
	"database/sql"
	"fmt"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/collector/internal/enrolment"
	"github.com/flopwatch/flopwatch/collector/internal/ingest"
	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/collector/internal/roster"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/enrol"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// site is a store, a roster, a broker with TLS and an ingest, joined as the
// collector joins them.
type site struct {
	store     *store.Store
	path      string // of the database
	roster    *roster.Roster
	broker    *broker.Broker
	authority *enrolment.Authority
	key       ed25519.PrivateKey
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{path: filepath.Join(t.TempDir(), "flopwatch.db"), key: ed25519.NewKeyFromSeed(make([]byte, 32))}
	var err error
	if s.store, err = store.Open(t.Context(), s.path, store.Options{}); err != nil {
		t.Fatal(err)
	}
	if s.authority, err = enrolment.LoadAuthority(t.TempDir(), time.Now); err != nil {
		t.Fatal(err)
	}
	if s.roster, err = roster.New(t.Context(), roster.Config{Keeper: s.store, Key: s.key}); err != nil {
		t.Fatal(err)
	}
	s.broker, err = broker.Start(t.Context(), broker.Options{Dir: t.TempDir(), TLS: s.authority.TLS(), Access: s.roster, OwnKeysOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	s.roster.Cuts(s.broker.Recheck)
	counting, err := newCounting(s.broker, ingest.Config{Store: s.store, Key: s.key, Collector: "c", Identify: s.roster.Identify, Log: slog.New(slog.DiscardHandler)}, 1, "c")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- counting.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := s.broker.Close(); err != nil {
			t.Error(err)
		}
		if err := s.store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// machine is a host with its private keys.
type machine struct {
	host    string
	signing ed25519.PrivateKey
	nkey    nkeys.KeyPair
	counter []byte
	seq     uint64
	prev    [32]byte
}

func makeKeys(t *testing.T) (ed25519.PrivateKey, nkeys.KeyPair, enrol.Keys) {
	t.Helper()
	public, signing, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	text, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return signing, pair, enrol.Keys{Signing: public, Broker: text}
}

var anywhere = netip.MustParseAddr("192.0.2.7")

func (s *site) enrol(t *testing.T) *machine {
	t.Helper()
	token, _, err := s.roster.Invite(t.Context(), roster.Invitation{Name: "node"})
	if err != nil {
		t.Fatal(err)
	}
	signing, pair, keys := makeKeys(t)
	w, err := s.roster.Enrol(t.Context(), token, keys, anywhere)
	if err != nil {
		t.Fatal(err)
	}
	return &machine{host: w.Host, signing: signing, nkey: pair, counter: w.Counter}
}

// connect connects as the host's agent would.
func (s *site) connect(t *testing.T, m *machine, extra ...nats.Option) (*nats.Conn, error) {
	t.Helper()
	public, err := m.nkey.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	show := enrol.Showing{Signed: m.counter, Word: "word"}.Encode()
	c, err := nats.Connect(s.broker.URL(), append([]nats.Option{nats.Nkey(public, m.nkey.Sign), nats.Secure(enrol.ByAuthority(s.authority.Certificate())),
		nats.TokenHandler(func() string { return show }), nats.NoReconnect()}, extra...)...)
	if err == nil {
		t.Cleanup(c.Close)
	}
	return c, err
}

// batch makes an envelope that says it is of a host, signed by a key.
func batch(t *testing.T, host string, seq uint64, prev [32]byte, key ed25519.PrivateKey) []byte {
	t.Helper()
	now := time.Now().UnixNano()
	body, err := wire.Encode(&wire.Batch{
		Header: wire.Header{Version: wire.Version, Host: host, Epoch: 1, Seq: seq, PrevHash: prev, BootID: "0a1b2c3d-0000-4000-8000-000000000001", BoottimeNS: 1, WallNS: now, FirstNS: now, LastNS: now},
		Facts:  wire.HostFacts{Name: "n", OS: "linux", Kernel: "6", AgentVersion: "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return attest.Seal(key, attest.DomainBatch, body)
}

// next is the batch that the host sends next.
func (m *machine) next(t *testing.T) []byte {
	t.Helper()
	m.seq++
	e := batch(t, m.host, m.seq, m.prev, m.signing)
	m.prev = attest.Hash(e)
	return e
}

// quarantined returns reasons by how often, and how many batches of a host count.
func (s *site) quarantined(t *testing.T) map[string]int {
	t.Helper()
	db, err := sql.Open("sqlite3", s.path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.QueryContext(t.Context(), "SELECT reason, count(*) FROM quarantine GROUP BY reason")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	all := map[string]int{}
	for rows.Next() {
		var reason string
		var n int
		if err := rows.Scan(&reason, &n); err != nil {
			t.Fatal(err)
		}
		all[reason] = n
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

func (s *site) rules(t *testing.T) (all []string) {
	t.Helper()
	found, err := store.NewReader(s.store, "", false).Findings(t.Context(), desk.FindingQuery{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		all = append(all, f.Rule)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *site) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: did not happen", what)
		}
	}
}

// Every pair of subject, key and host id that does not belong together is refused
// and raised as a finding, also where the broker let it through.
func TestEveryWrongPairIsRefusedAndFound(t *testing.T) {
	s := newSite(t)
	a, b, gone := s.enrol(t), s.enrol(t), s.enrol(t)
	replaced := s.enrol(t)
	oldKey := replaced.signing
	signing, _, keys := makeKeys(t)
	if _, err := s.roster.Rotate(t.Context(), enrol.Rotation{Host: replaced.host, Keys: keys, OldSigning: oldKey.Public().(ed25519.PublicKey)}, anywhere); err != nil {
		t.Fatal(err)
	}
	replaced.signing = signing
	if _, err := s.roster.Decide(t.Context(), ledger.HostID(gone.host), inventory.Revoke, "sold"); err != nil {
		t.Fatal(err)
	}
	stranger, _, _ := makeKeys(t)
	names := []string{a.host, b.host, gone.host, "zzzzzzzzzzzzzzzzzzzzzzzzzz"}
	keyOf := map[string]ed25519.PrivateKey{"A's key": a.signing, "B's key": b.signing, "a revoked host's key": gone.signing, "a stranger's key": stranger}
	wrong := 0
	for _, subject := range names {
		for name, key := range keyOf {
			for _, says := range names {
				if subject == says && (subject == a.host && name == "A's key" || subject == b.host && name == "B's key") {
					continue // right
				}
				wrong++
				// The broker keeps hosts from doing this; the collector's own connection may.
				if err := s.broker.Conn().Publish(wire.BatchSubject(subject), batch(t, says, 1, [32]byte{}, key)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	s.await(t, fmt.Sprintf("%d refusals", wrong), func() bool {
		all := s.quarantined(t)
		return all["identity"]+all["not_admitted"] == wrong
	})
	if got := s.rules(t); !slices.Contains(got, store.RuleWrongIdentity) || !slices.Contains(got, store.RuleNotAdmitted) {
		t.Errorf("findings %q", got)
	}
	for _, host := range names {
		if n, err := s.store.HostEpoch(t.Context(), ledger.HostID(host)); err != nil || n != 0 {
			t.Errorf("something of %s was counted: %v", host, err)
		}
	}
	// The right ones count, the old key of a rotation for its overlap too.
	ofOld := batch(t, replaced.host, 1, [32]byte{}, oldKey)
	ofNew := batch(t, replaced.host, 2, attest.Hash(ofOld), signing)
	for subject, e := range map[string][]byte{a.host: a.next(t), b.host: b.next(t), replaced.host: ofOld} {
		if err := s.broker.Conn().Publish(wire.BatchSubject(subject), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.broker.Conn().Publish(wire.BatchSubject(replaced.host), ofNew); err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{a.host, b.host, replaced.host} {
		s.await(t, "count "+host, func() bool {
			n, err := s.store.HostEpoch(t.Context(), ledger.HostID(host))
			return err == nil && n == 1
		})
	}
	if all := s.quarantined(t); all["identity"]+all["not_admitted"] != wrong {
		t.Errorf("right ones were refused: %v", all)
	}
	t.Logf("%d wrong pairs, all refused", wrong)
}

// Revocation cuts a live connection before it returns, and what the host sends
// later is quarantined.
func TestRevocationThroughTheRoster(t *testing.T) {
	s := newSite(t)
	var took []time.Duration
	for range 20 {
		m := s.enrol(t)
		cut := make(chan time.Time, 1)
		c, err := s.connect(t, m, nats.ClosedHandler(func(*nats.Conn) { cut <- time.Now() }))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if _, err := s.roster.Decide(t.Context(), ledger.HostID(m.host), inventory.Revoke, "sold"); err != nil {
			t.Fatal(err)
		}
		select {
		case at := <-cut:
			took = append(took, at.Sub(begun))
		case <-time.After(30 * time.Second):
			t.Fatal("the connection stays")
		}
		if _, err := s.connect(t, m); err == nil {
			t.Fatal("it came back")
		}
		if err := s.broker.Conn().Publish(wire.BatchSubject(m.host), m.next(t)); err != nil {
			t.Fatal(err)
		}
	}
	s.await(t, "quarantine", func() bool { return s.quarantined(t)["not_admitted"] == len(took) })
	slices.Sort(took)
	t.Logf("from the decision, with its commit, to the cut: median %s, worst %s", took[len(took)/2].Round(time.Microsecond), took[len(took)-1].Round(time.Microsecond))
}

// A host that floods harms no other: each batch of the victim counts, soon, and
// the flooder is cut off and found.
func TestFloodByOneHostLeavesOthersUnharmed(t *testing.T) {
	s := newSite(t)
	flooder, victim := s.enrol(t), s.enrol(t)
	fc, err := s.connect(t, flooder)
	if err != nil {
		t.Fatal(err)
	}
	vc, err := s.connect(t, victim)
	if err != nil {
		t.Fatal(err)
	}
	receipts, err := vc.SubscribeSync(wire.ReceiptSubject(victim.host))
	if err != nil {
		t.Fatal(err)
	}
	if err := vc.Flush(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan int)
	go func() {
		n, junk := 0, make([]byte, 512)
		for fc.Publish(wire.BatchSubject(flooder.host), junk) == nil {
			n++
		}
		ended <- n
	}()
	var took []time.Duration
	for range 30 {
		begun := time.Now()
		if err := vc.Publish(wire.BatchSubject(victim.host), victim.next(t)); err != nil {
			t.Fatal(err)
		}
		for {
			m, err := receipts.NextMsg(15 * time.Second)
			if err != nil {
				t.Fatalf("no receipt of batch %d: %v", victim.seq, err)
			}
			_, body, err := attest.OpenEither(attest.DomainReceipt, m.Data)
			if err != nil {
				t.Fatal(err)
			}
			if r, err := wire.DecodeReceipt(body); err != nil {
				t.Fatal(err)
			} else if r.Seq == victim.seq {
				break
			}
		}
		took = append(took, time.Since(begun))
		time.Sleep(50 * time.Millisecond)
	}
	s.await(t, "the end of the flood", func() bool {
		select {
		case n := <-ended:
			slices.Sort(took)
			t.Logf("%d messages of the flooder; the victim's 30 batches all counted, receipt after: median %s, worst %s", n, took[15].Round(time.Millisecond), took[29].Round(time.Millisecond))
			return true
		default:
			return false
		}
	})
	if took[29] > 5*time.Second {
		t.Errorf("a batch of the victim took %s", took[29])
	}
	s.await(t, "a finding", func() bool { return slices.Contains(s.rules(t), store.RuleBrokerRefused) })
	if _, err := s.connect(t, flooder); err == nil {
		t.Error("the flooder came straight back")
	}
}
