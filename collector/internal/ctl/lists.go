package ctl

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/sheet"
)

func number[N int | int64](n N) string { return strconv.FormatInt(int64(n), 10) }

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// exactly are columns that stand in CSV only.
func exactly[T any](columns []sheet.Column[T]) []column[T] {
	out := make([]column[T], len(columns))
	for i, c := range columns {
		out[i] = column[T]{name: c.Name, exact: c.Of}
	}
	return out
}

// figureColumns are the table columns of a figure.
func figureColumns[T any](of func(T) apitypes.Figure) []column[T] {
	return []column[T]{
		{title: "OPERATIONS best [low, high]", text: func(t T) string { return interval(of(t).Combined) }, right: true},
		{title: "DEVICE TIME", text: func(t T) string { return span(of(t).DeviceTime) }, right: true},
		{title: "COVERAGE", text: func(t T) string { return percent(of(t).Coverage) }, right: true},
		{title: "METHODS", text: func(t T) string { return strings.Join(of(t).Methods, ",") }},
	}
}

type tenantsCommand struct{}

func (tenantsCommand) Run(s *scope) error {
	type row = apitypes.Tenant
	rows, err := all[row](s, "/v1/tenants", nil, 0)
	if err != nil {
		return err
	}
	columns := []column[row]{
		{exact: func(t row) string { return t.ID }, title: "TENANT"},
		{title: "CUSTOMER", text: func(t row) string { return orElse(t.CustomerName, "(not claimed)") }},
		{exact: func(t row) string { return t.ForeignStatus }, title: "FOREIGN"},
		{exact: func(t row) string { return number(t.Runs) }, title: "RUNS", right: true},
		{exact: func(t row) string { return number(t.Devices) }, title: "DEVICES", right: true},
	}
	return list(s, rows, "No tenants yet: no attributed windows have come in.",
		slices.Concat(exactly(sheet.Tenants()), columns, figureColumns(func(t row) apitypes.Figure { return t.Figure })))
}

type customersCommand struct{}

func (customersCommand) Run(s *scope) error {
	type row = apitypes.Customer
	return listAll(s, "/v1/customers", nil, 0, "No customers yet: import them with flopwatchctl customers import FILE.", append(exactly(sheet.Customers()), []column[row]{
		{exact: func(c row) string { return c.ID }, title: "ID"},
		{exact: func(c row) string { return c.Name }, title: "NAME"},
		{title: "COUNTRY", text: func(c row) string { return orElse(c.Country, "not known") }},
		{exact: func(c row) string { return c.ForeignStatus }, title: "FOREIGN"},
		{exact: func(c row) string { return c.StatusReason }, title: "WHY"},
		{exact: func(c row) string { return strings.Join(c.Tenants, " ") }, title: "TENANTS"},
	}...))
}

type runsCommand struct {
	Tenant string `help:"Only runs of this tenant." placeholder:"ID"`
	Limit  int    `help:"Most runs to print; 0 prints all." default:"0"`
}

// Run prints the runs.
func (r runsCommand) Run(s *scope) error {
	query := url.Values{}
	if r.Tenant != "" {
		query.Set("tenant", r.Tenant)
	}
	return listAll(s, "/v1/runs", query, r.Limit, "No runs yet: no attributed windows have come in.", runColumns())
}

func runColumns() []column[apitypes.Run] {
	type row = apitypes.Run
	columns := []column[row]{
		{exact: func(r row) string { return r.ID }, title: "RUN"},
		{exact: func(r row) string { return r.Label }, title: "LABEL"},
		{exact: func(r row) string { return r.Tenant }, title: "TENANT"},
		{title: "CUSTOMER", text: func(r row) string { return orElse(r.CustomerName, "(not claimed)") }},
		{exact: func(r row) string { return r.ForeignStatus }, title: "FOREIGN"},
		{exact: func(r row) string { return number(r.Devices) }, title: "DEVICES", right: true},
		{exact: func(r row) string { return number(r.Hosts) }, title: "HOSTS", right: true},
		{title: "START", text: func(r row) string { return when(r.Start) }},
		{title: "END", text: func(r row) string {
			if r.Open {
				return "running"
			}
			return when(r.End)
		}},
		{title: "CLASS", text: func(r row) string {
			if r.Verdict.Training == nil {
				return r.Verdict.Class
			}
			return fmt.Sprintf("%s (p training %.2f)", r.Verdict.Class, *r.Verdict.Training)
		}},
	}
	return slices.Concat(exactly(sheet.Runs()), columns, figureColumns(func(r row) apitypes.Figure { return r.Figure }))
}

