package tenancy

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const vmUUID = "78177d07-ac0e-4057-b1de-9ccd66cbc3d7"

// full is a subject that every kind of selector can select.
var full = Subject{
	Host: "h", Device: "GPU-1", MIG: "MIG-1", UID: "1000", Namespace: "ns", SlurmAccount: "acc",
	Cgroup: "/a/b/c", Unit: "u.service", VM: "vm", VMUUID: vmUUID, SlurmJob: "7", PodUID: "pod", Container: "con",
}

// values are full's values by kind, from the least specific to the most.
var values = []Selector{
	{Host, "h"}, {Device, "GPU-1"}, {MIG, "MIG-1"}, {UID, "1000"}, {Namespace, "ns"}, {SlurmAccount, "acc"},
	{CgroupPrefix, "/a"}, {CgroupPrefix, "/a/b"}, {Unit, "u.service"}, {VM, "vm"}, {VM, strings.ToUpper(vmUUID)}, {SlurmJob, "7"}, {PodUID, "pod"}, {Container, "con"},
}

func TestMostSpecificWins(t *testing.T) {
	for i, low := range values {
		for _, high := range values[i+1:] {
			t.Run(string(low.Kind)+" and "+string(high.Kind)+" "+high.Value, func(t *testing.T) {
				table := NewTable([]Lease{{Selector: high, Tenant: "high"}, {Selector: low, Tenant: "low"}})
				tenant, v := table.Tenant(full, 5)
				same := specificity[low.Kind] == specificity[high.Kind] && low.Kind != CgroupPrefix
				if same && (v.Outcome != Conflict || tenant != "") {
					t.Errorf("%q, %s; want a conflict", tenant, v.Outcome)
				}
				if !same && (tenant != "high" || v.Outcome != Leased || v.Lease.Selector.Kind != high.Kind) {
					t.Errorf("%q by %v, %s; want high", tenant, v.Lease, v.Outcome)
				}
			})
		}
	}
}

func TestTenant(t *testing.T) {
	host := Selector{Host, "h"}
	tests := []struct {
		name    string
		leases  []Lease
		subject Subject
		at      int64
		tenant  measure.TenantID
		outcome Outcome
	}{
		{"no leases", nil, full, 5, "", Unleased},
		{"start is included", []Lease{{host, "t", 5, 9, 1}}, full, 5, "t", Leased},
		{"before", []Lease{{host, "t", 5, 9, 1}}, full, 4, "", Unleased},
		{"end is excluded", []Lease{{host, "t", 5, 9, 1}}, full, 9, "", Unleased},
		{"without end", []Lease{{host, "t", 5, 0, 1}}, full, math.MaxInt64, "t", Leased},
		{"handover", []Lease{{host, "t", 5, 9, 1}, {host, "u", 9, 0, 2}}, full, 9, "u", Leased},
		{"overlap", []Lease{{host, "t", 5, 9, 1}, {host, "u", 8, 0, 2}}, full, 8, "", Conflict},
		{"overlap of one tenant", []Lease{{host, "t", 5, 9, 1}, {host, "t", 8, 0, 2}}, full, 8, "t", Leased},
		{"specific lease ended", []Lease{{host, "t", 0, 0, 1}, {Selector{SlurmJob, "7"}, "u", 0, 5, 2}}, full, 5, "t", Leased},
		{"conflict hides the less specific", []Lease{{host, "t", 0, 0, 1}, {Selector{SlurmJob, "7"}, "u", 0, 0, 2}, {Selector{PodUID, "pod"}, "v", 0, 0, 3}}, full, 5, "", Conflict},
		{"empty field matches nothing", []Lease{{Selector{SlurmJob, "7"}, "t", 0, 0, 1}}, Subject{Host: "h"}, 5, "", Unleased},
		{"prefix by component", []Lease{{Selector{CgroupPrefix, "/a/b"}, "t", 0, 0, 1}}, Subject{Cgroup: "/a/bc"}, 5, "", Unleased},
		{"prefix with a slash", []Lease{{Selector{CgroupPrefix, "/a/b/"}, "t", 0, 0, 1}}, Subject{Cgroup: "/a/b"}, 5, "t", Leased},
		{"pod whose namespace is not known", []Lease{{host, "t", 0, 0, 1}, {Selector{Namespace, "ns"}, "u", 0, 0, 2}}, Subject{Host: "h", PodUID: "pod"}, 5, "", Undecided},
		{"the same, nobody leases by namespace then", []Lease{{host, "t", 0, 0, 1}, {Selector{Namespace, "ns"}, "u", 0, 5, 2}}, Subject{Host: "h", PodUID: "pod"}, 5, "t", Leased},
		{"the same, leased itself", []Lease{{Selector{PodUID, "pod"}, "t", 0, 0, 1}, {Selector{Namespace, "ns"}, "u", 0, 0, 2}}, Subject{Host: "h", PodUID: "pod"}, 5, "t", Leased},
		{"job whose account is not known", []Lease{{host, "t", 0, 0, 1}, {Selector{SlurmAccount, "acc"}, "u", 0, 0, 2}}, Subject{Host: "h", SlurmJob: "7"}, 5, "", Undecided},
		{"no pod, no job", []Lease{{host, "t", 0, 0, 1}, {Selector{Namespace, "ns"}, "u", 0, 0, 2}, {Selector{SlurmAccount, "acc"}, "u", 0, 0, 3}}, Subject{Host: "h", Container: "c"}, 5, "t", Leased},
		{"VM whose UUID is not known", []Lease{{host, "t", 0, 0, 1}, {Selector{VM, vmUUID}, "u", 0, 0, 2}}, Subject{Host: "h", VM: "box"}, 5, "", Undecided},
		{"the same, leased by name", []Lease{{Selector{VM, "box"}, "t", 0, 0, 1}, {Selector{VM, vmUUID}, "u", 0, 0, 2}}, Subject{Host: "h", VM: "box"}, 5, "t", Leased},
		{"conflict beside a name that is not known", []Lease{{Selector{Namespace, "ns"}, "t", 0, 0, 1}, {Selector{Namespace, "ns"}, "u", 0, 0, 2}, {Selector{SlurmAccount, "acc"}, "t", 0, 0, 3}}, Subject{Host: "h", Namespace: "ns", SlurmJob: "7"}, 5, "", Conflict},
		{"VM by a UUID without dashes", []Lease{{Selector{VM, strings.ReplaceAll(vmUUID, "-", "")}, "u", 0, 0, 2}}, full, 5, "u", Leased},
		{"VM that is called like another's UUID", []Lease{{Selector{VM, vmUUID}, "u", 0, 0, 2}}, Subject{Host: "h", VM: vmUUID, VMUUID: "00000000-0000-0000-0000-000000000001"}, 5, "", Unleased},
		{"prefix of everything", []Lease{{Selector{CgroupPrefix, "/"}, "t", 0, 0, 1}}, Subject{Cgroup: "/x/y"}, 5, "t", Leased},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tenant, v := NewTable(tt.leases).Tenant(tt.subject, tt.at)
			if tenant != tt.tenant || v.Outcome != tt.outcome {
				t.Errorf("%q, %s; want %q, %s", tenant, v.Outcome, tt.tenant, tt.outcome)
			}
			if v.Outcome == Conflict && v.Lease.Tenant == v.Other.Tenant {
				t.Errorf("a conflict of %+v with %+v", v.Lease, v.Other)
			}
		})
	}
}

