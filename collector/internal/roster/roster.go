// Package roster is the inventory at work: it lets people invite, clear, revoke
// and retire hosts, binds the keys that hosts bring, and tells broker and ingest
// who may connect and send.
//
// All changes of the inventory go through one Roster, which holds the inventory
// in memory: a key that is taken away counts no more from that instant, and
// connections with it are cut before the call returns.
package roster

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/inventory"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/enrol"
	"github.com/flopwatch/flopwatch/pkg/ledger"
)

// Overlap is how long the keys before a rotation count beside the new ones.
const Overlap = 24 * time.Hour

// Keeper makes changes durable. *store.Store is one.
type Keeper interface {
	LoadInventory(ctx context.Context) (*inventory.Inventory, error)
	ChangedSince(ctx context.Context, seq int64, kinds ...string) (newest int64, changed bool, err error)
	ChangeHost(ctx context.Context, c inventory.Change) (inventory.Host, error)
	RaiseHost(ctx context.Context, all ...store.HostFinding) error
	LoadCounters(ctx context.Context) (map[ledger.HostID]store.HostCounter, error)
	SaveCounters(ctx context.Context, all map[ledger.HostID]store.HostCounter) error
	HostEpoch(ctx context.Context, host ledger.HostID) (uint64, error)
}

// Config of a Roster. Keeper and Key must be set.
type Config struct {
	Keeper    Keeper
	Key       ed25519.PrivateKey // of the collector; signs counters
	Authority [32]byte           // enrol.AuthorityHash, for tokens
	Shared    bool               // other collectors change the inventory too
	Now       func() time.Time   // time.Now if nil
	Log       *slog.Logger       // nil drops
}

// Roster may be used from many goroutines.
type Roster struct {
	cfg Config

	mu    sync.Mutex
	hosts *inventory.Inventory
	entry int64 // of the audit log up to which changes of other collectors are known

	cut func() error // closes the connections of keys that do not count; set before use

	counters counters
	told     told
}

// New loads the inventory.
func New(ctx context.Context, cfg Config) (*Roster, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	hosts, err := cfg.Keeper.LoadInventory(ctx)
	if err != nil {
		return nil, err
	}
	known, err := cfg.Keeper.LoadCounters(ctx)
	if err != nil {
		return nil, err
	}
	r := &Roster{cfg: cfg, hosts: hosts, cut: func() error { return nil }}
	r.counters = newCounters(known)
	r.told.day = map[string]string{}
	return r, nil
}

// Cuts names what closes the connections of keys that do not count any more, the
// broker's Recheck. It must be set before the roster is used.
func (r *Roster) Cuts(cut func() error) { r.cut = cut }

// recheckEvery bounds how long a connection outlives a key that ended by time.
const recheckEvery = 30 * time.Second

// Run keeps counters and cuts connections whose keys have ended, until ctx ends.
func (r *Roster) Run(ctx context.Context) error {
	save, check := time.NewTicker(time.Second), time.NewTicker(recheckEvery)
	defer save.Stop()
	defer check.Stop()
	for {
		select {
		case <-save.C:
			r.save(ctx)
			r.mu.Lock()
			err := r.refresh(ctx)
			r.mu.Unlock()
			if err != nil && ctx.Err() == nil {
				r.cfg.Log.ErrorContext(ctx, "the inventory could not be read again", slog.Any("error", err))
			}
		case <-check.C:
			if err := r.cut(); err != nil {
				r.cfg.Log.ErrorContext(ctx, "connections could not be checked", slog.Any("error", err))
			}
		case <-ctx.Done():
			r.save(context.WithoutCancel(ctx))
			return nil
		}
	}
}

// refresh takes up what other collectors changed. The caller holds the lock.
func (r *Roster) refresh(ctx context.Context) error {
	if !r.cfg.Shared {
		return nil
	}
	newest, changed, err := r.cfg.Keeper.ChangedSince(ctx, r.entry, "inventory_change", "inventory_key")
	if err != nil {
		return err
	}
	if changed {
		hosts, err := r.cfg.Keeper.LoadInventory(ctx)
		if err != nil {
			return err
		}
		r.hosts = hosts
	}
	r.entry = newest
	return nil
}

// change makes a change durable, then lets it count. Connections that it takes
// the right from are cut before it returns.
func (r *Roster) change(ctx context.Context, c inventory.Change) (inventory.Host, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changeLocked(ctx, c)
}

