package store

import (
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/foresight"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
)

// Looking ahead does not write what a policy finds before history was held against
// it: that is found by looking back, and known since the policy came into force.
func TestLookingAheadWaitsForLookingBack(t *testing.T) {
	s, d, _ := lived(t, 1)
	now := noon
	s.opts.Now = func() time.Time { return now }
	d.now = s.opts.Now
	text := moved(2, "1e9", "1e9", "1e9")
	pack := readMoved(t, text)
	predicted := predict(t, s, pack, now)
	p := approved(t, s, text, now)
	subject := policy.Subject{Measure: policy.RunOperations, ID: "run_new", Label: "run new"}
	ahead := []foresight.Found{{Finding: pack.Rules[0].Finding(pack, subject, policy.Crossing), OccurredNS: now.UnixNano()}}
	if n, err := s.FindForesight(t.Context(), ahead, now); err != nil || n != 0 {
		t.Errorf("%d findings before history was held against the policy, %v", n, err)
	}
	derive(t, d)
	derive(t, d)
	if got := levelsMoved(t, s, func(policy string) bool { return policy == p.ID }); len(got) != len(predicted) {
		t.Errorf("looking back found %d, want %d", len(got), len(predicted))
	}
	if n, err := s.FindForesight(t.Context(), ahead, now); err != nil || n != 1 {
		t.Errorf("%d findings after it, %v", n, err)
	}
}
