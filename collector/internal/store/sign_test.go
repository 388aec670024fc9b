package store

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/google/go-cmp/cmp"
)

// signing is what a virtual machine did on a host, with signs and traffic of it.
func signing(host string, seq uint64, tenant measure.TenantID, vm string, from, to int, signs ...measure.Sign) *ledger.Batch {
	b := worked(host, seq, tenant, "x", from, to)
	w := measure.Workload{Kind: measure.KindVM, ID: vm}
	for i := range b.Windows {
		b.Windows[i].Entries[0].Workload = w
	}
	for _, s := range signs {
		s.Workload = w
		b.Events = append(b.Events, s.Event())
	}
	return b
}

func says(kind measure.EventKind, word string, second int) measure.Sign {
	return measure.Sign{TimeNS: at(second), Kind: kind, Word: word, Ranks: 16}
}

// What hosts see of workloads joins them: a communicator at one time, a checkpoint
// over weeks; without it the same work is several runs.
func TestSignsJoin(t *testing.T) {
	const day = 24 * hourS
	all := func(communicator, wrote, read measure.EventKind) []*ledger.Batch {
		return []*ledger.Batch{
			signing("a", 1, "t1", "v1", 0, 40*hourS, says(communicator, "c1", 60), says(wrote, "w1", 40*hourS)),
			signing("b", 1, "t1", "v2", 3*hourS, 40*hourS, says(communicator, "c1", 3*hourS+60)),
			signing("c", 1, "t1", "v3", 10*day, 12*day, says(read, "w1", 10*day+60), says(measure.EventImage, "i1", 10*day+60)),
		}
	}
	for name, c := range map[string]struct {
		batches []*ledger.Batch
		want    int
	}{
		"seen":   {all(measure.EventCommunicator, measure.EventWroteCheckpoint, measure.EventReadCheckpoint), 1},
		"unseen": {all(measure.EventXid, measure.EventXid, measure.EventXid), 3},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, t.TempDir())
			d := NewDeriver(s, nil, atNoon)
			count(t, s, []Follower{d}, c.batches...)
			derive(t, d)
			runs := runsOf(t, s, "t1")
			if len(runs) != c.want {
				t.Fatalf("%d runs, want %d: %+v", len(runs), c.want, runs)
			}
			if c.want != 1 {
				return
			}
			var names []string
			for _, j := range joinsOf(t, s, runs[0].ID) {
				for _, e := range j.Evidence {
					names = append(names, e.Name)
				}
			}
			if text := strings.Join(names, " "); !strings.Contains(text, "communicator") || !strings.Contains(text, "checkpoint") {
				t.Errorf("joined by %s", text)
			}
			if v := runs[0].Verdict; !strings.Contains(fmt.Sprint(v.Evidence), "ranks") {
				t.Errorf("the classifier is not told of the communicator: %+v", v.Evidence)
			}
			state, _, err := NewReader(s, "", false).Foresight(t.Context())
			if err != nil || len(state.Runs) != 1 || state.Runs[0].Image != "i1" {
				t.Errorf("%+v, %v", state.Runs, err)
			}
		})
	}
}

// Of a flood of signs the newest are kept.
func TestSignsAreBounded(t *testing.T) {
	s := open(t, t.TempDir())
	var signs []measure.Sign
	for i := range 3 * maxSigns {
		signs = append(signs, says(measure.EventCommunicator, fmt.Sprintf("c%04d", i), i))
	}
	count(t, s, nil, signing("a", 1, "t1", "v1", 0, hourS, signs...))
	members, err := readMembers(t.Context(), s.read, "t1", training.Default())
	if err == nil {
		err = readSigns(t.Context(), s.read, members)
	}
	if err != nil || len(members) != 1 || len(members[0].Communicators) != maxSigns || members[0].Communicators[0] != fmt.Sprintf("c%04d", 2*maxSigns) {
		t.Errorf("%v, %+v", err, members)
	}
}

// What went out of an account and what came in reaches the patterns.
func TestOutsideTrafficIsTransfers(t *testing.T) {
	s := open(t, t.TempDir())
	out, in := signing("a", 1, "t1", "v1", 0, hourS), signing("b", 1, "t2", "v2", 2*hourS, 3*hourS)
	add := func(b *ledger.Batch, from int, peer netip.Addr, sent, received int64) {
		b.Traffic = append(b.Traffic, measure.Traffic{StartNS: at(from), EndNS: at(from + 30), Workload: b.Windows[0].Entries[0].Workload, Peer: peer, SentBytes: sent, ReceivedBytes: received})
	}
	add(out, 100, measure.Outside, 400<<30, 5)
	add(out, 200, measure.Outside, 100<<30, 5)
	add(out, 200, netip.MustParseAddr("10.0.0.7"), 900<<30, 0) // a host of the fleet
	add(in, 2*hourS+50, measure.Outside, 0, 500<<30)
	count(t, s, nil, out, in)
	state, _, err := NewReader(s, "", false).Foresight(t.Context())
	want := []evasion.Transfer{{Tenant: "t1", AtNS: at(230), Bytes: 500 << 30, Out: true}, {Tenant: "t2", AtNS: at(2*hourS + 50), Bytes: 500 << 30}}
	if d := cmp.Diff(want, state.Transfers); err != nil || d != "" {
		t.Errorf("%v, transfers (-want +got):\n%s", err, d)
	}
}
