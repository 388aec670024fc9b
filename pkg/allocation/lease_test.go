package allocation

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

func TestLeasesOfAHost(t *testing.T) {
	const id = "l4f5riqxhfiy7wfm3hkdnzlof3"
	day := int64(24 * 3600 * 1e9)
	all := []Allocation{
		{ID: "by-id", Host: id, Tenant: "t1", FromNS: 10 * day},
		{ID: "by-name", Host: "gpu7", Device: "GPU-1", Tenant: "t2", FromNS: 11 * day, ToNS: 20 * day},
		{ID: "mig", Host: id, Device: "MIG-1", Tenant: "t3", FromNS: 11 * day},
		{ID: "other", Host: "gpu8", Tenant: "t9", FromNS: 1},
		{ID: "job", WorkloadKind: measure.KindSlurmJob, WorkloadID: "7", Tenant: "t4", FromNS: 12 * day},
		{ID: "pod", Host: id, WorkloadKind: measure.KindPod, WorkloadID: "u", Tenant: "t5", FromNS: 12 * day},
		{ID: "pod-twice", Host: "gpu7", WorkloadKind: measure.KindPod, WorkloadID: "u", Tenant: "t5", FromNS: 12 * day},
		{ID: "over", Host: id, Tenant: "t6", FromNS: 1, ToNS: 2 * day},
		{ID: "withdrawn", Host: id, Tenant: "t7", FromNS: 12 * day, ToNS: 12 * day},
		{ID: "on-one-device", Host: id, Device: "GPU-1", WorkloadKind: measure.KindPod, WorkloadID: "v", Tenant: "t8", FromNS: 1},
		{ID: "no-host-reads-it", Host: id, Tenant: "t ü", FromNS: 1},
		{ID: "from-the-beginning", Host: id, Device: "GPU-9", Tenant: "t1", FromNS: 1},
		{ID: "cgroup", Host: id, WorkloadKind: measure.KindCgroup, WorkloadID: "/x", Tenant: "t8", FromNS: 1},
	}
	l := NewLessor(all)
	lines, whole := l.Lines(id, "gpu7", 13*day, 1<<20)
	want := `{"selector":{"kind":"device","value":"GPU-9"},"tenant":"t1","from":"1970-01-01T00:00:01Z"}
{"selector":{"kind":"host","value":"gpu7"},"tenant":"t1","from":"1970-01-11T00:00:00Z"}
{"selector":{"kind":"device","value":"GPU-1"},"tenant":"t2","from":"1970-01-12T00:00:00Z","to":"1970-01-21T00:00:00Z"}
{"selector":{"kind":"mig","value":"MIG-1"},"tenant":"t3","from":"1970-01-12T00:00:00Z"}
{"selector":{"kind":"pod_uid","value":"u"},"tenant":"t5","from":"1970-01-13T00:00:00Z"}
`
	if diff := cmp.Diff(want, string(lines)); diff != "" || !whole {
		t.Errorf("whole %v (-want +got):\n%s", whole, diff)
	}
	if lines, _ := l.Lines(id, "", 13*day, 1<<20); strings.Contains(string(lines), `"host"`) {
		t.Errorf("a host without a name: %s", lines)
	}
	// A host that takes another's id for its name gets nothing of that one's.
	if lines, _ := l.Lines("aaaaaaaaaaaaaaaaaaaaaaaaaa", id, 13*day, 1<<20); strings.Contains(string(lines), "t1") {
		t.Errorf("by a name that is an id: %s", lines)
	}
	if !NewLessor(nil).Silent() || l.Silent() || !(*Lessor)(nil).Silent() {
		t.Error("silent is wrong")
	}

	var many []Allocation
	for i := range 1000 {
		many = append(many, Allocation{ID: fmt.Sprint("j", i), Host: id, WorkloadKind: measure.KindSlurmJob, WorkloadID: fmt.Sprint(i), Tenant: "t", FromNS: 1})
	}
	lines, whole = NewLessor(append(many, Allocation{ID: "h", Host: id, Tenant: "mine", FromNS: 0})).Lines(id, "gpu7", day, 4096)
	if whole || len(lines) > 4096 || !strings.HasPrefix(string(lines), `{"selector":{"kind":"host"`) {
		t.Errorf("whole %v, %d bytes: %.100s", whole, len(lines), lines)
	}
}
