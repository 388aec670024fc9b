// Package evasion looks for patterns that hide how much was done: work cut up
// below a line, carried from account to account, interleaved with other work,
// made to look like serving, hardly using what it holds, unobserved near a line,
// or begun at once in a new account. It is pure; time is an argument.
//
// It knows runs and accounts, and what accounts have in common. Each finding
// carries what was seen, so that a person can judge it; likeness proves nothing.
// Totals over what accounts have in common are told and never counted as one
// customer's.
package evasion

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Account is a tenant with what is known of who is behind it.
type Account struct {
	Tenant   measure.TenantID
	Customer string // "" while no customer claims it
	FirstNS  int64  // when it was opened or, if that is not known, first did something
	Opened   bool   // FirstNS is when it was opened
	Marks    []Mark
}

// Mark is something that accounts may have in common. The value is opaque, such
// as a keyed hash.
type Mark struct {
	Kind  string // owner, payer, image, reseller, address, key …
	Value string
}

// Cluster is accounts that somebody else knows to be connected, such as by
// control or by links that a person accepted.
type Cluster struct {
	ID      string
	Tenants []measure.TenantID
	Why     []string // in words
}

// Run is a run as far as patterns look at it.
type Run struct {
	ID             string
	Label          string
	Tenant         measure.TenantID
	StartNS, EndNS int64
	Ended          bool // and not merely seen up to now
	Accelerator    string
	Devices        int
	Hosts          int
	Places         []uint64 // sample of its hosts that two runs on the same hosts share, see Sketch
	Image          string
	Operations     compute.Bounds
	Ceiling        compute.Operations // peak × its device time
	Utilization    float64            // measured operations over peak × time, 0..1; -1 if not known
	Unobserved     float64            // share of its device time that nobody saw
	Training       float64            // probability, -1 if it cannot be told
	Regular        string             // what beats regularly in it, in words; "" for nothing
}

// Transfer is bytes that went into or out of what an account holds.
type Transfer struct {
	Tenant measure.TenantID
	AtNS   int64
	Bytes  int64
	Out    bool
}

// Declaration is what an account says that it holds devices for.
type Declaration struct {
	Tenant       measure.TenantID
	FromNS, ToNS int64
	Training     bool   // or something else
	What         string // in words
}

// Line is a threshold that findings are held against.
type Line struct {
	Operations compute.Operations
	Name       string // pack and rule, or the rules of this package
}

// Input is what is known at an instant.
type Input struct {
	NowNS     int64
	SinceNS   int64 // since when the fleet is known: whoever was there from the beginning is not new
	Accounts  []Account
	Clusters  []Cluster
	Runs      []Run
	Transfers []Transfer
	Declared  []Declaration
	Lines     []Line // of run rules of the active packs; those of the rules come on top
}

// The rules.
const (
	Structuring = "structuring"
	NearLine    = "near_threshold"
	Relay       = "run_moved"
	Carried     = "weights_carried"
	Interleaved = "interleaved"
	Masquerade  = "masquerade"
	Mismatch    = "class_mismatch"
	UnderUse    = "under_use"
	Silenced    = "silenced_near_crossing"
	Sudden      = "sudden_cluster"
)

// Finding is a pattern that was seen.
type Finding struct {
	ID         string // fnd_…, follows from rules, pattern, whom it is about and line
	Rule       string
	Severity   string // warning, high
	Subject    string // run_… or accounts:…
	Tenant     measure.TenantID
	Tenants    []measure.TenantID
	Runs       []string
	Threshold  compute.Operations // 0 where there is none
	Operations compute.Bounds     // of all that it is about
	Reason     string             // in words, with the evidence
	OccurredNS int64

	doublings int // is in the id, if above 0
}

// Find returns the patterns that are seen, ordered by rule and subject. The
// order of the input changes nothing.
func Find(in Input, r *Rules) []Finding {
	s := newSeen(in, r)
	s.moved()
	s.clusters()
	s.perRun()
	s.sudden()
	slices.SortFunc(s.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Threshold, b.Threshold), cmp.Compare(a.ID, b.ID), cmp.Compare(b.Operations.Best, a.Operations.Best), cmp.Compare(a.Reason, b.Reason))
	})
	return slices.CompactFunc(s.found, func(a, b Finding) bool { return a.ID == b.ID })
}

// seen is the input in order, and what was found.
type seen struct {
	Input
	r       *Rules
	lines   []Line // ascending, each figure once
	account map[measure.TenantID]*Account
	marks   map[Mark][]measure.TenantID // accounts that have it, ascending; without those that say nothing
	relays  map[[2]measure.TenantID]int // how often one went on where the other stopped
	found   []Finding
}

