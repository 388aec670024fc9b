package ctl

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// ahead is one line of a forecast with whom it is about.
type ahead struct {
	apitypes.Forecast
	apitypes.ForecastLine
}

type forecastsCommand struct {
	All bool `help:"Also thresholds that nothing known will reach."`
}

// Run prints when which threshold will be crossed.
func (c forecastsCommand) Run(s *scope) error {
	found, err := all[apitypes.Forecast](s, "/v1/forecasts", nil, 0)
	if err != nil {
		return err
	}
	if s.format == "json" {
		return list(s, found, "", []column[apitypes.Forecast]{})
	}
	var rows []ahead
	for _, f := range found {
		for _, l := range f.Thresholds {
			if c.All || l.Crossed || !l.Earliest.IsZero() || !l.Could.IsZero() {
				rows = append(rows, ahead{f, l})
			}
		}
	}
	date := func(t time.Time) string {
		if t.IsZero() {
			return "–"
		}
		return t.UTC().Format(time.DateOnly)
	}
	by := func(r ahead, days int) string {
		p := ""
		for _, chance := range r.Chances {
			if len(r.Chances) > 0 && chance.By.Sub(r.Chances[0].By) <= time.Duration(days-1)*24*time.Hour {
				p = fmt.Sprintf("%.0f %%", 100*chance.Probability)
			}
		}
		return p
	}
	return list(s, rows, "Nothing goes on and nothing is reserved that would cross a threshold.", []column[ahead]{
		{name: "subject", exact: func(r ahead) string { return r.Subject }, title: "SUBJECT"},
		{name: "label", exact: func(r ahead) string { return r.Label }, title: "LABEL"},
		{name: "customer", exact: func(r ahead) string { return r.CustomerName }, title: "CUSTOMER"},
		{name: "pack", exact: func(r ahead) string { return r.Pack }},
		{name: "rule", exact: func(r ahead) string { return r.Rule }, title: "RULE", text: func(r ahead) string { return r.Pack + "/" + r.Rule }},
		{name: "threshold", exact: func(r ahead) string { return r.Threshold }},
		{name: "done_best", exact: func(r ahead) string { return r.Done.Best }},
		{name: "per_day_median", exact: func(r ahead) string { return r.PerDay.Median }},
		{name: "crossed", exact: func(r ahead) string { return strconv.FormatBool(r.Crossed) }},
		{name: "earliest", exact: func(r ahead) string { return exactTime(r.Earliest) }, title: "EARLIEST", text: func(r ahead) string {
			if r.Crossed {
				return "crossed"
			}
			return date(r.Earliest)
		}},
		{name: "likely", exact: func(r ahead) string { return exactTime(r.Likely) }, title: "LIKELY", text: func(r ahead) string { return date(r.Likely) }},
		{name: "latest", exact: func(r ahead) string { return exactTime(r.Latest) }, title: "LATEST", text: func(r ahead) string { return date(r.Latest) }},
		{title: "BY 14 DAYS", text: func(r ahead) string { return by(r, 14) }, right: true},
		{name: "could", exact: func(r ahead) string { return exactTime(r.Could) }, title: "COULD", text: func(r ahead) string { return date(r.Could) }},
	})
}

type campaignsCommand struct{}

// Run prints runs that follow each other.
func (campaignsCommand) Run(s *scope) error {
	type row = apitypes.Campaign
	return listAll(s, "/v1/campaigns", nil, 0, "No campaigns: no runs.", []column[row]{
		{name: "campaign", exact: func(c row) string { return c.ID }, title: "CAMPAIGN"},
		{name: "subject", exact: func(c row) string { return c.Subject }, title: "OF"},
		{name: "customer", exact: func(c row) string { return c.CustomerName }, title: "CUSTOMER"},
		{name: "runs", exact: func(c row) string { return strings.Join(c.Runs, " ") }, title: "RUNS", text: func(c row) string { return number(len(c.Runs)) }, right: true},
		{name: "start", exact: func(c row) string { return exactTime(c.Start) }, title: "START", text: func(c row) string { return when(c.Start) }},
		{name: "end", exact: func(c row) string { return exactTime(c.End) }, title: "END", text: func(c row) string { return when(c.End) }},
		{title: "OPERATIONS best [low, high]", text: func(c row) string { return interval(c.Operations) }, right: true},
		{name: "operations_low", exact: func(c row) string { return c.Operations.Low }},
		{name: "operations_best", exact: func(c row) string { return c.Operations.Best }},
		{name: "operations_high", exact: func(c row) string { return c.Operations.High }},
		{name: "why", exact: func(c row) string { return c.Why }, title: "WHY"},
	})
}

