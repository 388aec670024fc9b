package store

import (
	"slices"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Accounts that pay with one card are told together, with what speaks for it and
// without the value itself.
func TestBehindTellsWhatLinksHoldTogether(t *testing.T) {
	s := open(t, t.TempDir())
	record(t, s, slices.Concat(shell("a", "t1"), shell("b", "t2", "t3"), shell("c", "t4"), []party.Change{card("a", "h1"), card("b", "h1")})...)
	d := NewDeriver(s, controlled(t), s.opts.Now)
	count(t, s, []Follower{d}, fleet()...)
	derive(t, d)
	marks, clusters, err := NewReader(s, "", false).Behind(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	payer := []evasion.Mark{{Kind: "payer", Value: "h1"}}
	if len(marks) != 3 || !slices.Equal(marks["t1"], payer) || !slices.Equal(marks["t2"], payer) || !slices.Equal(marks["t3"], payer) || len(clusters) != 1 {
		t.Fatalf("marks %v, clusters %+v", marks, clusters)
	}
	got := slices.Sorted(slices.Values(clusters[0].Tenants))
	if !slices.Equal(got, []measure.TenantID{"t1", "t2", "t3"}) {
		t.Errorf("tenants %v", got)
	}
	if why := strings.Join(clusters[0].Why, "; "); !strings.Contains(why, "card") || strings.Contains(why, "h1") {
		t.Errorf("why %q", why)
	}
}
