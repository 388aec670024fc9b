package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/hostfacts"
	"github.com/flopwatch/flopwatch/agent/internal/identity"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/enrol"
	"github.com/flopwatch/flopwatch/pkg/version"
)

// enrollCommand makes this host one of a collector's fleet.
type enrollCommand struct {
	Server   string `help:"Where the collector takes agents, as collector.example:7443." required:"" placeholder:"HOST:PORT"`
	Token    string `help:"File with the join token; - reads standard input. It is never an argument: every user of a host sees those." default:"-" placeholder:"FILE"`
	Endpoint string `help:"File to write: where the collector is and who this host is." default:"data/agent.json" type:"path"`
	Keys     string `help:"Folder for the keys of this host." default:"data/keys" type:"path"`
	Data     string `help:"Folder of run or sample; a spool in it that an earlier enrolment left is set aside." default:"data/agent" type:"path"`
	keyUsers
}

// keyUsers are whom the keys of a host are given to.
type keyUsers struct {
	SamplerUser string `help:"User of sample, to whom the key that signs is given; for root alone." placeholder:"USER"`
	ShipperUser string `help:"User of ship, to whom the key that connects is given; for root alone." placeholder:"USER"`
}

func (u keyUsers) users() identity.Users {
	return identity.Users{Sampler: u.SamplerUser, Shipper: u.ShipperUser}
}

// Run enrols.
func (c enrollCommand) Run(ctx context.Context, s cli.Streams) error {
	token, err := readToken(c.Token)
	if err != nil {
		return err
	}
	facts, _, err := hostfacts.Read(ctx, "/proc")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(c.Endpoint), 0o750); err != nil {
		return fmt.Errorf("make folder of the endpoint: %w", err)
	}
	now := time.Now()
	e, err := identity.Enrol(ctx, identity.Enrolment{
		Server: c.Server, Token: token, Endpoint: c.Endpoint, Keys: c.Keys, Users: c.users(), Now: now,
		Facts: enrol.Facts{Name: facts.Name, OS: facts.OS, Kernel: facts.Kernel, AgentVersion: version.Version},
	})
	if err != nil {
		return err
	}
	aside, err := identity.SetAside(filepath.Join(c.Data, "spool"), now)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "enrolled as %s; batches go to %s\n", e.Identity.Host, e.URL)
	if aside != "" {
		fmt.Fprintf(s.Out, "the spool of before is kept in %s and is not sent: its keys do not count any more\n", aside)
	}
	return nil
}

// maxToken is more than a token ever has, in bytes.
const maxToken = 1 << 10

func readToken(path string) (t enrol.Token, err error) {
	in := io.Reader(os.Stdin)
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return t, fmt.Errorf("read join token: %w", err)
		}
		defer func() { _ = file.Close() }() // it was only read
		in = file
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxToken)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return t, fmt.Errorf("read join token: %w", err)
	}
	return enrol.ParseToken(line)
}

// rotateCommand replaces the keys of this host.
type rotateCommand struct {
	Endpoint string        `help:"File that says where the collector is." default:"data/agent.json" type:"path"`
	Keys     string        `help:"Folder for the keys of this host." default:"data/keys" type:"path"`
	Older    time.Duration `name:"if-older" help:"Only if the keys are older than this, such as 720h." default:"0"`
	keyUsers
}

// Run rotates. Agents that run take the new keys by themselves within seconds.
func (c rotateCommand) Run(ctx context.Context, s cli.Streams) error {
	now := time.Now()
	e, err := endpoint.Read(c.Endpoint)
	if err != nil {
		return err
	}
	if e.Identity != nil && now.Sub(e.Identity.KeysSince) < c.Older {
		fmt.Fprintf(s.Out, "the keys are of %s, young enough\n", e.Identity.KeysSince.UTC().Format(time.RFC3339))
		return nil
	}
	until, err := identity.Rotate(ctx, c.Endpoint, c.Keys, c.users(), now)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "new keys; the old ones count until %s\n", until)
	return nil
}
