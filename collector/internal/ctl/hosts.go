package ctl

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// hostsCommands is what people do about hosts.
type hostsCommands struct {
	List      hostsCommand      `cmd:"" default:"withargs" help:"Reporting hosts."`
	Inventory inventoryCommand  `cmd:"" help:"Hosts that belong to the fleet, whether they report or not."`
	Invite    inviteCommand     `cmd:"" help:"Make a host, or let a known one enrol anew. Prints its join token, once."`
	Revoke    revokeHostCommand `cmd:"" help:"Take the keys of a host away and cut its connections. A new invitation may bring it back."`
	Retire    retireHostCommand `cmd:"" help:"The host is gone for good."`
	Clear     clearHostCommand  `cmd:"" help:"A host that was locked because it looked copied is not, or the copy is gone."`
	Nats      natsHostsCommand  `cmd:"" help:"Print the users of a NATS server outside the collector, for its configuration."`
}

type inventoryCommand struct{}

// Run prints the inventory.
func (inventoryCommand) Run(s *scope) error {
	rows, err := all[apitypes.InventoryHost](s, "/v1/inventory", nil, 0)
	if err != nil {
		return err
	}
	return printInventory(s, rows)
}

func printInventory(s *scope, rows []apitypes.InventoryHost) error {
	type row = apitypes.InventoryHost
	return list(s, rows, "No hosts yet: invite one with flopwatchctl hosts invite.", []column[row]{
		{name: "host", exact: func(h row) string { return h.ID }, title: "HOST"},
		{name: "name", exact: func(h row) string { return h.Name }, title: "NAME"},
		{name: "site", exact: func(h row) string { return h.Site }, title: "SITE"},
		{name: "state", exact: func(h row) string { return h.State }, title: "STATE", text: func(h row) string {
			if h.Suspicion != "" {
				return "locked: " + h.Suspicion
			}
			return h.State
		}},
		{name: "suspicion", exact: func(h row) string { return h.Suspicion }},
		{name: "devices", exact: func(h row) string { return number(deviceCount(h)) }, title: "DEVICES", right: true},
		{name: "keys_since", exact: func(h row) string { return exactTime(keysSince(h)) }, title: "KEYS SINCE", text: func(h row) string { return when(keysSince(h)) }},
		{name: "token_until", exact: func(h row) string { return exactTime(h.TokenUntil) }, title: "TOKEN UNTIL", text: func(h row) string { return when(h.TokenUntil) }},
		{name: "changed", exact: func(h row) string { return exactTime(h.Changed) }},
	})
}

func deviceCount(h apitypes.InventoryHost) (n int) {
	for _, d := range h.Devices {
		n += d.Count
	}
	return n
}

// keysSince is when the newest keys were bound, zero if there are none.
func keysSince(h apitypes.InventoryHost) (at time.Time) {
	if n := len(h.Keys); n > 0 {
		at = h.Keys[n-1].From
	}
	return at
}

type inviteCommand struct {
	Host         string        `arg:"" optional:"" help:"A known host that enrols anew; none makes a new one."`
	Name         string        `help:"What people call the host."`
	Site         string        `help:"Where it stands."`
	Devices      int           `help:"How many accelerators it should report." placeholder:"N"`
	Model        string        `help:"Their model, as the driver names it."`
	Administered string        `help:"Who is root on the host: provider or tenant. Figures of a tenant's own host are claims, grade E0." enum:",provider,tenant" default:""`
	Network      string        `help:"Network from which the token may be used, as 10.1.0.0/16; any by default."`
	Life         time.Duration `help:"How long the token may be used, at most 24h." default:"1h"`
	Out          string        `help:"File to write the token to, for its owner alone, instead of printing it." placeholder:"FILE"`
}

