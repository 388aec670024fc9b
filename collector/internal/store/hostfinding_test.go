package store

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Batches whose sender is wrong become findings, one a day for each host that is
// known, and one for all names that are made up.
func TestIdentityFindings(t *testing.T) {
	s := open(t, t.TempDir())
	count(t, s, nil, fleet()...)
	refused := func(host, reason string, at time.Time) Quarantine {
		return Quarantine{Host: host, Reason: reason, Detail: "signed by x, sent as " + host, Received: at, Envelope: []byte(host + reason)}
	}
	c := Checkpoint{At: noon, Quarantine: []Quarantine{
		refused("hosta", "identity", noon), refused("hosta", "identity", noon.Add(time.Second)), refused("hosta", "identity", noon.AddDate(0, 0, 1)),
		refused("hosta", "not_admitted", noon), refused("hosta", "signature", noon),
	}}
	for i := range 50 {
		c.Quarantine = append(c.Quarantine, refused(fmt.Sprint("made-up-", i), "identity", noon))
	}
	if _, err := s.Checkpoint(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if err := s.RaiseHost(t.Context(), HostFinding{Rule: RuleCopiedKey, Host: "hosta", Reason: "two", At: noon}, HostFinding{Rule: RuleBrokerRefused, Reason: "x", At: noon}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range findings(t, s) {
		if strings.HasPrefix(f.Subject, "host ") {
			got = append(got, f.Rule+" "+string(f.Severity)+" "+f.Subject)
		}
	}
	slices.Sort(got)
	want := []string{"bad_input warning host hosta", "broker_refused warning host unknown", "copied_key critical host hosta", "not_admitted warning host hosta",
		"wrong_identity critical host hosta", "wrong_identity critical host hosta", "wrong_identity critical host unknown"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
