// Package audit is the log of who changed what in a collector: its entries, the
// Merkle tree over them, signed checkpoints of the tree, and proofs that hold
// without the collector.
//
// The tree is that of RFC 6962. A leaf is the canonical JSON of an entry. It
// names what changed by id and digest only, so that the log holds no personal
// data and outlives its erasure.
package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// ActorKind says what acts.
type ActorKind string

// Those who act.
const (
	Person  ActorKind = "person"
	Service ActorKind = "service" // a program, by token or key
	Rule    ActorKind = "rule"    // the collector itself, following a rule
)

// Actor is who changed something, by id.
type Actor struct {
	Kind       ActorKind `json:"kind"`
	ID         string    `json:"id"`
	OnBehalfOf string    `json:"on_behalf_of,omitempty"`
	SignIn     string    `json:"sign_in,omitempty"` // the session
}

// Object is what was changed or read.
type Object struct {
	Kind string `json:"kind"` // "finding", "customer"
	ID   string `json:"id"`
}

// Entry is one act. Before and After are digests of the object's protected state,
// 64 hexadecimal digits, empty where there was or is none.
type Entry struct {
	Seq       int64     `json:"seq"` // its place in the log, from 0
	At        time.Time `json:"at"`  // UTC
	Actor     Actor     `json:"actor"`
	Action    string    `json:"action"` // "finding.open"
	Object    Object    `json:"object"`
	Before    string    `json:"before,omitempty"`
	After     string    `json:"after,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Policy    string    `json:"policy,omitempty"` // digest of the pack that it follows from
	Request   string    `json:"request,omitempty"`
	Approvals []string  `json:"approvals,omitempty"`
	Sealed    string    `json:"sealed,omitempty"` // digest of ciphertext that belongs to it
}

// MaxLeaf is the longest leaf in bytes.
const MaxLeaf = 8 << 10

const maxWord, maxReason, maxApprovals = 200, 2000, 20

var (
	actionForm = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$`)
	digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Validate says what is wrong with an entry, all faults at once.
func (e Entry) Validate() error {
	var faults []error
	word := func(name, s string, required bool) {
		switch {
		case s == "" && required:
			faults = append(faults, fmt.Errorf("%s is missing", name))
		case len(s) > maxWord || !utf8.ValidString(s):
			faults = append(faults, fmt.Errorf("%s is longer than %d bytes or not UTF-8", name, maxWord))
		}
	}
	digest := func(name, s string) {
		if s != "" && !digestForm.MatchString(s) {
			faults = append(faults, fmt.Errorf("%s is not a SHA-256 in hexadecimal", name))
		}
	}
	if e.Seq < 0 {
		faults = append(faults, fmt.Errorf("seq is %d", e.Seq))
	}
	if e.At.IsZero() || e.At.Location() != time.UTC {
		faults = append(faults, errors.New("at is missing or not UTC"))
	}
	switch e.Actor.Kind {
	case Person, Service, Rule:
	default:
		faults = append(faults, fmt.Errorf("actor.kind is %.40q", e.Actor.Kind))
	}
	word("actor.id", e.Actor.ID, true)
	word("actor.on_behalf_of", e.Actor.OnBehalfOf, false)
	word("actor.sign_in", e.Actor.SignIn, false)
	if len(e.Action) > maxWord || !actionForm.MatchString(e.Action) {
		faults = append(faults, fmt.Errorf("action is %.40q, not like finding.open", e.Action))
	}
	word("object.kind", e.Object.Kind, true)
	word("object.id", e.Object.ID, true)
	word("request", e.Request, false)
	digest("before", e.Before)
	digest("after", e.After)
	digest("policy", e.Policy)
	digest("sealed", e.Sealed)
	if len(e.Reason) > maxReason || !utf8.ValidString(e.Reason) {
		faults = append(faults, fmt.Errorf("reason is longer than %d bytes or not UTF-8", maxReason))
	}
	if len(e.Approvals) > maxApprovals {
		faults = append(faults, fmt.Errorf("%d approvals, at most %d", len(e.Approvals), maxApprovals))
	}
	for i, a := range e.Approvals {
		word(fmt.Sprintf("approvals[%d]", i), a, true)
	}
	return errors.Join(faults...)
}

// Leaf returns the bytes that the tree holds of an entry.
func (e Entry) Leaf() ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("audit entry %d: %w", e.Seq, err)
	}
	leaf, err := canonical.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("audit entry %d: %w", e.Seq, err)
	}
	if len(leaf) > MaxLeaf {
		return nil, fmt.Errorf("audit entry %d: %d bytes, at most %d", e.Seq, len(leaf), MaxLeaf)
	}
	return leaf, nil
}

// ParseLeaf returns the entry of a leaf. A leaf that the entry would not be
// written as is refused.
func ParseLeaf(leaf []byte) (Entry, error) {
	var e Entry
	if len(leaf) > MaxLeaf {
		return e, fmt.Errorf("leaf of %d bytes, at most %d", len(leaf), MaxLeaf)
	}
	if err := json.Unmarshal(leaf, &e); err != nil {
		return Entry{}, fmt.Errorf("read leaf: %w", err)
	}
	again, err := e.Leaf()
	if err != nil {
		return Entry{}, err
	}
	if !bytes.Equal(again, leaf) {
		return Entry{}, fmt.Errorf("leaf of audit entry %d is not in canonical form", e.Seq)
	}
	return e, nil
}
