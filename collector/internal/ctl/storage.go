package ctl

import (
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type storageCommand struct{}

// Run prints the state of backups and of the check of the evidence.
func (storageCommand) Run(s *scope) error {
	state, err := one[apitypes.Storage](s, "/v1/storage", nil)
	if err != nil {
		return err
	}
	if s.format == "json" {
		return printJSON(s.out, state)
	}
	if s.format == "table" {
		switch {
		case state.BackupFolder == "":
			s.out.say("no backups are made: serve --backup FOLDER makes one each hour\n")
		case state.BackupError != "":
			s.out.say("THE LAST BACKUP FAILED: %s\n", printable(state.BackupError))
		default:
			s.out.say("backups each %s in %s\n", time.Duration(state.BackupEverySeconds)*time.Second, printable(state.BackupFolder))
		}
		sc := state.Scrub
		if sc.Started != nil {
			s.out.say("evidence: being read, %d of %d bytes since %s\n", sc.Bytes, sc.TotalBytes, when(*sc.Started))
		}
		if sc.LastPass != nil {
			s.out.say("evidence: last read to the end %s\n", when(*sc.LastPass))
		} else if sc.Started == nil {
			s.out.say("evidence: never read to the end\n")
		}
		for _, p := range sc.Problems {
			s.out.say("  DAMAGED %s\n", printable(p))
		}
	}
	type row = apitypes.Backup
	return list(s, state.Backups, "No backups.", []column[row]{
		{name: "name", exact: func(b row) string { return b.Name }, title: "BACKUP"},
		{name: "at", exact: func(b row) string { return exactTime(b.At) }, title: "TIME", text: func(b row) string { return when(b.At) }},
		{name: "bytes", exact: func(b row) string { return fmt.Sprint(b.Bytes) }, title: "BYTES"},
		{name: "hosts", exact: func(b row) string { return fmt.Sprint(b.Hosts) }, title: "HOSTS"},
		{name: "batches", exact: func(b row) string { return fmt.Sprint(b.Batches) }, title: "BATCHES"},
	})
}
