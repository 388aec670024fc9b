// Package ctl is the library behind flopwatchctl, the desk for terminals.
//
// Every command asks the API of a running collector, follows cursors to the end
// and prints a table for people, JSON, or CSV that a spreadsheet takes for text.
// Nothing that came from outside reaches a terminal with its control characters.
package ctl

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/verifier"
	"github.com/flopwatch/flopwatch/pkg/version"
)

// Exit codes: 1 is also the answer of "ledger check" for a ledger that does not
// balance.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	// of verify, when nothing contradicts a bundle and not all of it can be told
	exitCannotTell = 3
)

type commands struct {
	Server    string `help:"Address of the collector, as http://127.0.0.1:8080. Default: the one that runs on the data directory." env:"FLOPWATCH_SERVER" placeholder:"URL"`
	Data      string `help:"Data directory of the collector; its api.json says where it is and holds the token." env:"FLOPWATCH_DATA" default:"data" placeholder:"DIR"`
	Session   string `help:"File that holds your session after sign-in." env:"FLOPWATCH_SESSION" placeholder:"FILE"`
	TokenFile string `help:"File that holds an API token; it must be readable by its owner alone." env:"FLOPWATCH_TOKEN_FILE" placeholder:"FILE"`
	Once      string `help:"Key of your own: what changes something is done once for it within a day, however often the command is run." env:"FLOPWATCH_ONCE" placeholder:"KEY"`
	Watch     bool   `help:"Go on, and print anew what changed, until interrupted. For what only reads."`
	Output    string `help:"How to print: table, json or csv; of exports csv or ndjson." short:"o" enum:"table,json,csv,ndjson" default:"table"`

	Tenants   tenantsCommand `cmd:"" help:"Tenants with their totals."`
	Customers struct {
		List   customersCommand `cmd:"" default:"withargs" help:"Customers with their tenants."`
		Import importCommand    `cmd:"" help:"Import customers from a CSV or JSON file, whole or not at all."`

		Days    customerDaysCommand `cmd:"" help:"What a customer's own tenants did by day."`
		Show    standingCommand     `cmd:"" help:"How a customer stands: who it is, what is held, what is due."`
		Hold    holdCustomerCommand `cmd:"" help:"Put the records of a customer under legal hold."`
		Release releaseHoldCommand  `cmd:"" help:"Propose the release of a legal hold, or approve it as a second person."`
	} `cmd:"" help:"Customers: list, import, show, days, hold, release."`
	Parties     partiesCommands    `cmd:"" help:"Who customers are: list, show, import, reveal, erase, screen, hit."`
	Resellers   resellersCommands  `cmd:"" help:"Resellers: list, act."`
	Exemptions  exemptionsCommands `cmd:"" help:"Exemptions: list, propose, approve, withdraw."`
	Programme   programmeCommands  `cmd:"" help:"The customer identification programme: gaps, queue, certification, review, accesses, vendor."`
	Allocations struct {
		List        allocationsCommand       `cmd:"" default:"withargs" help:"Allocations as they stand."`
		Import      importAllocationsCommand `cmd:"" help:"Record allocations from a CSV or NDJSON file, whole or not at all."`
		Corrections correctionsCommand       `cmd:"" help:"Entries that gave counted time to another tenant, last made first."`
	} `cmd:"" help:"Whose hosts, devices and workloads are whose: list, import, corrections."`
	Runs struct {
		Show      showRunCommand       `cmd:"" help:"One training run."`
		Days      runDaysCommand       `cmd:"" help:"What a run did on each of its last days."`
		List      runsCommand          `cmd:"" default:"withargs" help:"Training runs, most operations first."`
		Verdict   verdictOfRunCommand  `cmd:"" help:"What a run does, how sure that is, and why."`
		Joins     runJoinsCommand      `cmd:"" help:"Why the workloads of a run are one run."`
		History   runHistoryCommand    `cmd:"" help:"What became of a run."`
		Split     splitCommand         `cmd:"" help:"Undo a join: its two workloads are never in one run."`
		Confirm   confirmCommand       `cmd:"" help:"Confirm a join: its two workloads always are in one run."`
		Reopen    reopenJoinCommand    `cmd:"" help:"Take back what was said of a join."`
		Join      joinRunsCommand      `cmd:"" help:"Say that two runs of one tenant are one."`
		Decisions joinDecisionsCommand `cmd:"" help:"What people said of joins, last said first."`
	} `cmd:"" aliases:"run" help:"Training runs: list, show, days, verdict, joins, history, split, confirm, reopen, join, decisions."`
	Links        linksCommands       `cmd:"" help:"Which parties are one, controlled together or act together: list, show, accept, reject, split, approve."`
	Clusters     clustersCommands    `cmd:"" help:"What customers together did, at every level and past date: list, show."`
	Forecasts    forecastsCommand    `cmd:"" help:"When which threshold will be crossed."`
	Campaigns    campaignsCommand    `cmd:"" help:"Runs of one customer that follow each other."`
	Capabilities capabilitiesCommand `cmd:"" help:"What connected devices of a customer can do, by network speed."`
	Reservations struct {
		List   reservationsCommand       `cmd:"" default:"withargs" help:"Reservations as they stand."`
		Import importReservationsCommand `cmd:"" help:"Record reservations from a CSV file, whole or not at all."`
	} `cmd:"" help:"What customers have reserved: list, import."`
	Ledger struct {
		Totals totalsCommand `cmd:"" help:"The ledger of a span of time."`
		Check  checkCommand  `cmd:"" help:"Does the ledger balance? Exit code 1 when it does not."`
	} `cmd:"" help:"The ledger: totals, check."`
	Audit struct {
		List  auditCommand      `cmd:"" default:"withargs" help:"Who changed what, last change first."`
		Check auditCheckCommand `cmd:"" help:"Does the audit log hold? Exit code 1 when it does not."`

		Export auditExportCommand `cmd:"" help:"Save the audit log as tiles, for whoever is to check it elsewhere."`
		Verify auditVerifyCommand `cmd:"" help:"Check an exported audit log, offline. Exit code 1 when it does not hold, 3 when that cannot be told."`
	} `cmd:"" help:"The audit log: list, check, export, verify."`
	Power struct {
		List   powerCommand       `cmd:"" default:"withargs" help:"How meters compare with what hosts report, newest first."`
		Import importPowerCommand `cmd:"" help:"Record readings of meters from a CSV or NDJSON file, whole or not at all."`
	} `cmd:"" help:"Meters that hosts do not control: list, import."`
	Coverage coverageCommand `cmd:"" help:"Where each host's devices were blind."`
	Findings struct {
		List findingsCommand `cmd:"" default:"withargs" help:"Findings, newest first."`
		Work workCommand     `cmd:"" help:"Triage, dismiss, suppress or reopen a finding."`
	} `cmd:"" help:"Findings: list, work."`
	Reports  reportsCommands  `cmd:"" aliases:"report" help:"Reports: list, show, open, write, approve, file, save."`
	Verify   verifyCommand    `cmd:"" help:"Check a sealed bundle, offline. Exit code 1 when it does not hold, 3 when that cannot be told."`
	Cases    casesCommands    `cmd:"" help:"Cases: list, show, open, assign, decide, and the rest of what people do on them."`
	Events   eventsCommand    `cmd:"" help:"What hosts reported beside figures, last come first."`
	Hosts    hostsCommands    `cmd:"" help:"Hosts: list, inventory, invite, revoke, retire, clear."`
	Status   statusCommand    `cmd:"" help:"The collector's own state."`
	Channels channelsCommand  `cmd:"" help:"Channels by which people are told, and how they fare."`
	Calendar calendarCommand  `cmd:"" help:"Make your link to the calendar of deadlines; the one before ends."`
	Storage  storageCommand   `cmd:"" help:"Backups, and the check of every stored batch."`
	Settings settingsCommands `cmd:"" help:"Settings of agents: show, hosts, propose, approve."`
	Policy   policyCommands   `cmd:"" help:"Policies: list, packs, draft, simulate, propose, approve and the rest of their way."`
	Revenue  struct {
		Import importRevenueCommand `cmd:"" help:"Import price lists or billed totals of customers from CSV, whole or not at all."`
	} `cmd:"" help:"What customers pay: import."`
	Users struct {
		List    usersCommand        `cmd:"" default:"withargs" help:"People with accounts."`
		Add     addUserCommand      `cmd:"" help:"Make an account; the password is read from standard input."`
		Change  changeUserCommand   `cmd:"" help:"Change roles or password of an account, disable or enable it."`
		Grant   grantRoleCommand    `cmd:"" help:"Propose roles for an account besides those that it has."`
		Grants  grantsCommand       `cmd:"" help:"Roles that were proposed for accounts, and what became of them."`
		Approve approveGrantCommand `cmd:"" help:"Approve roles that another person proposed, by their digest."`
		Refuse  refuseGrantCommand  `cmd:"" help:"Refuse roles that were proposed, or withdraw your own proposal."`
	} `cmd:"" help:"Accounts: list, add, change, and grants of roles: grant, grants, approve, refuse."`
	Tokens  tokensCommands `cmd:"" help:"API tokens of yours: list, make, revoke."`
	SignIn  signInCommand  `cmd:"" help:"Sign in; password, and code where it is asked for, are read from standard input. What follows is done by you."`
	SignOut signOutCommand `cmd:"" help:"End the session."`
	Whoami  whoamiCommand  `cmd:"" help:"Who you are to the collector, and what your roles allow."`
	Export  exportCommand  `cmd:"" help:"Save a whole list, of any size, as CSV or as lines of JSON; a cut one is refused. You have 10 an hour."`
	Login   loginCommand   `cmd:"" help:"Print a new one-time link to the desk."`
	Version versionCommand `cmd:"" help:"Print the version of this program."`

	Completion cli.Completion `cmd:"" help:"Print what a shell needs to complete commands and flags."`
	Manual     cli.Manual     `cmd:"" hidden:"" help:"Print the manual page."`
}

