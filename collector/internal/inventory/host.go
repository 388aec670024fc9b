// Package inventory says which hosts belong to the fleet, by which keys they are
// known, and which devices they should report.
//
// A host is the sum of the changes that were made to it. Changes are only ever
// added, each with who made it and when, so the inventory of any past instant
// can be had. The id of a host is chosen by the collector and never follows from
// a key: keys are replaced, hosts stay.
package inventory

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"

	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// State is where a host stands.
type State string

// The states. Only an enrolled host may report.
const (
	Invited  State = "invited"  // a join token is out, no key is known
	Enrolled State = "enrolled" // has a key
	Revoked  State = "revoked"  // its keys were taken away; a new token may bring it back
	Retired  State = "retired"  // gone for good
)

// Administered says who is root on a host: what it reports is worth no more than
// their word.
type Administered string

// Who may administer a host.
const (
	ByProvider Administered = "provider" // also where nothing was said of an enrolled host
	ByTenant   Administered = "tenant"
)

// Devices are accelerators of one model that a host should have.
type Devices struct {
	Model string             `json:"model,omitempty"` // as the catalogue or the driver names it, "" if unknown
	Count int                `json:"count"`           // at least len(IDs)
	IDs   []measure.DeviceID `json:"ids,omitempty"`   // those of which the UUID is known
}

// Key is a pair of keys that a host made, and when it counts.
type Key struct {
	Signing ed25519.PublicKey `json:"signing"` // of batches
	Broker  string            `json:"broker"`  // public nkey of the connection, begins with U
	FromNS  int64             `json:"from_ns"`
	ToNS    int64             `json:"to_ns,omitempty"` // first instant at which it does not count; 0: no end
}

// ValidAt reports whether the key counts at an instant, in Unix nanoseconds.
func (k Key) ValidAt(ns int64) bool { return k.FromNS <= ns && (k.ToNS == 0 || ns < k.ToNS) }

// Invitation is a join token that is out. The token itself is kept nowhere.
type Invitation struct {
	Hash      [32]byte `json:"hash"` // SHA-256 of the whole token
	ExpiresNS int64    `json:"expires_ns"`
	Network   string   `json:"network,omitempty"` // CIDR that it may be used from, "" for any
}

// Host is one host as its changes left it.
type Host struct {
	ID           ledger.HostID
	Name         string // what people call it
	Site         string
	State        State
	Administered Administered
	Devices      []Devices
	Keys         []Key       // oldest first, also those that ended
	Invitation   *Invitation // nil if none is out
	Suspicion    string      // why it is thought to be copied, "" if it is not; it may not report until a person decides
	Spans        []Span      // when it was expected to report, and what
	Changes      int         // how many made it
	ChangedNS    int64       // time of the last one
}

// Span is a half-open interval in which the host was expected to report these
// devices without a pause. It begins when the host enrols and ends when it is
// revoked or retired; a change of the devices ends one and begins the next.
type Span struct {
	FromNS  int64
	ToNS    int64 // 0: still
	Devices []Devices
}

// ErrRefused is wrapped by the error of a change that a host's state does not
// allow.
var ErrRefused = errors.New("the inventory does not allow it")

// DeviceCount returns how many devices the host should have.
func (h Host) DeviceCount() int {
	n := 0
	for _, d := range h.Devices {
		n += d.Count
	}
	return n
}

// Apply returns the host after a change, which must not be older than the last.
// The host that it was stays as it is.
func (h Host) Apply(c Change) (Host, error) {
	if err := c.check(); err != nil {
		return h, err
	}
	if h.Changes > 0 && c.Host != h.ID {
		return h, fmt.Errorf("change of host %s applied to host %s", c.Host, h.ID)
	}
	if c.AtNS < h.ChangedNS {
		// Clocks go back; the order of changes does not.
		c.AtNS = h.ChangedNS
	}
	next := h
	next.ID, next.ChangedNS, next.Changes = c.Host, c.AtNS, h.Changes+1
	next.Keys, next.Spans = slices.Clone(h.Keys), slices.Clone(h.Spans)
	if err := next.do(c); err != nil {
		return h, fmt.Errorf("%s host %s (%s): %w: %w", c.Act, c.Host, orNew(h.State), ErrRefused, err)
	}
	return next, nil
}