var someLease = rapid.Custom(func(t *rapid.T) Lease {
	l := Lease{
		Selector: rapid.SampledFrom(append([]Selector{{Host, "other"}, {SlurmJob, "8"}, {CgroupPrefix, "/a/b/c/d"}}, values...)).Draw(t, "selector"),
		Tenant:   measure.TenantID(rapid.SampledFrom([]string{"t", "u", "v"}).Draw(t, "tenant")),
		FromNS:   rapid.Int64Range(1, 9).Draw(t, "from"),
	}
	if n := rapid.Int64Range(0, 5).Draw(t, "length"); n > 0 {
		l.ToNS = l.FromNS + n
	}
	return l
})

// oracle answers by definition: of the leases in force that select the subject,
// the most specific, if they agree.
func oracle(leases []Lease, s Subject, at int64) (measure.TenantID, Outcome) {
	names := map[Kind]string{VM: s.VM, PodUID: s.PodUID, SlurmJob: s.SlurmJob}
	unknown := map[Kind]bool{
		VM: s.VM != "" && s.VMUUID == "", Namespace: names[PodUID] != "" && s.Namespace == "", SlurmAccount: names[SlurmJob] != "" && s.SlurmAccount == "",
	}
	selects := map[Kind]string{
		Host: s.Host, Device: string(s.Device), MIG: string(s.MIG), UID: s.UID, Namespace: s.Namespace, SlurmAccount: s.SlurmAccount,
		Unit: s.Unit, VM: s.VM, SlurmJob: s.SlurmJob, PodUID: s.PodUID, Container: s.Container,
	}
	best, tenants := -1, map[measure.TenantID]bool{}
	for _, l := range leases {
		rank := specificity[l.Selector.Kind] * 1000
		if l.Selector.Kind == CgroupPrefix {
			p := l.Selector.Value
			if s.Cgroup != p && (len(s.Cgroup) <= len(p) || s.Cgroup[:len(p)+1] != p+"/") {
				continue
			}
			rank += len(p)
		} else if selects[l.Selector.Kind] != l.Selector.Value && (l.Selector.Kind != VM || !strings.EqualFold(s.VMUUID, l.Selector.Value)) {
			continue
		}
		if at < l.FromNS || l.ToNS != 0 && at >= l.ToNS || rank < best {
			continue
		}
		if rank > best {
			best, tenants = rank, map[measure.TenantID]bool{}
		}
		tenants[l.Tenant] = true
	}
	// A kind by whose name the subject may be selected hides what is less specific.
	for kind, is := range unknown {
		first, last := int64(math.MaxInt64), int64(math.MinInt64)
		for _, l := range leases {
			if l.Selector.Kind == kind {
				first, last = min(first, l.FromNS), max(last, l.ToNS)
				if l.ToNS == 0 {
					last = math.MaxInt64
				}
			}
		}
		if is && at >= first && at < last && best < specificity[kind]*1000 {
			return "", Undecided
		}
	}
	switch len(tenants) {
	case 0:
		return "", Unleased
	case 1:
		for t := range tenants {
			return t, Leased
		}
	}
	return "", Conflict
}

func TestTenantAgreesWithItsDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		leases := rapid.SliceOfN(someLease, 0, 12).Draw(t, "leases")
		at := rapid.Int64Range(0, 15).Draw(t, "at")
		s := full
		for _, field := range []*string{&s.VM, &s.VMUUID, &s.Namespace, &s.SlurmAccount, &s.PodUID, &s.SlurmJob, &s.Cgroup, &s.Unit, &s.Container} {
			if rapid.Bool().Draw(t, "not known") {
				*field = ""
			}
		}
		want, outcome := oracle(leases, s, at)
		if got, v := NewTable(leases).Tenant(s, at); got != want || v.Outcome != outcome {
			t.Fatalf("%q, %s; want %q, %s", got, v.Outcome, want, outcome)
		}
	})
}

func TestTenantDoesNotAllocate(t *testing.T) {
	var leases []Lease
	for _, s := range values {
		leases = append(leases, Lease{Selector: s, Tenant: "t", FromNS: 9})
	}
	table := NewTable(leases)
	if n := testing.AllocsPerRun(100, func() { table.Tenant(full, 5) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestConflicts(t *testing.T) {
	host := Selector{Host, "h"}
	table := NewTable([]Lease{{host, "t", 5, 9, 1}, {host, "u", 8, 0, 2}, {host, "u", 9, 0, 3}, {Selector{Host, "i"}, "v", 5, 0, 4}})
	want := []Verdict{{Conflict, Lease{host, "t", 5, 9, 1}, Lease{host, "u", 8, 0, 2}}}
	if diff := cmp.Diff(want, table.Conflicts(10)); diff != "" {
		t.Errorf("conflicts (-want +got):\n%s", diff)
	}
	var none *Table
	if none.Conflicts(1) != nil || none.Len() != 0 {
		t.Error("the nil table has leases")
	}
	if _, v := none.Tenant(full, 1); v.Outcome != Unleased {
		t.Error("the nil table knows a tenant")
	}
}

func TestSubject(t *testing.T) {
	p := probe.Process{PID: 4, UID: 1000, Names: probe.Names{
		Cgroup: "/a/b/c", Unit: "u.service", VM: "vm", VMUUID: vmUUID, SlurmJob: "7", PodUID: "pod", Container: "con", Namespace: "ns", SlurmAccount: "acc",
	}}
	got := SubjectOf("h", measure.Device{ID: "MIG-1", Parent: "GPU-1"}).With(p)
	if diff := cmp.Diff(full, got); diff != "" {
		t.Errorf("subject (-want +got):\n%s", diff)
	}
	p.Names.User = "1001"
	if got := SubjectOf("h", measure.Device{ID: "GPU-1"}).With(p); got.UID != "1001" {
		t.Errorf("user %s of a session of user 1001", got.UID)
	}
	if s := SubjectOf("h", measure.Device{ID: "GPU-1"}).With(probe.Process{UID: -1}); s != (Subject{Host: "h", Device: "GPU-1"}) {
		t.Errorf("subject of nobody: %+v", s)
	}
}

func TestShares(t *testing.T) {
	job := func(id string, util float64) Process {
		return Process{Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: id}, Subject: Subject{Host: "h", SlurmJob: id}, SMUtil: util}
	}
	table := NewTable([]Lease{{Selector: Selector{SlurmJob, "1"}, Tenant: "t"}, {Selector: Selector{SlurmJob, "2"}, Tenant: "u"}})
	held := func(id string, tenant measure.TenantID, ppm int) measure.Share {
		return measure.Share{State: measure.Attributed, Workload: job(id, 0).Workload, Tenant: tenant, PPM: ppm}
	}
	guessed := func(shares ...measure.Share) []measure.Share {
		for i := range shares {
			shares[i].Guessed = true
		}
		return shares
	}
	none := math.NaN()
	tests := []struct {
		name  string
		procs []Process
		want  []measure.Share
	}{
		{"nobody", nil, []measure.Share{{State: measure.Idle, PPM: Whole}}},
		{"sole holder", []Process{job("1", none)}, []measure.Share{held("1", "t", Whole)}},
		{"sole holder at rest", []Process{job("1", 0)}, []measure.Share{held("1", "t", Whole)}},
		{"many processes of one job", []Process{job("1", 3), job("1", none), job("1", 9)}, []measure.Share{held("1", "t", Whole)}},
		{"by use", []Process{job("1", 30), job("2", 10)}, []measure.Share{held("1", "t", 750000), held("2", "u", 250000)}},
		{"by use, one at rest", []Process{job("1", 30), job("2", none)}, []measure.Share{held("1", "t", Whole)}},
		{"equal between workloads", []Process{job("1", none), job("1", none), job("2", none)}, guessed(held("1", "t", 500000), held("2", "u", 500000))},
		{"impossible use is no use", []Process{job("1", 1e9), job("2", math.Inf(1))}, guessed(held("1", "t", 500000), held("2", "u", 500000))},
		{"tenant unknown", []Process{job("3", none)}, []measure.Share{{State: measure.Unattributed, Workload: job("3", 0).Workload, PPM: Whole}}},
		{"workload unknown", []Process{{SMUtil: none}}, []measure.Share{{State: measure.Unattributed, PPM: Whole}}},
		{"thirds", []Process{job("1", 1), job("2", 1), job("3", 1)}, []measure.Share{
			held("1", "t", 333334), held("2", "u", 333333), {State: measure.Unattributed, Workload: job("3", 0).Workload, PPM: 333333},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Shares(tt.procs, table, 5)); diff != "" {
				t.Errorf("shares (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("leased as a whole", func(t *testing.T) {
		table := NewTable([]Lease{{Selector: Selector{Host, "h"}, Tenant: "t"}})
		want := []measure.Share{{State: measure.Attributed, Workload: measure.Workload{Kind: measure.KindHost, ID: "h"}, Tenant: "t", PPM: Whole}}
		if diff := cmp.Diff(want, UnknownHolders(Subject{Host: "h"}, table, 5)); diff != "" {
			t.Errorf("leased (-want +got):\n%s", diff)
		}
		want = []measure.Share{{State: measure.Unattributed, PPM: Whole}}
		if diff := cmp.Diff(want, UnknownHolders(Subject{Host: "i"}, table, 5)); diff != "" {
			t.Errorf("not leased (-want +got):\n%s", diff)
		}
	})
}

// The parts add up to the whole, each stands for a different holder, and they
// do not depend on the order in which the driver lists processes.
func TestSharesAddUp(t *testing.T) {
	process := rapid.Custom(func(t *rapid.T) Process {
		id := strconv.Itoa(rapid.IntRange(0, 9).Draw(t, "job"))
		util := rapid.OneOf(rapid.Float64Range(0, 100), rapid.Just(math.NaN()), rapid.Just(5e-324), rapid.Float64()).Draw(t, "util")
		return Process{Workload: measure.Workload{Kind: measure.KindSlurmJob, ID: id}, Subject: Subject{SlurmJob: id}, SMUtil: util}
	})
	table := NewTable([]Lease{{Selector: Selector{SlurmJob, "1"}, Tenant: "t"}, {Selector: Selector{SlurmJob, "2"}, Tenant: "u"}})
	rapid.Check(t, func(t *rapid.T) {
		procs := rapid.SliceOfN(process, 0, 40).Draw(t, "processes")
		shares := Shares(procs, table, 5)
		sum := 0
		seen := map[measure.Workload]bool{}
		for _, s := range shares {
			if s.PPM <= 0 || seen[s.Workload] {
				t.Fatalf("share %+v", s)
			}
			seen[s.Workload] = true
			sum += s.PPM
		}
		if sum != Whole {
			t.Fatalf("the shares add up to %d", sum)
		}
		if other := Shares(rapid.Permutation(procs).Draw(t, "order"), table, 5); !near(shares, other) {
			t.Fatalf("in another order: %v, %v", shares, other)
		}
	})
}

// near allows one part per million, since sums of floats depend on their order.
func near(a, b []measure.Share) bool {
	parts := map[measure.Workload]int{}
	for _, s := range a {
		parts[s.Workload] += s.PPM
	}
	for _, s := range b {
		parts[s.Workload] -= s.PPM
	}
	for _, d := range parts {
		if d < -1 || d > 1 {
			return false
		}
	}
	return true
}