func newSeen(in Input, r *Rules) *seen {
	s := &seen{Input: in, r: r, account: map[measure.TenantID]*Account{}, relays: map[[2]measure.TenantID]int{}}
	s.Accounts = slices.Clone(in.Accounts)
	for i := range s.Accounts {
		s.account[s.Accounts[i].Tenant] = &s.Accounts[i]
	}
	s.Runs = slices.DeleteFunc(slices.Clone(in.Runs), func(run Run) bool { return run.EndNS < in.NowNS-int64(r.LookBack) })
	slices.SortFunc(s.Runs, func(a, b Run) int { return cmp.Or(cmp.Compare(a.StartNS, b.StartNS), cmp.Compare(a.ID, b.ID)) })
	for _, run := range s.Runs {
		if s.account[run.Tenant] == nil {
			s.account[run.Tenant] = &Account{Tenant: run.Tenant, FirstNS: run.StartNS}
		}
	}
	s.marks = marksOf(s.account, r.HubAbove)
	s.lines = slices.Clone(in.Lines)
	for _, line := range r.lines {
		s.lines = append(s.lines, Line{line, r.ID})
	}
	slices.SortStableFunc(s.lines, func(a, b Line) int {
		return cmp.Or(cmp.Compare(a.Operations, b.Operations), cmp.Compare(a.Name, b.Name))
	})
	s.lines = slices.CompactFunc(s.lines, func(a, b Line) bool { return a.Operations == b.Operations })
	return s
}

// ByImage is the mark of accounts whose runs have one image.
const ByImage = "image"

// byCustomer is the mark of accounts of one customer. It is never a hub.
const byCustomer = "customer"

// marksOf returns who has which mark. What more than hubAbove accounts have says
// nothing of any of them: a registered agent, a reseller, a way out of a network.
func marksOf(accounts map[measure.TenantID]*Account, hubAbove int) map[Mark][]measure.TenantID {
	marks := map[Mark][]measure.TenantID{}
	for tenant, a := range accounts {
		for _, m := range a.Marks {
			marks[m] = append(marks[m], tenant)
		}
		if a.Customer != "" {
			m := Mark{byCustomer, a.Customer}
			marks[m] = append(marks[m], tenant)
		}
	}
	for m, tenants := range marks {
		slices.Sort(tenants)
		if marks[m] = slices.Compact(tenants); len(marks[m]) > hubAbove && m.Kind != byCustomer {
			delete(marks, m)
		}
	}
	return marks
}

// tell adds a finding.
func (s *seen) tell(f Finding) {
	words := []string{s.r.ID, fmt.Sprint(s.r.Version), f.Rule, f.Subject, f.Threshold.String()}
	if f.doublings > 0 {
		words = append(words, fmt.Sprint("doubled ", f.doublings))
	}
	if f.Rule == Relay || f.Rule == Carried {
		words = append(words, f.Runs...)
	}
	sum := sha256.Sum256([]byte(strings.Join(words, "\x00")))
	f.ID = "fnd_" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:20]
	f.Severity = cmp.Or(f.Severity, "warning")
	s.found = append(s.found, f)
}

// alike reports whether two numbers differ by no more than percent of the larger.
func alike(a, b, percent int) bool {
	return (max(a, b)-min(a, b))*100 <= max(a, b)*percent
}

// percentOf rounds up.
func percentOf(n compute.Operations, percent int) compute.Operations {
	return n/100*compute.Operations(percent) + (n%100*compute.Operations(percent)+99)/100
}

func hours(ns int64) string {
	d := time.Duration(ns)
	if d < 48*time.Hour {
		return fmt.Sprintf("%.1f h", d.Hours())
	}
	return fmt.Sprintf("%.1f days", d.Hours()/24)
}

// sketchSize is how many hosts a sketch keeps.
const sketchSize = 16

// Sketch returns a sample of hosts by number: those with the smallest hashes, so
// that two runs on the same hosts keep the same ones (bottom-k, Broder 1997).
func Sketch(hosts []int64) []uint64 {
	out := make([]uint64, 0, len(hosts))
	for _, no := range hosts {
		z := uint64(no) + 0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		out = append(out, z^z>>31)
	}
	slices.Sort(out)
	out = slices.Compact(out)
	return slices.Clone(out[:min(len(out), sketchSize)])
}

// inCommon estimates which share of their hosts two sketches have in common, in
// percent: of the smallest hashes of both together, those that both have.
func inCommon(a, b []uint64) int {
	if len(a) == 0 || len(b) == 0 {
		return 0
	}
	// Sketches are sorted: both together in one pass.
	all, both, most := 0, 0, max(len(a), len(b))
	for i, j := 0, 0; all < most && (i < len(a) || j < len(b)); all++ {
		switch {
		case j == len(b) || i < len(a) && a[i] < b[j]:
			i++
		case i == len(a) || b[j] < a[i]:
			j++
		default:
			i, j, both = i+1, j+1, both+1
		}
	}
	return both * 100 / all
}
