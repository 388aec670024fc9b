package ctl

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
)

// stopJob cancels a job when this program is interrupted.
func (c *client) stopJob(id string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 5*time.Second)
	defer cancel()
	last := *c
	last.ctx = ctx
	var job apitypes.Job
	if err := last.post("/v1/jobs/"+id+"/cancellations", struct{}{}, http.Header{}, &job); err != nil {
		return fmt.Errorf("cancel the simulation: %w", err)
	}
	return fmt.Errorf("the simulation was cancelled")
}

func printSimulation(s *scope, sim apitypes.Simulation) error {
	r := sim.Report
	switch s.format {
	case "json":
		return printJSON(s.out, sim)
	case "csv":
		return listPredicted(s, r.Findings)
	}
	line := func(name, format string, args ...any) {
		s.out.say("%-11s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	line("simulation", "%s of %s, by %s %s", sim.ID, sim.Policy, sim.By, when(sim.At))
	line("digest", "%s", sim.Digest)
	before := "nothing"
	if r.Before.ID != "" {
		before = fmt.Sprintf("%s version %d (%s)", r.Before.ID, r.Before.Version, short(r.Before.Digest))
	}
	line("texts", "%s → %s version %d (%s)", before, r.After.ID, r.After.Version, short(r.After.Digest))
	line("history", "%d days from %s, %d customers %s, %d runs, up to %s; %s", r.Snapshot.Days, r.Snapshot.FirstDay, r.Snapshot.Customers, r.Snapshot.Identity, r.Snapshot.Runs,
		when(time.Unix(0, r.Snapshot.Watermark).UTC()), short(r.Snapshot.Digest))
	line("changes", "%d appear, %d disappear, %d move level, %d shift in time; nothing that is open closes by itself",
		r.ByKind[lab.Appears], r.ByKind[lab.Disappears], r.ByKind[lab.MovesLevel], r.ByKind[lab.Shifts])
	line("findings", "%d new ones from looking back, of %d subjects", len(r.Findings), len(r.NewSubjects()))
	line("clocks", "%d would start, of which %d are overdue as of %s", r.Clocks, r.Overdue, when(r.From))
	line("load", "%s → %s findings a week, %s → %s analyst hours", perWeek(r.LoadBefore), perWeek(r.LoadAfter), hours(r.LoadBefore), hours(r.LoadAfter))
	line("affected", "%s", carriedText(r.Money.Affected))
	line("held up", "%d.%d %% by verification: %s", r.Money.HeldUpPermille/10, r.Money.HeldUpPermille%10, carriedText(r.Money.HeldUp))
	line("would free", "verification %s; exemption %s", carriedText(r.Money.ByVerification), carriedText(r.Money.ByExemption))
	for _, e := range r.Money.Exposure {
		line("exposure", "%s (%s): at most %d %s for %d violations; %s", e.Basis, e.Kind, e.Amount, e.Currency, e.Violations, e.Citation)
	}
	for _, c := range r.Changes {
		shift := ""
		if c.ShiftDays != 0 {
			shift = fmt.Sprintf(", %+d days", c.ShiftDays)
		}
		line("", "%s %s under %s: %s → %s%s %s", c.Kind, c.Subject, c.Rule, orElse(c.Before, "none"), orElse(c.After, "none"), shift, c.Country)
	}
	for _, p := range r.Curve {
		line("curve", "at %3d %% of the lines: %d findings, %d crossings, %d of those now kept, %d dropped", p.Percent, p.Findings, p.Crossings, p.Caught, p.Dropped)
	}
	for _, x := range []struct {
		name string
		all  []lab.Sample
	}{{"above", r.Above}, {"below", r.Below}} {
		for _, sample := range x.all {
			line(x.name, "look at %s under %s", sample.Subject, sample.Rule)
		}
	}
	return nil
}

func perWeek(l lab.Load) string { return strconv.FormatFloat(float64(l.PerWeekMilli)/1000, 'f', 1, 64) }

func hours(l lab.Load) string { return strconv.FormatFloat(float64(l.AnalystMinute)/60, 'f', 1, 64) }

func carriedText(c lab.Carried) string {
	text := fmt.Sprintf("%d customers, %d GPU-hours", c.Customers, c.DeviceSeconds/3600)
	for _, currency := range slices.Sorted(maps.Keys(c.Cents)) {
		text += fmt.Sprintf(", %d.%02d %s", c.Cents[currency]/100, c.Cents[currency]%100, currency)
	}
	if c.NoPrice > 0 {
		text += fmt.Sprintf(", of %d no price is known", c.NoPrice)
	}
	return text
}

func listPredicted(s *scope, rows []lab.Predicted) error {
	type row = lab.Predicted
	return list(s, rows, "Nothing new.", []column[row]{
		{name: "customer", exact: func(p row) string { return p.Customer }, title: "CUSTOMER"},
		{name: "country", exact: func(p row) string { return p.Country }, title: "COUNTRY"},
		{name: "subject", exact: func(p row) string { return p.Subject }, title: "SUBJECT"},
		{name: "rule", exact: func(p row) string { return p.Rule }, title: "RULE"},
		{name: "level", exact: func(p row) string { return p.Level }, title: "LEVEL"},
		{name: "reached", exact: func(p row) string { return p.Reached }, title: "REACHED"},
		{name: "clock", exact: func(p row) string { return p.Clock }, title: "CLOCK"},
		{name: "due", exact: func(p row) string { return p.Due }, title: "DUE"},
		{name: "overdue", exact: func(p row) string { return strconv.FormatBool(p.Overdue) }},
	})
}

type importRevenueCommand struct {
	File string `arg:"" help:"CSV with customer_id,from,to,currency,billed,price_per_device_hour."`
}

// Run imports revenue.
func (c importRevenueCommand) Run(s *scope) error {
	data, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("read revenue: %w", err)
	}
	if len(data) > apitypes.MaxImportBytes {
		return fmt.Errorf("revenue %s: larger than %d MiB", filepath.Base(c.File), apitypes.MaxImportBytes>>20)
	}
	client, err := s.connect()
	if err != nil {
		return err
	}
	var out apitypes.Imported
	if err := client.do(http.MethodPost, "/v1/revenue/import", url.Values{"name": {strings.ReplaceAll(filepath.Base(c.File), ":", "_")}}, "text/csv", data, &out); err != nil {
		return err
	}
	if s.format == "json" {
		return printJSON(s.out, out)
	}
	s.out.say("%d rows imported\n", out.Rows)
	return nil
}
