package collector

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/broker"
	"github.com/flopwatch/flopwatch/collector/internal/enrolment"
	"github.com/flopwatch/flopwatch/collector/internal/roster"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/enrol"
)

// fleetFlags say how hosts reach the collector.
type fleetFlags struct {
	BrokerPort     int    `help:"Port of the broker; 0 takes a free one." default:"0"`
	Agents         string `help:"Address on which hosts enrol, over TLS, such as 0.0.0.0:7443; the broker listens beside it. Without it only agents of this machine send, and none enrols: a trial." placeholder:"ADDRESS"`
	Advertise      string `help:"Name or address by which hosts reach this collector; by default the one at which they enrol." placeholder:"HOST"`
	BrokerURL      string `name:"broker-url" help:"A NATS server to use in place of the broker inside (see deploy/nats), or the servers of a cluster with commas between (see deploy/cluster)." placeholder:"URL"`
	BrokerSeed     string `help:"File with the nkey seed of the collector's user there." placeholder:"FILE" type:"path"`
	BrokerReplicas int    `help:"Replicas of the stream there." default:"1"`
	Partitions     int    `help:"Partitions that hosts are divided into, which collectors share (see docs/scale-out.md); 0 leaves them as they are, at first 16 over --store and --broker-url, else 1." default:"0"`

	partitions int // as the database has it
}

// fleet is how hosts come in: the broker, and where hosts are enrolled who they
// are. roster and door are nil in a trial.
type fleet struct {
	bus    bus
	local  *broker.Broker // the broker inside, nil for one outside
	roster *roster.Roster
	door   *enrolment.Server
	server string // where hosts enrol, for people
}

// openFleet opens what the flags ask for.
func openFleet(ctx context.Context, data, shared string, f fleetFlags, db *store.Store, key ed25519.PrivateKey, log *slog.Logger) (*fleet, error) {
	options := broker.Options{Dir: filepath.Join(data, "broker"), Port: f.BrokerPort, Partitions: f.partitions, Log: log}
	if f.Agents == "" {
		if f.BrokerURL != "" {
			return nil, errors.New("--broker-url needs --agents: over a broker outside only enrolled hosts send")
		}
		b, err := broker.Start(ctx, options)
		if err != nil {
			return nil, err
		}
		return &fleet{bus: b, local: b}, nil
	}
	host, _, err := net.SplitHostPort(f.Agents)
	if err != nil {
		return nil, fmt.Errorf("--agents %q: %w", f.Agents, err)
	}
	authority, err := enrolment.LoadAuthority(shared, time.Now)
	if err != nil {
		return nil, err
	}
	members, err := roster.New(ctx, roster.Config{Keeper: db, Key: key, Authority: enrol.AuthorityHash(authority.Certificate()), Shared: f.partitions > 1, Log: log})
	if err != nil {
		return nil, err
	}
	all := &fleet{roster: members}
	address, err := all.openBus(ctx, f, options, host, authority, log)
	if err != nil {
		return nil, err
	}
	members.Cuts(all.bus.Recheck)
	all.door, err = enrolment.New(enrolment.Options{Listen: f.Agents, Authority: authority, Roster: members, Broker: address, Refused: roster.ErrToken, Log: log})
	if err != nil {
		return nil, errors.Join(err, all.bus.Close())
	}
	_, port, err := net.SplitHostPort(all.door.Addr().String())
	if err != nil {
		return nil, errors.Join(err, all.close())
	}
	all.server = net.JoinHostPort(reachedAt(f.Advertise, host), port)
	return all, nil
}

// openBus opens the broker for enrolled hosts and returns where they find it,
// host:port, without a host where that is where they enrolled.
func (a *fleet) openBus(ctx context.Context, f fleetFlags, inside broker.Options, host string, authority *enrolment.Authority, log *slog.Logger) (address string, err error) {
	if f.BrokerURL != "" {
		var servers []string
		for _, one := range strings.Split(f.BrokerURL, ",") {
			u, err := url.Parse(one)
			if err != nil || u.Hostname() == "" || u.Port() == "" {
				return "", fmt.Errorf("--broker-url %q: must be tls://host:port", one)
			}
			servers = append(servers, u.Host)
		}
		a.bus, err = broker.Connect(ctx, broker.ExternalOptions{URL: f.BrokerURL, SeedFile: f.BrokerSeed, TLS: enrol.ByAuthority(authority.Certificate()), Replicas: f.BrokerReplicas, Partitions: f.partitions, Log: log})
		return strings.Join(servers, ","), err
	}
	if inside.Host = host; host == "" {
		inside.Host = "0.0.0.0"
	}
	inside.TLS, inside.Access, inside.OwnKeysOnly = authority.TLS(), a.roster, true
	b, err := broker.Start(ctx, inside)
	if err != nil {
		return "", err
	}
	a.bus, a.local = b, b
	_, port, err := net.SplitHostPort(b.Addr())
	if err != nil {
		return "", errors.Join(err, b.Close())
	}
	return net.JoinHostPort(reachedAt(f.Advertise, host), port), nil
}

// reachedAt is by which name hosts find what listens on an address; "" is the one
// by which they found the collector.
func reachedAt(advertise, listen string) string {
	if advertise != "" {
		return advertise
	}
	if ip := net.ParseIP(listen); listen == "" || ip != nil && ip.IsUnspecified() {
		return ""
	}
	return listen
}

// tell leaves the file with which agents of this machine find a trial's broker.
func (a *fleet) tell(data string, public ed25519.PublicKey) error {
	if a.roster != nil {
		return nil // hosts get theirs when they enrol
	}
	seed, err := filepath.Abs(a.local.AgentSeedFile())
	if err != nil {
		return fmt.Errorf("find agents' key: %w", err)
	}
	return endpoint.Write(filepath.Join(data, "agent.json"), endpoint.Agents{URL: a.local.URL(), SeedFile: seed, CollectorKey: public})
}

// run serves hosts that enrol until ctx ends.
func (a *fleet) run(ctx context.Context) error {
	if a.roster == nil {
		return nil
	}
	keeping, stop := context.WithCancel(ctx)
	defer stop()
	kept := make(chan error, 1)
	go func() { kept <- a.roster.Run(keeping) }()
	err := a.door.Serve(ctx)
	stop()
	return errors.Join(err, <-kept)
}

// close is for a start that fails before run.
func (a *fleet) close() error {
	var err error
	if a.door != nil {
		err = a.door.Close()
	}
	return errors.Join(err, a.bus.Close())
}
