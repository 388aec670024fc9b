package inventory

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Act is what a change does.
type Act string

// The acts.
const (
	Invite  Act = "invite"  // make the host, or let a known one enrol again; Invitation, and what is known of it
	Expect  Act = "expect"  // say what the host has: Name, Site, Devices
	Enroll  Act = "enroll"  // burn the token and bind Key; earlier keys end
	Rotate  Act = "rotate"  // bind Key; earlier keys end after OverlapNS
	Suspect Act = "suspect" // the host is thought to be copied, for Reason
	Clear   Act = "clear"   // a person says that it is not
	Revoke  Act = "revoke"  // take its keys away
	Retire  Act = "retire"  // the host is gone
)

// Change is one entry of the history of a host. It is never altered.
type Change struct {
	No     int64         `json:"-"` // order in the store, grows; 0 before it is stored
	Host   ledger.HostID `json:"-"`
	AtNS   int64         `json:"-"` // Unix nanoseconds
	By     string        `json:"-"` // who made it: operator, host or collector, and what is known of them
	Act    Act           `json:"-"`
	Reason string        `json:"-"` // in words; Suspect, Revoke and Retire need one

	Name    string    `json:"name,omitempty"`
	Site    string    `json:"site,omitempty"`
	Devices []Devices `json:"devices,omitempty"`
	// Administered says who is root on the host, "" what was said before.
	Administered Administered `json:"administered,omitempty"`
	Invitation   *Invitation  `json:"invitation,omitempty"`
	Key          *Key         `json:"key,omitempty"` // its times are set by the change
	OverlapNS    int64        `json:"overlap_ns,omitempty"`
}

// Limits of what a change may say.
const (
	MaxText    = 256 // bytes of a name, site, model, reason
	MaxDevices = 64  // of one host
	MaxOverlap = 7 * 24 * 3600 * int64(1e9)
)

var hostID = regexp.MustCompile(`^[a-z2-7]{26}$`)

// ValidHostID reports whether the text is an id as the collector makes them: 26
// lower-case base32 characters, so it can hold nothing that means something in a
// subject.
func ValidHostID(id ledger.HostID) bool { return hostID.MatchString(string(id)) }

// check tells all faults of a change that do not depend on the host.
func (c Change) check() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(!ValidHostID(c.Host), "host id %q: must be 26 lower-case base32 characters", c.Host)
	fault(c.AtNS <= 0, "time: must be set")
	fault(c.By == "", "by: must say who makes the change")
	for _, t := range []struct{ what, text string }{{"name", c.Name}, {"site", c.Site}, {"by", c.By}, {"reason", c.Reason}} {
		fault(!plain(t.text), "%s: must be at most %d bytes of UTF-8 without control characters", t.what, MaxText)
	}
	fault(c.Administered != "" && c.Administered != ByProvider && c.Administered != ByTenant, "administered: must be provider or tenant")
	faults = append(faults, checkDevices(c.Devices)...)
	switch c.Act {
	case Invite:
		fault(c.Invitation == nil, "invitation: must be given")
		fault(c.Invitation != nil && c.Invitation.ExpiresNS <= c.AtNS, "invitation: expires before it is made")
	case Enroll, Rotate:
		fault(c.Key == nil || len(c.Key.Signing) != ed25519.PublicKeySize || !strings.HasPrefix(c.Key.Broker, "U"), "key: must be an Ed25519 key and a public nkey of a user")
		fault(c.OverlapNS < 0 || c.OverlapNS > MaxOverlap, "overlap: must be between 0 and 7 days")
	case Suspect, Revoke, Retire:
		fault(c.Reason == "", "reason: must be given")
	case Expect, Clear:
	default:
		fault(true, "act %q: not known", c.Act)
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("change of host %s: %w", c.Host, err)
	}
	return nil
}

func checkDevices(all []Devices) []error {
	var faults []error
	n := 0
	seen := map[measure.DeviceID]bool{}
	for i, d := range all {
		if d.Count < 1 || d.Count > MaxDevices || len(d.IDs) > d.Count {
			faults = append(faults, fmt.Errorf("devices %d: count %d with %d UUIDs: must be between 1 and %d, and no less than the UUIDs", i+1, d.Count, len(d.IDs), MaxDevices))
			continue
		}
		if !plain(d.Model) {
			faults = append(faults, fmt.Errorf("devices %d: model: must be at most %d bytes of UTF-8 without control characters", i+1, MaxText))
		}
		for _, id := range d.IDs {
			if id == "" || !plain(string(id)) || seen[id] {
				faults = append(faults, fmt.Errorf("devices %d: a UUID is empty, unreadable or given twice", i+1))
			}
			seen[id] = true
		}
		n += d.Count
	}
	if n > MaxDevices {
		faults = append(faults, fmt.Errorf("devices: %d in all: at most %d", n, MaxDevices))
	}
	return faults
}

// plain reports whether text may be kept and shown: bounded UTF-8 without control
// and direction characters.
func plain(text string) bool {
	if len(text) > MaxText || !utf8.ValidString(text) {
		return false
	}
	return !strings.ContainsFunc(text, func(r rune) bool { return unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) })
}
