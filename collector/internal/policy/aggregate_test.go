package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

func TestWhatIsTakenTogether(t *testing.T) {
	text := strings.Replace(good, "measure: run_operations", "measure: customer_operations", 1)
	byIdentity, err := Read("p.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	byControl, err := Read("p.yaml", []byte(text+"    aggregate: control\n"))
	if err != nil {
		t.Fatal(err)
	}
	all, review := []string{"warning 50/warning", "warning 80/warning", "possible crossing/high", "crossing/critical"}, []string{"review/high"}
	const line = 100_000_000_000
	for _, c := range []struct {
		pack      *Pack
		aggregate string
		best      int64
		want      []string
	}{
		{byIdentity, "", line, all}, {byIdentity, OneIdentity, line, all}, {byIdentity, OneControl, line, review}, {byIdentity, OneMeans, line, review},
		{byControl, OneControl, line, all}, {byControl, OneMeans, line, review}, {byControl, OneMeans, line - 1, nil}, {byControl, OneMeans, line * 2, review},
	} {
		s := subject(party.Foreign, 0, 0, 0)
		s.Measure, s.Aggregate = CustomerOperations, c.aggregate
		s.Operations.Low, s.Operations.Best, s.Operations.High = 0, compute.Operations(c.best), compute.Operations(c.best)
		found := Evaluate(c.pack, s)
		if d := cmp.Diff(c.want, levels(found)); d != "" {
			t.Errorf("%s of %q at %d (-want +got):\n%s", c.pack.Rules[0].Aggregate, c.aggregate, c.best, d)
		}
		for _, f := range found {
			if _, clock := c.pack.ClockOf(f); f.Level == Review && (clock || Percent(f.Level) != 0) {
				t.Errorf("a review starts a clock: %+v", f)
			}
		}
	}
	for _, bad := range []string{strings.Replace(good, "    threshold", "    aggregate: control\n    threshold", 1), text + "    aggregate: family\n"} {
		if _, err := Read("p.yaml", []byte(bad)); err == nil || !strings.Contains(err.Error(), "aggregate") {
			t.Errorf("taken: %v", err)
		}
	}
	for best, want := range map[int64]int{0: 0, line / 2: 50, line * 8 / 10: 80, line: 100, 3 * line: 100} {
		if got := LevelReached([]*Pack{byIdentity}, best); got != want {
			t.Errorf("%d reaches %d %%, want %d", best, got, want)
		}
	}
}