type findingsCommand struct {
	Limit int `help:"Most findings to print; 0 prints all." default:"0"`
}

// Run prints the findings.
func (f findingsCommand) Run(s *scope) error {
	type row = apitypes.Finding
	return listAll(s, "/v1/findings", nil, f.Limit, "No findings: no run has reached a level that a rule names.", append(exactly(sheet.Findings()), []column[row]{
		{exact: func(f row) string { return f.ID }, title: "FINDING"},
		{exact: func(f row) string { return f.Severity }, title: "SEVERITY"},
		{exact: func(f row) string { return f.Level }, title: "LEVEL"},
		{exact: func(f row) string { return f.Pack }, title: "PACK"},
		{exact: func(f row) string { return f.PackStatus }, title: "STATUS"},
		{exact: func(f row) string { return f.Subject }, title: "SUBJECT"},
		{title: "CUSTOMER", text: func(f row) string { return orElse(f.CustomerName, f.Tenant) }},
		{exact: func(f row) string { return f.ForeignStatus }, title: "FOREIGN"},
		{title: "OPERATIONS best [low, high]", text: func(f row) string { return interval(f.Operations) }, right: true},
		{title: "THRESHOLD", text: func(f row) string { return threshold(f.Threshold) }, right: true},
		{title: "OCCURRED", text: func(f row) string { return when(f.Occurred) }},
		{exact: func(f row) string { return f.Work.State }, title: "WORK"},
		{exact: func(f row) string { return f.Work.CaseID }, title: "CASE"},
	}...))
}

// threshold is empty where a finding rests on none.
func threshold(exact string) string {
	if exact == "0" {
		return ""
	}
	return operations(exact)
}

type hostsCommand struct{}

func (hostsCommand) Run(s *scope) error {
	type row = apitypes.Host
	return listAll(s, "/v1/hosts", nil, 0, "No hosts yet: none has sent a signed batch.", []column[row]{
		{name: "host", exact: func(h row) string { return h.ID }, title: "HOST"},
		{name: "name", exact: func(h row) string { return h.Name }, title: "NAME"},
		{name: "devices", exact: func(h row) string { return number(h.Devices) }, title: "DEVICES", right: true},
		{name: "accelerators", exact: func(h row) string { return strings.Join(h.Accelerators, " ") }, title: "ACCELERATORS"},
		{name: "agent_version", exact: func(h row) string { return h.AgentVersion }, title: "AGENT"},
		{name: "epoch", exact: func(h row) string { return strconv.FormatUint(h.Epoch, 10) }, title: "EPOCH", right: true},
		{name: "seq", exact: func(h row) string { return strconv.FormatUint(h.Seq, 10) }, title: "BATCH", right: true},
		{name: "first", exact: func(h row) string { return exactTime(h.First) }},
		{name: "last", exact: func(h row) string { return exactTime(h.Last) }, title: "DATA UNTIL", text: func(h row) string { return when(h.Last) }},
	})
}

type coverageCommand struct{}

func (coverageCommand) Run(s *scope) error {
	type row = apitypes.Coverage
	return listAll(s, "/v1/coverage", nil, 0, "No coverage yet: no host has sent a signed batch.", append([]column[row]{
		{name: "host", exact: func(c row) string { return c.Host }, title: "HOST"},
		{name: "name", exact: func(c row) string { return c.HostName }, title: "NAME"},
		{name: "devices", exact: func(c row) string { return number(c.Devices) }, title: "DEVICES", right: true},
		{name: "coverage", exact: func(c row) string { return strconv.FormatFloat(c.Coverage, 'f', -1, 64) }, title: "COVERAGE", text: func(c row) string { return percent(c.Coverage) }, right: true},
		{name: "elapsed_seconds", exact: func(c row) string { return c.Elapsed.String() }, title: "ELAPSED", text: func(c row) string { return span(c.Elapsed) }, right: true},
		{name: "unobserved_seconds", exact: func(c row) string { return c.Unobserved.String() }, title: "UNOBSERVED", text: func(c row) string { return span(c.Unobserved) }, right: true},
		{name: "hidden", exact: func(c row) string { return c.Hidden }, title: "HIDDEN AT MOST", text: func(c row) string { return operations(c.Hidden) }, right: true},
		{name: "last", exact: func(c row) string { return exactTime(c.Last) }, title: "DATA UNTIL", text: func(c row) string { return when(c.Last) }},
	}, gradeColumns(func(c row) apitypes.Evidence { return c.Evidence })...))
}
