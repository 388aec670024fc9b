package agent

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Time that leases could not decide is added up by why; decided, idle and simply
// unleased time is not.
func TestUndecidedTimeIsTold(t *testing.T) {
	lease := func(kind tenancy.Kind, value, tenant string) tenancy.Lease {
		return tenancy.Lease{Selector: tenancy.Selector{Kind: kind, Value: value}, Tenant: measure.TenantID(tenant)}
	}
	table := tenancy.NewTable([]tenancy.Lease{lease(tenancy.SlurmJob, "7", "a"), lease(tenancy.SlurmJob, "7", "b"), lease(tenancy.Namespace, "ns", "a"), lease(tenancy.SlurmJob, "8", "a")})
	job := func(id string) tenancy.Process {
		return tenancy.Process{Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: id}, Subject: tenancy.Subject{SlurmJob: id, SlurmAccount: "x"}}
	}
	pod := tenancy.Process{Workload: measure.Workload{Kind: measure.KindPod, ID: "u"}, Subject: tenancy.Subject{PodUID: "u"}}
	var u undecided
	for i := range int64(11) {
		at := (i + 1) * 1e9
		reading := func(device measure.DeviceID, procs ...tenancy.Process) sampler.Reading {
			return sampler.Reading{Sample: measure.NewSample(device, at), Shares: tenancy.Shares(procs, table, at)}
		}
		u.add([]sampler.Reading{reading("G0", job("7")), reading("G1", job("8"), pod), reading("G2", job("9")), reading("G3")})
	}
	now := time.Unix(100, 0)
	event := func(device measure.DeviceID, ms int64, detail string) measure.Event {
		return measure.Event{TimeNS: 100e9, Device: device, Kind: measure.EventUndecided, Code: ms, Detail: detail}
	}
	want := []measure.Event{event("G0", 10_000, "conflict: slurm_job 7"), event("G1", 5_000, "unasked: pod u, one of several holders, split not measured")}
	if diff := cmp.Diff(want, u.events(now)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	u.add([]sampler.Reading{{Sample: measure.NewSample("G0", 12e9), Shares: tenancy.Shares([]tenancy.Process{job("7")}, table, 12e9)}})
	if again := u.events(now.Add(time.Second)); again != nil {
		t.Errorf("told again after a second: %+v", again)
	}
	if later := u.events(now.Add(time.Minute)); len(later) != 1 || later[0].Code != 1000 {
		t.Errorf("a minute later: %+v", later)
	}
}