// scope is what a command works with.
type scope struct {
	ctx    context.Context
	flags  *commands
	out    *output
	errs   io.Writer // how far long work is, and nothing else
	format string
	asked  int           // requests that change something so far
	in     *bufio.Reader // standard input, once something was read of it
}

// What a check has printed already ends with exit code 1 and no further message.
var (
	errUnbalanced = errors.New("the ledger does not balance")
	errBroken     = errors.New("the audit log does not hold")
)

type exit int

// Main runs flopwatchctl with the arguments after the program's name and returns
// its exit code: 0, 1 for a failure or a check that does not hold, 2 for wrong
// usage, 3 for a check that cannot tell.
func Main(args []string, stdout, stderr io.Writer) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// kong ends the program after --help; here that is a return.
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(exit)
			if !ok {
				panic(r)
			}
			code = int(e)
		}
	}()
	var flags commands
	parser, err := kong.New(&flags,
		kong.Name("flopwatchctl"),
		kong.Description("Reads the operations ledger of a running flopwatch collector."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(exit(code)) }),
	)
	if err != nil {
		return complain(stderr, err, exitFailed)
	}
	command, err := parser.Parse(args)
	if err != nil {
		return complain(stderr, err, exitUsage)
	}
	if flags.Output == "ndjson" && !strings.HasPrefix(command.Command(), "export ") {
		return complain(stderr, errors.New("ndjson is a form of exports alone: -o table, json or csv"), exitUsage)
	}
	out := &output{Writer: stdout}
	if flags.Watch {
		err = watch(ctx, stdout, stderr, func(w io.Writer) error {
			return command.Run(&scope{ctx: ctx, flags: &flags, out: &output{Writer: w}, errs: stderr, format: flags.Output})
		}, (&scope{ctx: ctx, flags: &flags}).connect)
	} else {
		err = command.Run(&scope{ctx: ctx, flags: &flags, out: out, errs: stderr, format: flags.Output})
	}
	switch {
	case errors.Is(err, errUnbalanced), errors.Is(err, errBroken), errors.Is(err, verifier.ErrBroken):
		return exitFailed
	case errors.Is(err, verifier.ErrCannotTell):
		return exitCannotTell
	case err != nil:
		return complain(stderr, err, exitFailed)
	case out.err != nil:
		return complain(stderr, fmt.Errorf("write: %w", out.err), exitFailed)
	}
	return exitOK
}

// complain prints an error for people. Faults of a file come one per line, as
// file:line: column: rule, so that editors find them.
func complain(w io.Writer, err error, code int) int {
	text := err.Error()
	var faults []string
	var p *apitypes.Problem
	if errors.As(err, &p) {
		faults = p.Faults
		if text = p.Detail; text == "" {
			text = p.Title
		}
	}
	out := &output{Writer: w} // when even this cannot be written, the exit code says it
	out.say("flopwatchctl: %s\n", printable(text))
	for _, f := range faults {
		out.say("%s\n", printable(f))
	}
	return code
}

// output remembers the first error, so that a full disk is not success.
type output struct {
	io.Writer
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err != nil && o.err == nil {
		o.err = err
	}
	return n, err
}

// say prints; an error is remembered by Write.
func (o *output) say(format string, args ...any) { _, _ = fmt.Fprintf(o, format, args...) }

type versionCommand struct{}

func (versionCommand) Run(s *scope) error {
	s.out.say("%s\n", printable(version.Version))
	return nil
}
