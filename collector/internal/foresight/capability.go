package foresight

import (
	"maps"
	"math"

	"github.com/flopwatch/flopwatch/collector/internal/forecast"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/reservation"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Capability is the peak of the devices that are connected at a network speed,
// in bounds: what shares a host is connected for sure; what else is, is known
// where the reservation that it runs in states a speed, and else only possible.
func capability(runs []*Run, reserved []reservation.Reservation, now int64, gbitS int) policy.Figure {
	var f policy.Figure
	inForce := map[measure.TenantID]*reservation.Reservation{}
	for i := range reserved {
		r := &reserved[i]
		if r.FromNS <= now && r.NetworkGbitS > 0 && (inForce[r.Tenant] == nil || r.Devices > inForce[r.Tenant].Devices) {
			inForce[r.Tenant] = r
		}
	}
	for _, run := range runs {
		if run.EndNS < now-openFor {
			continue
		}
		peak := int64(run.Peak())
		host := int64(float64(peak) * math.Ceil(float64(run.Devices)/float64(max(1, run.Hosts))) / float64(max(1, run.Devices)))
		r := inForce[run.Tenant]
		switch {
		case r == nil || r.Devices < run.Devices:
			f.Low, f.Best = max(f.Low, host), max(f.Best, host)
			f.High += peak
		case r.NetworkGbitS >= gbitS:
			f.Low += peak
			f.Best += peak
			f.High += peak
		default:
			f.Low, f.Best, f.High = max(f.Low, host), max(f.Best, host), max(f.High, host)
		}
	}
	for i := range reserved {
		r := &reserved[i]
		peak := int64(r.Peak())
		if r.FromNS <= now { // what runs in it is counted; the rest of it may join in
			peak = max(0, peak-f.High)
		}
		switch {
		case r.NetworkGbitS >= gbitS:
			f.Best += peak
			f.High += peak
		case r.NetworkGbitS == 0:
			f.High += peak
		}
	}
	f.Best = max(f.Low, f.Best)
	f.High = max(f.Best, f.High)
	return f
}

// Connected is what the devices of one run can do together at a network speed, in
// mega-operations per second. The largest reservation of its tenant that states a
// speed, holds as many devices and overlaps it says whether they are connected.
func Connected(run *Run, reserved []reservation.Reservation, gbitS int) policy.Figure {
	peak := int64(run.Peak())
	host := int64(float64(peak) * math.Ceil(float64(run.Devices)/float64(max(1, run.Hosts))) / float64(max(1, run.Devices)))
	var in *reservation.Reservation
	for i := range reserved {
		r := &reserved[i]
		if r.NetworkGbitS > 0 && r.Devices >= run.Devices && r.FromNS < run.EndNS && (r.ToNS == 0 || r.ToNS > run.StartNS) && (in == nil || r.Devices > in.Devices) {
			in = r
		}
	}
	switch {
	case in == nil:
		return policy.Figure{Low: host, Best: host, High: max(host, peak)}
	case in.NetworkGbitS >= gbitS:
		return policy.Exactly(max(host, peak))
	}
	return policy.Exactly(host)
}

// Capability returns the peak of what a customer's or tenant's devices can do
// together at a network speed, in mega-operations per second.
func (s *State) Capability(id string, gbitS int) (policy.Figure, bool) {
	for _, x := range s.subjects() {
		if x.ID == id {
			return capability(x.runs, x.reservations, s.NowNS, gbitS), true
		}
	}
	return policy.Figure{}, false
}

// facts are what is known of a subject beside its operations, for the measures
// that rules of the packs name.
func (s *State) facts(x *subject, of policy.Subject, f *forecast.Forecast) policy.Facts {
	runs, tenant := x.runs, measure.TenantID("")
	if of.Measure == policy.RunOperations {
		runs, tenant = nil, of.Tenant
		for _, r := range x.runs {
			if r.ID == of.ID {
				runs = append(runs, r)
			}
		}
	}
	facts := policy.Facts{}
	maps.Copy(facts, s.Facts[x.ID])
	devices, coverage, training := 0, 1.0, -1.0
	for _, r := range runs {
		if r.EndNS >= s.NowNS-openFor {
			devices += r.Devices
		}
		coverage = min(coverage, 1-r.Unobserved)
		if r.Verdict.Told() {
			training = max(training, r.Verdict.Training)
		}
	}
	for _, key := range policy.Named(s.Packs) {
		switch key.Measure {
		case policy.ProjectedOperations:
			b := f.By(s.NowNS + int64(key.WindowDays)*int64(forecast.Day))
			facts[key] = policy.Figure{Low: int64(b.Low), Best: int64(b.Best), High: int64(b.High)}
		case policy.ClusterRate:
			facts[key] = capability(runs, x.reserved(tenant), s.NowNS, key.NetworkGbitS)
		case policy.DeviceCount:
			facts[key] = policy.Exactly(int64(devices))
		case policy.CoveragePercent:
			facts[key] = policy.Exactly(int64(coverage * 100))
		case policy.TrainingPercent:
			if training >= 0 {
				facts[key] = policy.Exactly(int64(math.Round(training * 100)))
			}
		case policy.AccountAgeDays:
			// When an account was opened is not known; it was there when it was first
			// seen. On a new collector everybody looks new, so that says nothing.
			if x.firstNS > 0 && x.firstNS-s.SinceNS > 30*int64(forecast.Day) {
				facts[key] = policy.Exactly((s.NowNS - x.firstNS) / int64(forecast.Day))
			}
		}
	}
	return facts
}

// rate is a figure of capability as operations per second.
func rate(n int64) float64 { return compute.Rate(n).OpsPerSecond() }
