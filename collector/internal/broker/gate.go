package broker

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"github.com/flopwatch/flopwatch/pkg/wire"
)

// Access knows the hosts and hears what they should not have tried. Its methods
// may be called from many goroutines.
type Access interface {
	// HostOf says which host may connect with a public nkey. Where none may, why
	// says so, and host names who it is about, "" if that is not known.
	HostOf(nkey string) (host string, ok bool, why string)
	// Refused hears that a connection or a subject was refused. host is "" if it
	// is not known.
	Refused(host, what string)
	// Copied hears that one key is in use in two places.
	Copied(host, why string)
	// KeysOf returns the public nkeys with which a host may connect.
	KeysOf(host string) []string
	// Show takes what a host shows when it connects. next is what it shows the next
	// time, nil for nothing; outdated refuses the connection.
	Show(host, shown string) (next []byte, outdated bool)
	// Outdated hears that a host was refused because what it showed is outdated, and
	// whether another is connected as the same host.
	Outdated(host string, connected bool)
}

// HostPermissions is all that a host may do: send its own batches, and hear its
// own receipts, counters, leases and settings. It may publish nothing else, and above all
// make no request: the answer would go to a subject of its choice, such as the
// one on which another host sends. So leases and settings are sent to hosts and
// never asked for.
func HostPermissions(host string) *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{wire.BatchSubject(host)}},
		Subscribe: &server.SubjectPermission{Allow: wire.Inbox(host)},
	}
}

// gate decides who connects: every key must sign the server's nonce.
type gate struct {
	own    string // public nkey of the collector itself
	shared string // public nkey of all agents of a trial, "" for none
	access Access // nil for none
	tell   func(notice)
	barred func(host string) bool // for a time, after a flood
}

// notice is what the gate has to say to the watch: somebody came or was refused.
type notice struct {
	nkey, host, refused string
	next                []byte // what the host is to show at its next connection
	outdated            bool   // what it showed is
}

var _ server.Authentication = (*gate)(nil)

// Check admits a connection and gives it the rights of its host.
func (g *gate) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	if c.Kind() != server.CLIENT {
		return g.refuse("", "a connection that is not an agent's")
	}
	if !signed(o.Nkey, o.Sig, c.GetNonce()) {
		return g.refuse("", "a connection without a good signature")
	}
	switch o.Nkey {
	case g.own:
		c.RegisterUser(&server.User{Username: o.Nkey})
		return true
	case g.shared:
		c.RegisterUser(&server.User{Username: o.Nkey, Permissions: HostPermissions("*")})
		return true
	}
	if g.access == nil {
		return g.refuse("", "a connection with an unknown key")
	}
	host, ok, why := g.access.HostOf(o.Nkey)
	if !ok {
		return g.refuse(host, "a connection: "+why)
	}
	if g.barred(host) {
		return false // it was told of when it was barred
	}
	next, outdated := g.access.Show(host, o.Token)
	if outdated {
		g.tell(notice{host: host, outdated: true})
		return false
	}
	c.RegisterUser(&server.User{Username: o.Nkey, Permissions: HostPermissions(host)})
	g.tell(notice{nkey: o.Nkey, host: host, next: next})
	return true
}

func (g *gate) refuse(host, what string) bool {
	g.tell(notice{host: host, refused: what})
	return false
}

func signed(public, signature string, nonce []byte) bool {
	if len(nonce) == 0 || !nkeys.IsValidPublicUserKey(public) {
		return false
	}
	sig, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		return false
	}
	key, err := nkeys.FromPublicKey(public)
	return err == nil && key.Verify(nonce, sig) == nil
}

// violation finds in a line of the server's log that a client tried a subject
// that is not its own. The server tells it nowhere else.
var (
	violation = regexp.MustCompile(`(Publish|Subscription) Violation.*$`)
	nkeyText  = regexp.MustCompile(`U[A-Z2-7]{55}`)
)

func (g *gate) read(line string) {
	what := violation.FindString(line)
	if what == "" {
		return
	}
	n := notice{refused: strings.ToValidUTF8(what[:min(len(what), 200)], "")}
	// The part before is the server's own description of the client.
	if n.nkey = nkeyText.FindString(strings.TrimSuffix(line, what)); n.nkey != "" && g.access != nil {
		n.host, _, _ = g.access.HostOf(n.nkey)
	}
	g.tell(n)
}

// instance is what an agent says of itself when it connects, so that a second
// copy of one key can be told from the same agent that comes again.
func instance(name string) string {
	_, id, ok := strings.Cut(name, wire.InstanceMark)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%.64s", id)
}
