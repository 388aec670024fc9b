package measure

import (
	"testing"

	"pgregory.net/rapid"
)

// A sign comes back as it was told, also where ids have spaces.
func TestSignsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Sign{
			TimeNS: rapid.Int64Min(1).Draw(t, "time"), Kind: rapid.SampledFrom(SignKinds).Draw(t, "kind"), Word: rapid.StringMatching(`[0-9a-z:]{1,80}`).Draw(t, "word"),
			Workload: Workload{Kind: rapid.SampledFrom([]WorkloadKind{KindPod, KindSlurmJob, KindCgroup}).Draw(t, "workload"), ID: rapid.StringMatching(`[a-z/][a-z/ ]{0,40}`).Draw(t, "id")},
		}
		if s.Kind == EventCommunicator {
			s.Ranks, s.Rank = rapid.IntRange(0, 1<<20).Draw(t, "ranks"), rapid.IntRange(0, 1<<20).Draw(t, "rank")
		}
		if got, ok := SignOf(s.Event()); !ok || got != s {
			t.Errorf("%+v came back as %+v, %v", s, got, ok)
		}
	})
}

func TestEventsThatAreNoSigns(t *testing.T) {
	for _, e := range []Event{
		{Kind: EventXid, Detail: "a pod b"}, {Kind: EventImage}, {Kind: EventImage, Detail: "a"}, {Kind: EventImage, Detail: "a pod"}, {Kind: EventImage, Detail: " pod b"},
		{Kind: EventCommunicator, Detail: "a pod b"}, {Kind: EventCommunicator, Detail: "a rank x pod b"}, {Kind: EventCommunicator, Detail: "a rank -1 pod b"},
		{Kind: EventCommunicator, Detail: "a rank 1 pod"}, {Kind: EventCommunicator, Code: -1, Detail: "a rank 1 pod b"}, {Kind: EventImage, Detail: "a\u00a0b pod c"},
	} {
		if s, ok := SignOf(e); ok {
			t.Errorf("%+v is taken for %+v", e, s)
		}
	}
}

// Whatever an event says, a sign that is read from it is told as the same again.
func FuzzSignOf(f *testing.F) {
	f.Add(string(EventImage), int64(0), "abc pod 1234")
	f.Add(string(EventCommunicator), int64(16), "abc rank 3 slurm_job 77")
	f.Fuzz(func(t *testing.T, kind string, code int64, detail string) {
		s, ok := SignOf(Event{Kind: EventKind(kind), Code: code, Detail: detail})
		if !ok {
			return
		}
		if again, ok := SignOf(s.Event()); !ok || again != s {
			t.Errorf("%+v is told as %+v, %v", s, again, ok)
		}
	})
}