func orNew(s State) State {
	if s == "" {
		return "not in the inventory"
	}
	return s
}

func (h *Host) do(c Change) error {
	if h.State == "" && c.Act != Invite {
		return errors.New("no such host")
	}
	if h.State == Retired {
		return errors.New("a retired host stays retired; invite it as a new one")
	}
	switch c.Act {
	case Invite:
		h.Invitation = c.Invitation
		if h.State == "" || h.State == Revoked {
			h.State = Invited
		}
		h.describe(c)
	case Expect:
		h.describe(c)
	case Enroll:
		if h.Invitation == nil {
			return errors.New("no join token is out, or it was used")
		}
		if c.AtNS >= h.Invitation.ExpiresNS {
			return errors.New("the join token has expired")
		}
		h.Invitation, h.Suspicion, h.State = nil, "", Enrolled
		h.endKeys(c.AtNS)
		h.Keys = append(h.Keys, bound(c))
		h.expect(c.AtNS)
	case Rotate:
		if h.State != Enrolled {
			return errors.New("only an enrolled host changes its keys")
		}
		if h.Suspicion != "" {
			return errors.New("it is suspected to be copied")
		}
		for i := range h.Keys {
			if end := c.AtNS + c.OverlapNS; h.Keys[i].ToNS == 0 || h.Keys[i].ToNS > end {
				h.Keys[i].ToNS = end
			}
		}
		h.Keys = append(h.Keys, bound(c))
	case Suspect:
		if h.State != Enrolled {
			return errors.New("only an enrolled host can be copied")
		}
		h.Suspicion = c.Reason
	case Clear:
		if h.Suspicion == "" {
			return errors.New("nothing is suspected")
		}
		h.Suspicion = ""
	case Revoke, Retire:
		h.State, h.Invitation, h.Suspicion = Revoked, nil, ""
		if c.Act == Retire {
			h.State = Retired
		}
		h.endKeys(c.AtNS)
		h.unexpect(c.AtNS)
	}
	return nil
}

func bound(c Change) Key {
	return Key{Signing: c.Key.Signing, Broker: c.Key.Broker, FromNS: c.AtNS}
}

// describe takes what the change says of the host and leaves the rest.
func (h *Host) describe(c Change) {
	if c.Name != "" {
		h.Name = c.Name
	}
	if c.Site != "" {
		h.Site = c.Site
	}
	if c.Administered != "" {
		h.Administered = c.Administered
	}
	if c.Devices != nil {
		h.Devices = c.Devices
		if h.State == Enrolled {
			h.expect(c.AtNS)
		}
	}
}

func (h *Host) endKeys(ns int64) {
	for i := range h.Keys {
		if h.Keys[i].ToNS == 0 || h.Keys[i].ToNS > ns {
			h.Keys[i].ToNS = ns
		}
	}
}

// expect begins a span, unless one with the same devices goes on.
func (h *Host) expect(ns int64) {
	if n := len(h.Spans); n > 0 && h.Spans[n-1].ToNS == 0 && slices.EqualFunc(h.Spans[n-1].Devices, h.Devices, Devices.equal) {
		return
	}
	h.unexpect(ns)
	h.Spans = append(h.Spans, Span{FromNS: ns, Devices: h.Devices})
}

func (h *Host) unexpect(ns int64) {
	n := len(h.Spans)
	if n == 0 || h.Spans[n-1].ToNS != 0 {
		return
	}
	if h.Spans[n-1].FromNS == ns {
		h.Spans = h.Spans[:n-1] // of no length
		return
	}
	h.Spans[n-1].ToNS = ns
}

func (d Devices) equal(o Devices) bool {
	return d.Model == o.Model && d.Count == o.Count && slices.Equal(d.IDs, o.IDs)
}
