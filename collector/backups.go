package collector

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/backup"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/version"
)

// retention says how many backups are kept.
type retention struct {
	KeepHourly int `help:"Backups to keep, one of each hour that has one." default:"48"`
	KeepDaily  int `help:"And one of each day." default:"14"`
	KeepWeekly int `help:"And one of each week." default:"13"`
}

func (r retention) policy() backup.Retention {
	return backup.Retention{Hourly: r.KeepHourly, Daily: r.KeepDaily, Weekly: r.KeepWeekly}
}

// backupCommand makes one backup, also of a collector that runs.
type backupCommand struct {
	Data string `help:"Data directory." default:"data" type:"path"`
	To   string `help:"Folder of the backups." required:"" type:"path"`
	retention
}

// Run makes, proves and tells.
func (c backupCommand) Run(ctx context.Context, s cli.Streams) error {
	fmt.Fprintf(s.Err, "backing up %s, then restoring the backup to prove it\n", c.Data)
	made, err := backup.Take(ctx, c.Data, c.To, version.Version, time.Now())
	if err := told(s, err); err != nil {
		return err
	}
	removed, err := backup.Prune(c.To, c.policy())
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "%s\n%d hosts, %d batches, %d bytes; restored and checked\n", made.Path, made.Hosts, made.Batches, made.Bytes())
	for _, r := range removed {
		fmt.Fprintf(s.Out, "removed %s\n", r.Path)
	}
	return nil
}

// restoreCommand puts a backup in the place of a data directory.
type restoreCommand struct {
	From   string `arg:"" help:"The backup: a folder flopwatch-…" type:"path"`
	Data   string `help:"Data directory to make; it must not be there, or be empty." default:"data" type:"path"`
	Reason string `help:"Why, for the audit log." required:""`
}

// Run restores, checks and tells.
func (c restoreCommand) Run(ctx context.Context, s cli.Streams) error {
	from, err := backup.Read(c.From)
	if err != nil {
		return err
	}
	ctx = asOperator(ctx)
	v, err := backup.Restore(ctx, from, c.Data, c.Reason)
	if err := told(s, err); err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "restored %s of %s into %s\n", from.Name(), from.At.Format(time.RFC3339), c.Data)
	tell(s, v)
	fmt.Fprintln(s.Out, "Start the collector: agents see that it went back and send again what they keep.")
	return nil
}

// asOperator says that the person at the shell acts.
func asOperator(ctx context.Context) context.Context {
	who := "unknown"
	if u, err := user.Current(); err == nil {
		who = u.Username
	}
	return audit.With(ctx, audit.Act{Actor: audit.Actor{Kind: audit.Person, ID: "os:" + who}})
}

// checkCommand checks what a collector keeps.
type checkCommand struct {
	Data   string `help:"Data directory." default:"data" type:"path"`
	Shared string `help:"Folder that collectors share: key and evidence. The data directory by default." placeholder:"FOLDER" type:"path"`
	storeFlags
	Output string `help:"How to print: table or json." short:"o" enum:"table,json" default:"table"`
}

// Run checks and tells; exit code 1 says that something does not hold.
func (c checkCommand) Run(ctx context.Context, s cli.Streams) error {
	if _, err := os.Stat(c.Data); err != nil {
		return fmt.Errorf("check: %w", err) // it would be made
	}
	options, err := c.options()
	if err != nil {
		return err
	}
	v, err := backup.CheckPlace(ctx, backup.Place{Data: c.Data, Shared: c.Shared, Postgres: options.Postgres, Password: options.Password})
	if err != nil {
		return err
	}
	if c.Output == "json" {
		e := json.NewEncoder(s.Out)
		e.SetIndent("", "  ")
		err = e.Encode(map[string]any{"sound": v.Sound(), "devices": v.Devices, "batches": v.Batches, "evidence_bytes": v.Bytes, "audit_entries": v.Entries, "problems": append([]string{}, v.Problems...)})
	} else {
		tell(s, v)
	}
	if err == nil && !v.Sound() {
		return cli.Exit{Code: 1}
	}
	return err
}

func tell(s cli.Streams, v backup.Verdict) {
	word := "sound"
	if !v.Sound() {
		word = "DAMAGED"
	}
	fmt.Fprintf(s.Out, "%s: %d devices add up, %d batches of %d bytes verified, %d audit entries\n", word, v.Devices, v.Batches, v.Bytes, v.Entries)
	for _, p := range v.Problems {
		fmt.Fprintf(s.Out, "  %s\n", p)
	}
}

// told prints what does not hold and returns what ends the command.
func told(s cli.Streams, err error) error {
	var unsound *backup.Unsound
	if errors.As(err, &unsound) {
		fmt.Fprintln(s.Err, unsound.Why)
		tell(cli.Streams{Out: s.Err}, unsound.Verdict)
		return cli.Exit{Code: 1}
	}
	return err
}
