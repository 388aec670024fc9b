package ctl

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

func number[N int | int64](n N) string { return strconv.FormatInt(int64(n), 10) }

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// figureColumns are the exact columns of a figure, and its table columns.
func figureColumns[T any](of func(T) apitypes.Figure) []column[T] {
	return []column[T]{
		{title: "OPERATIONS best [low, high]", text: func(t T) string { return interval(of(t).Combined) }, right: true},
		{name: "operations_low", exact: func(t T) string { return of(t).Combined.Low }},
		{name: "operations_best", exact: func(t T) string { return of(t).Combined.Best }},
		{name: "operations_high", exact: func(t T) string { return of(t).Combined.High }},
		{name: "empirical_low", exact: func(t T) string { return of(t).Empirical.Low }},
		{name: "empirical_best", exact: func(t T) string { return of(t).Empirical.Best }},
		{name: "empirical_high", exact: func(t T) string { return of(t).Empirical.High }},
		{name: "theoretical_low", exact: func(t T) string { return of(t).Theoretical.Low }},
		{name: "theoretical_best", exact: func(t T) string { return of(t).Theoretical.Best }},
		{name: "theoretical_high", exact: func(t T) string { return of(t).Theoretical.High }},
		{name: "ceiling", exact: func(t T) string { return of(t).Ceiling }},
		{name: "device_seconds", exact: func(t T) string { return of(t).DeviceTime.String() }, title: "DEVICE TIME", text: func(t T) string { return span(of(t).DeviceTime) }, right: true},
		{name: "coverage", exact: func(t T) string { return strconv.FormatFloat(of(t).Coverage, 'f', -1, 64) }, title: "COVERAGE", text: func(t T) string { return percent(of(t).Coverage) }, right: true},
		{name: "methods", exact: func(t T) string { return strings.Join(of(t).Methods, " ") }, title: "METHODS", text: func(t T) string { return strings.Join(of(t).Methods, ",") }},
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
		{name: "tenant", exact: func(t row) string { return t.ID }, title: "TENANT"},
		{name: "customer_id", exact: func(t row) string { return t.CustomerID }},
		{name: "customer", exact: func(t row) string { return t.CustomerName }, title: "CUSTOMER", text: func(t row) string { return orElse(t.CustomerName, "(not claimed)") }},
		{name: "foreign_status", exact: func(t row) string { return t.ForeignStatus }, title: "FOREIGN"},
		{name: "runs", exact: func(t row) string { return number(t.Runs) }, title: "RUNS", right: true},
		{name: "devices", exact: func(t row) string { return number(t.Devices) }, title: "DEVICES", right: true},
		{name: "first", exact: func(t row) string { return exactTime(t.First) }},
		{name: "last", exact: func(t row) string { return exactTime(t.Last) }},
	}
	return list(s, rows, "No tenants yet: no attributed windows have come in.",
		append(columns, figureColumns(func(t row) apitypes.Figure { return t.Figure })...))
}

type customersCommand struct{}

