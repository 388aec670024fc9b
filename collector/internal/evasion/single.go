package evasion

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// perRun holds the patterns of one run against each.
func (s *seen) perRun() {
	for i := range s.Runs {
		r := &s.Runs[i]
		s.masquerade(r)
		s.mismatch(r)
		s.underUse(r)
		s.silenced(r)
	}
}

func (s *seen) ofRun(rule, severity string, r *Run, line Line, reason string) {
	s.tell(Finding{Rule: rule, Severity: severity, Subject: r.ID, Tenant: r.Tenant, Tenants: []measure.TenantID{r.Tenant}, Runs: []string{r.ID},
		Threshold: line.Operations, Operations: r.Operations, OccurredNS: r.EndNS, Reason: reason})
}

// masquerade: busy like serving, beating like training.
func (s *seen) masquerade(r *Run) {
	x := &s.r.Masquerade
	if r.Training*100 < float64(x.TrainingPercent) || r.Utilization < 0 || r.Utilization*100 >= float64(x.BelowUtilizationPercent) || r.Regular == "" ||
		r.Devices < x.MinDevices || r.EndNS-r.StartNS < int64(x.MinDuration) {
		return
	}
	s.ofRun(Masquerade, "warning", r, Line{}, fmt.Sprintf("Run %s (%s) uses %.0f %% of its %d devices, as serving does, and moves like training, probability %.2f: %s",
		r.ID, r.Label, 100*r.Utilization, r.Devices, r.Training, r.Regular))
}

// mismatch: declared to be something else than training, and moving like training.
// It asks for as many devices, as long and as surely as masquerade does.
func (s *seen) mismatch(r *Run) {
	x := &s.r.Masquerade
	if r.Training*100 < float64(x.TrainingPercent) || r.Devices < x.MinDevices || r.EndNS-r.StartNS < int64(x.MinDuration) {
		return
	}
	said := ""
	for _, d := range s.Declared {
		if d.Tenant != r.Tenant || d.FromNS >= r.EndNS || d.ToNS <= r.StartNS {
			continue
		}
		if d.Training {
			return // it may run in this one
		}
		if said == "" || d.What < said {
			said = d.What
		}
	}
	if said == "" {
		return
	}
	s.ofRun(Mismatch, "warning", r, Line{}, fmt.Sprintf("Run %s (%s) on %d devices moves like training, probability %.2f, and the account declared another use: %s", r.ID, r.Label, r.Devices, r.Training, said))
}

// underUse: held for long and hardly used, where full use would reach a line.
func (s *seen) underUse(r *Run) {
	x := &s.r.UnderUse
	if r.Utilization < 0 || r.Utilization*100 >= float64(x.BelowUtilizationPercent) || r.Devices < x.MinDevices || r.EndNS-r.StartNS < int64(x.MinDuration) || s.serves(r) {
		return
	}
	for _, line := range slices.Backward(s.lines) {
		if r.Ceiling >= line.Operations && r.Operations.Best < line.Operations {
			s.ofRun(UnderUse, "warning", r, line, fmt.Sprintf("Run %s (%s) held %d devices for %s and is measured at %.1f %% of their peak: %s. Full use would be %s and reach %s (%s). Odd number formats and work that the counters do not see look the same as waste",
				r.ID, r.Label, r.Devices, hours(r.EndNS-r.StartNS), 100*r.Utilization, r.Operations.Best, r.Ceiling, line.Operations, line.Name))
			return
		}
	}
}

// silenced: unobserved time that could hide the crossing of a line that is near.
func (s *seen) silenced(r *Run) {
	x := &s.r.Silenced
	if r.Unobserved*100 < float64(x.MinUnobservedPercent) {
		return
	}
	for _, line := range slices.Backward(s.lines) {
		if r.Operations.Best < line.Operations && r.Operations.Best >= percentOf(line.Operations, x.FromPercent) && r.Operations.High >= line.Operations {
			s.ofRun(Silenced, "high", r, line, fmt.Sprintf("Run %s (%s) has done %s, %.0f %% of %s (%s), and for %.1f %% of its device time nobody saw what its devices did: with that time at peak it has done up to %s",
				r.ID, r.Label, r.Operations.Best, 100*r.Operations.Best.Float()/line.Operations.Float(), line.Operations, line.Name, 100*r.Unobserved, r.Operations.High))
			return
		}
	}
}

// sudden: a large cluster soon after an account first did something.
func (s *seen) sudden() {
	x := &s.r.Sudden
	of := map[measure.TenantID][]*Run{}
	for i := range s.Runs {
		r := &s.Runs[i]
		a := s.account[r.Tenant]
		// On the first day of a collector every account looks new.
		if known := a.Opened || a.FirstNS-s.SinceNS >= int64(x.Within); known && r.StartNS-a.FirstNS <= int64(x.Within) {
			of[r.Tenant] = append(of[r.Tenant], r)
		}
	}
	for tenant, runs := range of {
		devices, at := atOnce(runs)
		if devices < x.MinDevices {
			continue
		}
		part := slices.DeleteFunc(slices.Clone(runs), func(r *Run) bool { return r.StartNS > at || r.EndNS <= at })
		s.tell(Finding{Rule: Sudden, Subject: "accounts:" + string(tenant), Tenant: tenant, Tenants: []measure.TenantID{tenant}, Runs: ids(part), Operations: sum(part), OccurredNS: at,
			Reason: fmt.Sprintf("Account %s held %d devices at once %s after it was first seen; clusters of hundreds are rare. Largest run: %s on %d devices",
				tenant, devices, hours(at-s.account[tenant].FirstNS), biggest(part).ID, biggest(part).Devices)})
	}
}

// atOnce returns the most devices that runs held at one time, and when first.
func atOnce(runs []*Run) (most int, at int64) {
	type edge struct {
		ns      int64
		devices int
	}
	var edges []edge
	for _, r := range runs {
		edges = append(edges, edge{r.StartNS, r.Devices}, edge{r.EndNS, -r.Devices})
	}
	slices.SortFunc(edges, func(a, b edge) int { return cmp.Or(cmp.Compare(a.ns, b.ns), cmp.Compare(a.devices, b.devices)) })
	n := 0
	for _, e := range edges {
		if n += e.devices; n > most {
			most, at = n, e.ns
		}
	}
	return most, at
}

func biggest(runs []*Run) *Run {
	return slices.MaxFunc(runs, func(a, b *Run) int { return cmp.Or(cmp.Compare(a.Devices, b.Devices), cmp.Compare(b.ID, a.ID)) })
}