func (r *Roster) changeLocked(ctx context.Context, c inventory.Change) (inventory.Host, error) {
	if err := r.refresh(ctx); err != nil {
		return inventory.Host{}, err
	}
	if c.AtNS == 0 {
		c.AtNS = r.cfg.Now().UnixNano()
	}
	if c.By == "" {
		who := audit.Of(ctx).Actor
		c.By = string(who.Kind) + " " + who.ID
	}
	ctx = audit.Because(ctx, "host."+string(c.Act), c.Reason)
	if _, err := r.cfg.Keeper.ChangeHost(ctx, c); err != nil {
		return inventory.Host{}, err
	}
	h, err := r.hosts.Apply(c)
	if err != nil {
		// The store has it and memory has not: only a start anew agrees again.
		return inventory.Host{}, fmt.Errorf("the inventory in memory differs from the stored one, start the collector anew: %w", err)
	}
	return h, nil
}

// cutAfter closes connections after a change that took a right away.
func (r *Roster) cutAfter(ctx context.Context, host ledger.HostID) {
	if err := r.cut(); err != nil {
		r.cfg.Log.ErrorContext(ctx, "connections could not be cut; the next look follows within 30 s", slog.String("host", string(host)), slog.Any("error", err))
	}
}

// Hosts returns all hosts of the inventory.
func (r *Roster) Hosts() []inventory.Host {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hosts.Hosts()
}

// Host returns one host.
func (r *Roster) Host(id ledger.HostID) (inventory.Host, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hosts.Host(id)
}

// Invitation says what is known of a host that is to enrol.
type Invitation struct {
	Host         ledger.HostID // "" for a new host
	Name         string
	Site         string
	Administered inventory.Administered // "" for the provider, or what was said before
	Devices      []inventory.Devices
	Network      string        // CIDR, "" for any
	Life         time.Duration // enrol.TokenLife if 0
}

// ErrInvitation is wrapped by the error of an invitation that makes no sense.
var ErrInvitation = errors.New("the host cannot be invited so")

