// Package collector keeps the operations ledger of a fleet and serves the desk.
//
// One binary and one data directory: the broker that agents publish to, the
// SQLite ledger, the evidence files, the API and the pages. Start-up order is
// store, broker, ingest, server; the end comes in reverse, and what was taken
// from the broker by then is committed.
package collector

import (
	"io"
	_ "time/tzdata" // the legal time zones of the packs, wherever the program runs

	"github.com/flopwatch/flopwatch/pkg/cli"
)

// commands is the command line.
type commands struct {
	Serve    serveCommand   `cmd:"" help:"Run the collector."`
	Demo     demoCommand    `cmd:"" help:"Run the collector and an agent for a trial on this machine."`
	Backup   backupCommand  `cmd:"" help:"Back up a data directory, also while the collector runs, and prove the backup by restoring it."`
	Restore  restoreCommand `cmd:"" help:"Make a data directory from a backup and check it."`
	Migrate  migrateCommand `cmd:"" help:"Make or update the schema of a PostgreSQL database, and move the facts of a SQLite database into it, comparing every row."`
	Check    checkCommand   `cmd:"" help:"Check everything that a collector keeps; with SQLite while none uses the data directory. Exit code 1 when something does not hold."`
	Vault    vaultCommands  `cmd:"" help:"Look after the store of personal data."`
	Support  supportCommand `cmd:"" name:"support-bundle" help:"Write sizes, counts, versions and metrics for whoever helps, with nothing of customers in it."`
	Nats     natsCommand    `cmd:"" help:"Write certificate and user for a NATS server outside the collector (see deploy/nats)."`
	Version  cli.Version    `cmd:"" help:"Print the version."`
	Settings cli.Settings   `cmd:"" help:"Say what in a file of settings is written differently now, as a diff."`

	Completion cli.Completion `cmd:"" help:"Print what a shell needs to complete commands and flags."`
	Manual     cli.Manual     `cmd:"" hidden:"" help:"Print the manual page."`
}

// Main runs one command and returns the exit code: 0 done, 1 failed, 2 wrong
// usage. An interrupt stops the collector cleanly.
func Main(args []string, stdout, stderr io.Writer) int {
	return cli.Main("flopwatch-collector", "Keeps the operations ledger of a fleet of accelerators and serves the compliance desk.", &commands{}, args, stdout, stderr)
}
