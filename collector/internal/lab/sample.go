package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/policy"
)

// Sample is a subject that a person is asked to look at without being told on
// which side of the line it is.
type Sample struct {
	Customer string `json:"customer"`
	Subject  string `json:"subject"`
	Rule     string `json:"rule"`
}

// SampleSize is how many subjects are drawn on each side, at most.
const SampleSize = 25

// BelowPercent is how far below the new line the sample reaches.
const BelowPercent = 50

// samples draws above the line, from what both texts alert, and below it, from
// what only lower lines would. The draw is random and follows from the inputs.
func samples(in Inputs, before, after, below *Result) (kept, low []Sample) {
	of := func(r *Result) map[Sample]bool {
		out := map[Sample]bool{}
		for _, x := range r.Reached {
			out[Sample{x.Customer, x.Subject, x.Rule}] = true
		}
		return out
	}
	old, now, lowered := of(before), of(after), of(below)
	for s := range now {
		if old[s] {
			kept = append(kept, s)
		}
		delete(lowered, s)
	}
	for s := range lowered {
		low = append(low, s)
	}
	seed := refOf(in.After).Digest + in.Snapshot.digest
	return draw(seed, kept), draw(seed, low)
}

func draw(seed string, all []Sample) []Sample {
	place := func(s Sample) []byte {
		sum := sha256.Sum256([]byte(seed + "\x00" + s.Subject + "\x00" + s.Rule))
		return sum[:]
	}
	slices.SortFunc(all, func(a, b Sample) int { return bytes.Compare(place(a), place(b)) })
	return all[:min(len(all), SampleSize)]
}

// Point is what a pack finds with its lines moved.
type Point struct {
	Percent   int `json:"percent"` // of the lines of the new text
	Findings  int `json:"findings"`
	Crossings int `json:"crossings"`
	Caught    int `json:"caught"`  // crossings of the old text that it finds too
	Dropped   int `json:"dropped"` // and that it does not
}

// CurvePercents are the steps of a curve of n points, from 10 % to 200 % of the lines.
func CurvePercents(n int) []int {
	out := make([]int, 0, n)
	for i := range n {
		out = append(out, 10+190*i/max(1, n-1))
	}
	return out
}

// Sensitivity holds the pack with its lines moved in steps against the snapshot.
func Sensitivity(ctx context.Context, before *Result, after *policy.Pack, snapshot *Snapshot, percents []int, progress func(done, of int)) ([]Point, error) {
	packs := make([]*policy.Pack, len(percents))
	for i, percent := range percents {
		packs[i] = after.Scaled(percent)
	}
	results, err := Curve(ctx, packs, snapshot, progress)
	if err != nil {
		return nil, err
	}
	old := map[Sample]bool{}
	for _, x := range Crossings(before) {
		old[Sample{x.Customer, x.Subject, x.Rule}] = true
	}
	points := make([]Point, len(percents))
	for i, r := range results {
		p := Point{Percent: percents[i], Findings: len(r.Reached)}
		for _, x := range Crossings(r) {
			p.Crossings++
			if old[Sample{x.Customer, x.Subject, x.Rule}] {
				p.Caught++
			}
		}
		p.Dropped = len(old) - p.Caught
		points[i] = p
	}
	return points, nil
}

// None is what nothing finds in the snapshot.
func None(snapshot *Snapshot) *Result {
	return &Result{Pack: hex.EncodeToString(make([]byte, 32)), History: snapshot.digest}
}