// Run invites a host.
func (c inviteCommand) Run(s *scope) error {
	in := apitypes.Invitation{Host: c.Host, Name: c.Name, Site: c.Site, Administered: c.Administered, Network: c.Network, Seconds: int64(c.Life.Seconds())}
	if c.Devices > 0 {
		in.Devices = []apitypes.ExpectedDevices{{Model: c.Model, Count: c.Devices}}
	}
	out, err := send[apitypes.Invited](s, "/v1/inventory", in)
	if err != nil {
		return err
	}
	if c.Out != "" {
		if err := writeToken(c.Out, out.Token); err != nil {
			return err
		}
		out.Token = ""
	}
	if s.format == "json" {
		return printJSON(s.out, out)
	}
	if s.format == "csv" {
		return printInventory(s, []apitypes.InventoryHost{out.Host})
	}
	s.out.say("host %s\n", printable(out.Host.ID))
	server, where := out.Server, "-"
	if strings.HasPrefix(server, ":") {
		server = "THIS-COLLECTOR" + server
	}
	if c.Out == "" {
		s.out.say("token %s\n", printable(out.Token))
	} else {
		s.out.say("token in %s\n", printable(c.Out))
		where = "FILE"
	}
	s.out.say("good once, until %s. On the host:\n  flopwatch-agent enroll --server %s --token %s\n", when(out.Expires), printable(server), where)
	return nil
}

func writeToken(path, token string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	_, err = f.WriteString(token + "\n")
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	return nil
}

type hostDecision struct {
	Host   string `arg:"" help:"As flopwatchctl hosts inventory lists it."`
	Reason string `help:"Why; it stands in the audit log." required:""`
}

func (d hostDecision) send(s *scope, act string) error {
	h, err := send[apitypes.InventoryHost](s, "/v1/inventory/"+d.Host+"/decisions", apitypes.HostDecision{Act: act, Reason: d.Reason})
	if err != nil {
		return err
	}
	return printInventory(s, []apitypes.InventoryHost{h})
}

type revokeHostCommand struct{ hostDecision }

// Run revokes a host.
func (c revokeHostCommand) Run(s *scope) error { return c.send(s, "revoke") }

type retireHostCommand struct{ hostDecision }

// Run retires a host.
func (c retireHostCommand) Run(s *scope) error { return c.send(s, "retire") }

type clearHostCommand struct{ hostDecision }

// Run clears a host.
func (c clearHostCommand) Run(s *scope) error { return c.send(s, "clear") }

type natsHostsCommand struct {
	Collector string `help:"Public nkey of the collector's user there, as flopwatch-collector nats prints it." required:"" placeholder:"U…"`
}

// Run prints the users.
func (c natsHostsCommand) Run(s *scope) error {
	rows, err := all[apitypes.InventoryHost](s, "/v1/inventory", nil, 0)
	if err != nil {
		return err
	}
	s.out.say("%s", NATSUsers(c.Collector, rows, time.Now()))
	return nil
}

// NATSUsers returns users.conf of deploy/nats: the collector, and a user for each
// key of the fleet that counts, with the rights that the broker inside a collector
// gives it.
func NATSUsers(collector string, hosts []apitypes.InventoryHost, now time.Time) string {
	var b strings.Builder
	b.WriteString("# Made by flopwatchctl hosts nats; load it anew after each change of the inventory.\nusers: [\n")
	natsUser(&b, collector, []string{"$JS.API.>", "$JS.ACK.>", "$KV.>", "receipt.*", "counter.*", wire.BatchSubject(wire.ProbeHost)}, []string{wire.CollectorInbox + ".>"})
	for _, h := range hosts {
		if h.State != "enrolled" || h.Suspicion != "" {
			continue
		}
		for _, k := range h.Keys {
			if k.To.IsZero() || k.To.After(now) {
				natsUser(&b, k.Broker, []string{wire.BatchSubject(h.ID)}, wire.Inbox(h.ID))
			}
		}
	}
	b.WriteString("]\n")
	return b.String()
}

func natsUser(b *strings.Builder, nkey string, publish, subscribe []string) {
	fmt.Fprintf(b, "  { nkey: %s, permissions: { publish: { allow: [%s] }, subscribe: { allow: [%s] } } }\n", nkey, quoted(publish), quoted(subscribe))
}

func quoted(subjects []string) string {
	each := make([]string, len(subjects))
	for i, s := range subjects {
		each[i] = strconv.Quote(s)
	}
	return strings.Join(each, ", ")
}
