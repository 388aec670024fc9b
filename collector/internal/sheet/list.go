package sheet

import (
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// Figure are the columns of the figure of a row.
func Figure[T any](of func(T) apitypes.Figure) []Column[T] {
	return []Column[T]{
		{"operations_low", func(t T) string { return of(t).Combined.Low }},
		{"operations_best", func(t T) string { return of(t).Combined.Best }},
		{"operations_high", func(t T) string { return of(t).Combined.High }},
		{"empirical_low", func(t T) string { return of(t).Empirical.Low }},
		{"empirical_best", func(t T) string { return of(t).Empirical.Best }},
		{"empirical_high", func(t T) string { return of(t).Empirical.High }},
		{"theoretical_low", func(t T) string { return of(t).Theoretical.Low }},
		{"theoretical_best", func(t T) string { return of(t).Theoretical.Best }},
		{"theoretical_high", func(t T) string { return of(t).Theoretical.High }},
		{"ceiling", func(t T) string { return of(t).Ceiling }},
		{"device_seconds", func(t T) string { return of(t).DeviceTime.String() }},
		{"coverage", func(t T) string { return strconv.FormatFloat(of(t).Coverage, 'f', -1, 64) }},
		{"methods", func(t T) string { return strings.Join(of(t).Methods, " ") }},
	}
}

// Tenants are the columns of tenants.
func Tenants() []Column[apitypes.Tenant] {
	type row = apitypes.Tenant
	return append([]Column[row]{
		{"tenant", func(t row) string { return t.ID }},
		{"customer_id", func(t row) string { return t.CustomerID }},
		{"customer", func(t row) string { return t.CustomerName }},
		{"foreign_status", func(t row) string { return t.ForeignStatus }},
		{"runs", func(t row) string { return strconv.Itoa(t.Runs) }},
		{"devices", func(t row) string { return strconv.Itoa(t.Devices) }},
		{"first", func(t row) string { return Moment(t.First) }},
		{"last", func(t row) string { return Moment(t.Last) }},
	}, Figure(func(t row) apitypes.Figure { return t.Figure })...)
}

// Customers are the columns of customers.
func Customers() []Column[apitypes.Customer] {
	type row = apitypes.Customer
	return []Column[row]{
		{"customer_id", func(c row) string { return c.ID }},
		{"name", func(c row) string { return c.Name }},
		{"country", func(c row) string { return c.Country }},
		{"foreign_status", func(c row) string { return c.ForeignStatus }},
		{"status_reason", func(c row) string { return c.StatusReason }},
		{"demonstration", func(c row) string { return strconv.FormatBool(c.Demonstration) }},
		{"tenants", func(c row) string { return strings.Join(c.Tenants, " ") }},
	}
}

// Runs are the columns of training runs.
func Runs() []Column[apitypes.Run] {
	type row = apitypes.Run
	return append([]Column[row]{
		{"run", func(r row) string { return r.ID }},
		{"label", func(r row) string { return r.Label }},
		{"tenant", func(r row) string { return r.Tenant }},
		{"customer_id", func(r row) string { return r.CustomerID }},
		{"customer", func(r row) string { return r.CustomerName }},
		{"foreign_status", func(r row) string { return r.ForeignStatus }},
		{"devices", func(r row) string { return strconv.Itoa(r.Devices) }},
		{"hosts", func(r row) string { return strconv.Itoa(r.Hosts) }},
		{"accelerators", func(r row) string { return strings.Join(r.Accelerators, " ") }},
		{"start", func(r row) string { return Moment(r.Start) }},
		{"end", func(r row) string { return Moment(r.End) }},
		{"open", func(r row) string { return strconv.FormatBool(r.Open) }},
		{"joined_by", func(r row) string { return r.JoinedBy }},
		{"class", func(r row) string { return r.Verdict.Class }},
		{"training_probability", func(r row) string {
			if r.Verdict.Training == nil {
				return "" // not known, which is not zero
			}
			return strconv.FormatFloat(*r.Verdict.Training, 'f', 4, 64)
		}},
		{"verdict_method", func(r row) string { return r.Verdict.Method }},
	}, Figure(func(r row) apitypes.Figure { return r.Figure })...)
}

// Findings are the columns of findings.
func Findings() []Column[apitypes.Finding] {
	type row = apitypes.Finding
	return []Column[row]{
		{"finding", func(f row) string { return f.ID }},
		{"severity", func(f row) string { return f.Severity }},
		{"level", func(f row) string { return f.Level }},
		{"pack", func(f row) string { return f.Pack }},
		{"pack_status", func(f row) string { return f.PackStatus }},
		{"citation", func(f row) string { return f.Citation }},
		{"rule", func(f row) string { return f.Rule }},
		{"subject", func(f row) string { return f.Subject }},
		{"tenant", func(f row) string { return f.Tenant }},
		{"customer_id", func(f row) string { return f.CustomerID }},
		{"customer", func(f row) string { return f.CustomerName }},
		{"foreign_status", func(f row) string { return f.ForeignStatus }},
		{"operations_low", func(f row) string { return f.Operations.Low }},
		{"operations_best", func(f row) string { return f.Operations.Best }},
		{"operations_high", func(f row) string { return f.Operations.High }},
		{"threshold", func(f row) string { return f.Threshold }},
		{"occurred", func(f row) string { return Moment(f.Occurred) }},
		{"signalled", func(f row) string { return Moment(f.Signalled) }},
		{"pack_version", func(f row) string { return strconv.Itoa(f.PackVersion) }},
		{"basis", func(f row) string { return f.Basis }},
		{"policy", func(f row) string { return f.Policy }},
		{"known", func(f row) string { return Moment(f.Known) }},
		{"work", func(f row) string { return f.Work.State }},
		{"case_id", func(f row) string { return f.Work.CaseID }},
		{"reason", func(f row) string { return f.Reason }},
	}
}

// AuditEntries are the columns of the audit log.
func AuditEntries() []Column[apitypes.AuditEntry] {
	type row = apitypes.AuditEntry
	return []Column[row]{
		{"entry", func(e row) string { return e.ID }},
		{"at", func(e row) string { return Moment(e.At) }},
		{"actor_kind", func(e row) string { return e.ActorKind }},
		{"actor", func(e row) string { return e.Actor }},
		{"sign_in", func(e row) string { return e.SignIn }},
		{"action", func(e row) string { return e.Action }},
		{"object_kind", func(e row) string { return e.ObjectKind }},
		{"object", func(e row) string { return e.Object }},
		{"before", func(e row) string { return e.Before }},
		{"after", func(e row) string { return e.After }},
		{"reason", func(e row) string { return e.Reason }},
		{"policy", func(e row) string { return e.Policy }},
		{"request", func(e row) string { return e.Request }},
		{"approvals", func(e row) string { return strings.Join(e.Approvals, " ") }},
	}
}
