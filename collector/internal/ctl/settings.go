package ctl

import (
	"fmt"
	"strconv"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

type settingsCommands struct {
	Show    showSettingsCommand    `cmd:"" default:"withargs" help:"How the settings of agents stand, and how far a change has come."`
	Hosts   settingsHostsCommand   `cmd:"" help:"What each host should run and says it runs."`
	Propose proposeSettingsCommand `cmd:"" help:"Draft settings from a file and propose them to a second person."`
	Approve approvePolicyCommand   `cmd:"" help:"Approve proposed settings by their digest, as a second person; they roll out in steps."`
}

type showSettingsCommand struct{}

// Run prints how settings stand.
func (showSettingsCommand) Run(s *scope) error {
	v, err := one[apitypes.Settings](s, "/v1/settings", nil)
	if err != nil {
		return err
	}
	if s.format == "json" {
		return printJSON(s.out, v)
	}
	type row = apitypes.SettingsVersion
	if s.format == "table" {
		line := func(name, text string) { s.out.say("%-11s %s\n", name, printable(text)) }
		if v.State == "" {
			line("in force", "nothing: agents run their default")
		} else {
			line("in force", fmt.Sprintf("version %d, %s (%s)", v.Version, v.Title, v.Policy))
			line("state", fmt.Sprintf("%s, %d %% of the hosts since %s; before it version %d", v.State, v.Percent, when(v.Since), v.Before))
			if v.Reason != "" {
				line("stopped", v.Reason)
			}
		}
		line("converged", fmt.Sprintf("%d of %d hosts report what they should run", v.Hosts-v.Behind, v.Hosts))
	}
	return list(s, v.Reported, "No host reports.", []column[row]{
		{name: "version", exact: func(r row) string { return strconv.Itoa(r.Version) }, title: "VERSION", right: true},
		{name: "hosts", exact: func(r row) string { return number(r.Hosts) }, title: "HOSTS", right: true},
	})
}

type settingsHostsCommand struct {
	Behind bool `help:"Only those that do not report what they should run."`
}

// Run lists hosts.
func (c settingsHostsCommand) Run(s *scope) error {
	rows, err := all[apitypes.SettingsHost](s, "/v1/settings/hosts", nil, 0)
	if err != nil {
		return err
	}
	type row = apitypes.SettingsHost
	if c.Behind {
		kept := rows[:0]
		for _, h := range rows {
			if h.Wants != h.Reports {
				kept = append(kept, h)
			}
		}
		rows = kept
	}
	return list(s, rows, "No hosts.", []column[row]{
		{name: "host", exact: func(h row) string { return h.Host }, title: "HOST"},
		{name: "name", exact: func(h row) string { return h.Name }, title: "NAME"},
		{name: "site", exact: func(h row) string { return h.Site }, title: "SITE"},
		{name: "wants", exact: func(h row) string { return strconv.Itoa(h.Wants) }, title: "SHOULD RUN", right: true},
		{name: "reports", exact: func(h row) string { return strconv.Itoa(h.Reports) }, title: "RUNS", right: true},
		{name: "sample_period", exact: func(h row) string { return h.SamplePeriod }, title: "SAMPLES"},
		{name: "window", exact: func(h row) string { return h.Window }, title: "WINDOW"},
		{name: "batch", exact: func(h row) string { return h.Batch }, title: "BATCH"},
		{name: "nccl", exact: func(h row) string { return strconv.FormatBool(h.NCCL) }, title: "NCCL"},
		{name: "last", exact: func(h row) string { return exactTime(h.Last) }, title: "LAST", text: func(h row) string { return when(h.Last) }},
	})
}

type proposeSettingsCommand struct {
	File   string `arg:"" help:"The text."`
	Reason string `required:"" help:"Why."`
}

// Run drafts and proposes.
func (c proposeSettingsCommand) Run(s *scope) error {
	text, err := policyFile{File: c.File, Kind: "settings"}.text()
	if err != nil {
		return err
	}
	p, err := send[apitypes.Policy](s, "/v1/policies", text)
	if err != nil {
		return err
	}
	return proposePolicyCommand{policyArg: policyArg{p.ID}, Reason: c.Reason}.Run(s)
}