// Invite makes a host, or lets a known one enrol again, and returns the token
// with which it does. The token is kept nowhere; one that was out before is void.
func (r *Roster) Invite(ctx context.Context, in Invitation) (enrol.Token, inventory.Host, error) {
	life := in.Life
	if life == 0 {
		life = enrol.TokenLife
	}
	if life < time.Minute || life > enrol.MaxTokenLife {
		return enrol.Token{}, inventory.Host{}, fmt.Errorf("%w: a token lives between one minute and 24 hours", ErrInvitation)
	}
	if in.Network != "" {
		p, err := netip.ParsePrefix(in.Network)
		if err != nil || p != p.Masked() {
			return enrol.Token{}, inventory.Host{}, fmt.Errorf("%w: the network must be written as 10.0.0.0/8, without bits behind the length", ErrInvitation)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := in.Host
	if id == "" {
		id = newHostID()
	} else if _, known := r.hosts.Host(id); !known {
		return enrol.Token{}, inventory.Host{}, ErrNoHost
	}
	token, err := enrol.NewToken(string(id), r.cfg.Authority)
	if err != nil {
		return enrol.Token{}, inventory.Host{}, err
	}
	now := r.cfg.Now()
	h, err := r.changeLocked(ctx, inventory.Change{
		Host: id, AtNS: now.UnixNano(), Act: inventory.Invite, Name: in.Name, Site: in.Site, Administered: in.Administered, Devices: in.Devices,
		Invitation: &inventory.Invitation{Hash: token.Hash(), ExpiresNS: now.Add(life).UnixNano(), Network: in.Network},
	})
	return token, h, err
}

var hostIDs = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

func newHostID() ledger.HostID {
	var b [17]byte
	rand.Read(b[:]) // never fails: the runtime stops the program instead
	return ledger.HostID(hostIDs.EncodeToString(b[:])[:26])
}

// ErrNoHost means that the inventory has no such host.
var ErrNoHost = errors.New("there is no such host in the inventory")

// Decide lets a person clear, revoke or retire a host. Its connections are cut
// before Decide returns, unless it was cleared.
func (r *Roster) Decide(ctx context.Context, host ledger.HostID, act inventory.Act, reason string) (inventory.Host, error) {
	if act != inventory.Clear && act != inventory.Revoke && act != inventory.Retire {
		return inventory.Host{}, fmt.Errorf("decide on host %s: %w: act %q is not a person's", host, inventory.ErrRefused, act)
	}
	if _, known := r.Host(host); !known {
		return inventory.Host{}, ErrNoHost
	}
	h, err := r.change(ctx, inventory.Change{Host: host, Act: act, Reason: reason})
	if err != nil {
		return inventory.Host{}, err
	}
	if act == inventory.Clear {
		r.counters.forgive(host) // whoever stays has perhaps not the newest counter
	} else {
		r.cutAfter(ctx, host)
	}
	return h, nil
}

// ErrToken means that a join token opens nothing: it never was one, it was used,
// has expired, was replaced, or may not be used from there. Who holds a wrong
// token is not told which.
var ErrToken = errors.New("the join token is not valid (used, expired, replaced, or not for this address)")

// Enrol burns a token and binds the keys of a request whose signatures were
// verified. from is where it came from.
func (r *Roster) Enrol(ctx context.Context, token enrol.Token, k enrol.Keys, from netip.Addr) (welcome enrol.Welcome, err error) {
	host := ledger.HostID(token.Host)
	epoch, err := r.cfg.Keeper.HostEpoch(ctx, host)
	if err != nil {
		return enrol.Welcome{}, err
	}
	r.mu.Lock()
	h, _ := r.hosts.Host(host)
	now := r.cfg.Now()
	if !opens(h.Invitation, token, from, now) {
		r.mu.Unlock()
		return enrol.Welcome{}, ErrToken
	}
	ctx = audit.With(ctx, audit.Act{Actor: audit.Actor{Kind: audit.Service, ID: "host " + token.Host}})
	_, err = r.changeLocked(ctx, inventory.Change{Host: host, AtNS: now.UnixNano(), By: "host at " + from.String(), Act: inventory.Enroll,
		Key: &inventory.Key{Signing: k.Signing, Broker: k.Broker}})
	r.mu.Unlock()
	if err != nil {
		return enrol.Welcome{}, err
	}
	counter := enrol.Counter{Host: token.Host, Number: r.counters.begin(host)}
	r.cutAfter(ctx, host) // of the keys that it had before
	return enrol.Welcome{
		Host: token.Host, Epoch: epoch + 1, ReceiptKeys: [][]byte{r.cfg.Key.Public().(ed25519.PublicKey)}, Counter: counter.Sign(r.cfg.Key),
	}, nil
}

func opens(in *inventory.Invitation, token enrol.Token, from netip.Addr, now time.Time) bool {
	hash := token.Hash()
	if in == nil || subtle.ConstantTimeCompare(hash[:], in.Hash[:]) != 1 || now.UnixNano() >= in.ExpiresNS {
		return false
	}
	if in.Network == "" {
		return true
	}
	network, err := netip.ParsePrefix(in.Network)
	return err == nil && network.Contains(from.Unmap())
}

// Rotate binds new keys to a host whose request was verified: it is signed by the
// old key, which must be one that counts. It returns until when the old ones do.
func (r *Roster) Rotate(ctx context.Context, in enrol.Rotation, from netip.Addr) (until time.Time, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.cfg.Now()
	host, verdict := r.hosts.BySigning(in.OldSigning, now.UnixNano())
	if verdict != inventory.Admitted || string(host) != in.Host {
		return time.Time{}, fmt.Errorf("rotate keys of host %s: %w: %s", in.Host, inventory.ErrRefused, verdict)
	}
	ctx = audit.With(ctx, audit.Act{Actor: audit.Actor{Kind: audit.Service, ID: "host " + in.Host}})
	_, err = r.changeLocked(ctx, inventory.Change{Host: host, AtNS: now.UnixNano(), By: "host at " + from.String(), Act: inventory.Rotate,
		Key: &inventory.Key{Signing: in.Keys.Signing, Broker: in.Keys.Broker}, OverlapNS: Overlap.Nanoseconds()})
	return now.Add(Overlap), err
}

// Identify says which host signs with a key, and why not if none may. It is for
// ingest.
func (r *Roster) Identify(key ed25519.PublicKey) (host ledger.HostID, refused string) {
	r.mu.Lock()
	host, verdict := r.hosts.BySigning(key, r.cfg.Now().UnixNano())
	r.mu.Unlock()
	if verdict != inventory.Admitted {
		return host, verdict.String()
	}
	return host, ""
}

// KeysOf returns the public nkeys with which a host may connect.
func (r *Roster) KeysOf(host string) []string {
	now := r.cfg.Now().UnixNano()
	h, _ := r.Host(ledger.HostID(host))
	var keys []string
	for _, k := range h.Keys {
		if k.ValidAt(now) {
			keys = append(keys, k.Broker)
		}
	}
	return keys
}

// HostOf says which host may connect with a public nkey. It is for the broker.
func (r *Roster) HostOf(nkey string) (host string, ok bool, why string) {
	r.mu.Lock()
	id, verdict := r.hosts.ByBroker(nkey, r.cfg.Now().UnixNano())
	r.mu.Unlock()
	return string(id), verdict == inventory.Admitted, strings.TrimSpace(verdict.String())
}
