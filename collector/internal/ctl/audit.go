package ctl

import (
	"fmt"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/sheet"
)

type auditCommand struct {
	Limit int `help:"Most entries to print; 0 prints all." default:"50"`
}

// Run prints the audit log.
func (a auditCommand) Run(s *scope) error {
	type row = apitypes.AuditEntry
	return listAll(s, "/v1/audit/entries", nil, a.Limit, "No entries: nothing that the log protects was ever changed.", append(exactly(sheet.AuditEntries()), []column[row]{
		{exact: func(e row) string { return e.ID }, title: "ENTRY"},
		{title: "TIME", text: func(e row) string { return when(e.At) }},
		{title: "WHO", text: func(e row) string { return e.ActorKind + " " + e.Actor }},
		{exact: func(e row) string { return e.Action }, title: "ACTION"},
		{title: "OBJECT", text: func(e row) string { return e.ObjectKind + " " + e.Object }},
		{exact: func(e row) string { return e.Reason }, title: "REASON"},
	}...))
}

type auditCheckCommand struct{}

// Run prints the verdict on the audit log.
func (auditCheckCommand) Run(s *scope) error {
	check, err := one[apitypes.AuditCheck](s, "/v1/audit/check", nil)
	if err != nil {
		return err
	}
	if s.format != "table" {
		lines := []field{
			{"intact", fmt.Sprint(check.Intact), ""}, {"entries", number(check.Entries), ""}, {"objects", number(check.Objects), ""},
			{"checkpoints", number(check.Checkpoints), ""}, {"signed", number(check.Signed), ""}, {"clock_back", number(check.ClockBack), ""},
		}
		for _, p := range check.Problems {
			lines = append(lines, field{"problem", p, ""})
		}
		err = fields(s, check, lines)
	} else {
		verdict := "intact"
		if !check.Intact {
			verdict = "BROKEN"
		}
		s.out.say("%s: %d entries, %d of them signed, %d checkpoints, %d objects as the log holds them\n", verdict, check.Entries, check.Signed, check.Checkpoints, check.Objects)
		if check.ClockBack > 0 {
			s.out.say("  the clock was set back before %d entries\n", check.ClockBack)
		}
		for _, p := range check.Problems {
			s.out.say("  %s\n", printable(p))
		}
	}
	if err == nil && !check.Intact {
		return errBroken
	}
	return err
}