type capabilitiesCommand struct{}

// Run prints what connected devices can do.
func (capabilitiesCommand) Run(s *scope) error {
	type row = apitypes.Capability
	rows, err := all[row](s, "/v1/capabilities", nil, 0)
	if err != nil {
		return err
	}
	figure := func(x float64) string { return strconv.FormatFloat(x, 'e', 2, 64) }
	exact := func(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }
	return list(s, rows, "Nobody holds or has reserved devices.", []column[row]{
		{name: "subject", exact: func(c row) string { return c.Subject }, title: "OF"},
		{name: "customer", exact: func(c row) string { return c.CustomerName }, title: "CUSTOMER"},
		{name: "network_gbit_s", exact: func(c row) string { return number(c.NetworkGbitS) }, title: "AT GBIT/S", right: true},
		{name: "low", exact: func(c row) string { return exact(c.Low) }, title: "LOW OP/S", text: func(c row) string { return figure(c.Low) }, right: true},
		{name: "best", exact: func(c row) string { return exact(c.Best) }, title: "BEST OP/S", text: func(c row) string { return figure(c.Best) }, right: true},
		{name: "high", exact: func(c row) string { return exact(c.High) }, title: "HIGH OP/S", text: func(c row) string { return figure(c.High) }, right: true},
	})
}

type reservationsCommand struct{}

// Run prints the reservations.
func (reservationsCommand) Run(s *scope) error {
	type row = apitypes.Reservation
	return listAll(s, "/v1/reservations", nil, 0, "No reservations. Import with flopwatchctl reservations import FILE.", []column[row]{
		{name: "reservation_id", exact: func(r row) string { return r.ID }, title: "ID"},
		{name: "tenant_id", exact: func(r row) string { return r.Tenant }, title: "TENANT"},
		{name: "accelerator", exact: func(r row) string { return r.Accelerator }, title: "ACCELERATOR"},
		{name: "devices", exact: func(r row) string { return number(r.Devices) }, title: "DEVICES", right: true},
		{name: "from", exact: func(r row) string { return exactTime(r.From) }, title: "FROM", text: func(r row) string { return when(r.From) }},
		{name: "to", exact: func(r row) string { return exactTime(r.To) }, title: "TO", text: func(r row) string {
			if r.Withdrawn {
				return "withdrawn"
			}
			return when(r.To)
		}},
		{name: "declared_use", exact: func(r row) string { return r.DeclaredUse }, title: "DECLARED USE"},
		{name: "network_gbit_s", exact: func(r row) string {
			if r.NetworkGbitS == 0 {
				return ""
			}
			return number(r.NetworkGbitS)
		}, title: "GBIT/S", right: true},
		{name: "withdrawn", exact: func(r row) string { return strconv.FormatBool(r.Withdrawn) }},
		{name: "most", exact: func(r row) string { return r.Most }},
		{name: "recorded", exact: func(r row) string { return exactTime(r.Recorded) }},
	})
}

type importReservationsCommand struct {
	File   string `arg:"" help:"CSV file: reservation_id,tenant_id,accelerator,devices,from,to[,network_gbit_s][,declared_use]." type:"existingfile"`
	DryRun bool   `help:"Say what would change and write nothing."`
}

// Run sends the file and prints what changed.
func (i importReservationsCommand) Run(s *scope) error {
	var diff apitypes.Diff
	if err := (fileImport{"reservations", i.File, i.DryRun}).send(s, http.MethodPut, "/v1/reservations", "text/csv", &diff); err != nil {
		return err
	}
	if s.format != "table" {
		return fields(s, diff, []field{{"new", number(len(diff.New)), ""}, {"changed", number(len(diff.Changed)), ""}, {"unchanged", number(len(diff.Unchanged)), ""}})
	}
	if diff.DryRun {
		s.out.say("dry run, nothing written: ")
	}
	s.out.say("%d new, %d changed, %d unchanged\n", len(diff.New), len(diff.Changed), len(diff.Unchanged))
	return nil
}