func (customersCommand) Run(s *scope) error {
	type row = apitypes.Customer
	return listAll(s, "/v1/customers", nil, 0, "No customers yet: import them with flopwatchctl customers import FILE.", []column[row]{
		{name: "customer_id", exact: func(c row) string { return c.ID }, title: "ID"},
		{name: "name", exact: func(c row) string { return c.Name }, title: "NAME"},
		{name: "country", exact: func(c row) string { return c.Country }, title: "COUNTRY", text: func(c row) string { return orElse(c.Country, "not known") }},
		{name: "foreign_status", exact: func(c row) string { return c.ForeignStatus }, title: "FOREIGN"},
		{name: "status_reason", exact: func(c row) string { return c.StatusReason }, title: "WHY"},
		{name: "demonstration", exact: func(c row) string { return strconv.FormatBool(c.Demonstration) }},
		{name: "tenants", exact: func(c row) string { return strings.Join(c.Tenants, " ") }, title: "TENANTS"},
	})
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
		{name: "run", exact: func(r row) string { return r.ID }, title: "RUN"},
		{name: "label", exact: func(r row) string { return r.Label }, title: "LABEL"},
		{name: "tenant", exact: func(r row) string { return r.Tenant }, title: "TENANT"},
		{name: "customer_id", exact: func(r row) string { return r.CustomerID }},
		{name: "customer", exact: func(r row) string { return r.CustomerName }, title: "CUSTOMER", text: func(r row) string { return orElse(r.CustomerName, "(not claimed)") }},
		{name: "foreign_status", exact: func(r row) string { return r.ForeignStatus }, title: "FOREIGN"},
		{name: "devices", exact: func(r row) string { return number(r.Devices) }, title: "DEVICES", right: true},
		{name: "hosts", exact: func(r row) string { return number(r.Hosts) }, title: "HOSTS", right: true},
		{name: "accelerators", exact: func(r row) string { return strings.Join(r.Accelerators, " ") }},
		{name: "start", exact: func(r row) string { return exactTime(r.Start) }, title: "START", text: func(r row) string { return when(r.Start) }},
		{name: "end", exact: func(r row) string { return exactTime(r.End) }, title: "END", text: func(r row) string {
			if r.Open {
				return "running"
			}
			return when(r.End)
		}},
		{name: "open", exact: func(r row) string { return strconv.FormatBool(r.Open) }},
		{name: "joined_by", exact: func(r row) string { return r.JoinedBy }},
		{name: "class", exact: func(r row) string { return r.Verdict.Class }, title: "CLASS", text: func(r row) string {
			if r.Verdict.Training == nil {
				return r.Verdict.Class
			}
			return fmt.Sprintf("%s (p training %.2f)", r.Verdict.Class, *r.Verdict.Training)
		}},
		{name: "training_probability", exact: func(r row) string { return probability(r.Verdict.Training) }},
		{name: "verdict_method", exact: func(r row) string { return r.Verdict.Method }},
	}
	return append(columns, figureColumns(func(r row) apitypes.Figure { return r.Figure })...)
}

type findingsCommand struct {
	Limit int `help:"Most findings to print; 0 prints all." default:"0"`
}

// Run prints the findings.
func (f findingsCommand) Run(s *scope) error {
	type row = apitypes.Finding
	return listAll(s, "/v1/findings", nil, f.Limit, "No findings: no run has reached a level that a rule names.", []column[row]{
		{name: "finding", exact: func(f row) string { return f.ID }, title: "FINDING"},
		{name: "severity", exact: func(f row) string { return f.Severity }, title: "SEVERITY"},
		{name: "level", exact: func(f row) string { return f.Level }, title: "LEVEL"},
		{name: "pack", exact: func(f row) string { return f.Pack }, title: "PACK"},
		{name: "pack_status", exact: func(f row) string { return f.PackStatus }, title: "STATUS"},
		{name: "citation", exact: func(f row) string { return f.Citation }},
		{name: "rule", exact: func(f row) string { return f.Rule }},
		{name: "subject", exact: func(f row) string { return f.Subject }, title: "SUBJECT"},
		{name: "tenant", exact: func(f row) string { return f.Tenant }},
		{name: "customer_id", exact: func(f row) string { return f.CustomerID }},
		{name: "customer", exact: func(f row) string { return f.CustomerName }, title: "CUSTOMER", text: func(f row) string { return orElse(f.CustomerName, f.Tenant) }},
		{name: "foreign_status", exact: func(f row) string { return f.ForeignStatus }, title: "FOREIGN"},
		{title: "OPERATIONS best [low, high]", text: func(f row) string { return interval(f.Operations) }, right: true},
		{name: "operations_low", exact: func(f row) string { return f.Operations.Low }},
		{name: "operations_best", exact: func(f row) string { return f.Operations.Best }},
		{name: "operations_high", exact: func(f row) string { return f.Operations.High }},
		{name: "threshold", exact: func(f row) string { return f.Threshold }, title: "THRESHOLD", text: func(f row) string { return threshold(f.Threshold) }, right: true},
		{name: "occurred", exact: func(f row) string { return exactTime(f.Occurred) }, title: "OCCURRED", text: func(f row) string { return when(f.Occurred) }},
		{name: "signalled", exact: func(f row) string { return exactTime(f.Signalled) }},
		{name: "pack_version", exact: func(f row) string { return number(f.PackVersion) }},
		{name: "basis", exact: func(f row) string { return f.Basis }},
		{name: "policy", exact: func(f row) string { return f.Policy }},
		{name: "known", exact: func(f row) string { return exactTime(f.Known) }},
		{name: "work", exact: func(f row) string { return f.Work.State }, title: "WORK"},
		{name: "case_id", exact: func(f row) string { return f.Work.CaseID }, title: "CASE"},
		{name: "reason", exact: func(f row) string { return f.Reason }},
	})
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
