package audit_test

import (
	"crypto/ed25519"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/audit"
)

// grown is a log in memory.
type grown struct {
	leaves [][]byte
	nodes  []audit.Hash
}

func (g *grown) ReadHashes(at []int64) ([]audit.Hash, error) {
	out := make([]audit.Hash, len(at))
	for i, n := range at {
		out[i] = g.nodes[n]
	}
	return out, nil
}

func entry(seq int64) audit.Entry {
	return audit.Entry{Seq: seq, At: time.Date(2026, 11, 23, 12, 0, 0, int(seq), time.UTC), Action: "finding.open",
		Actor: audit.Actor{Kind: audit.Rule, ID: "derive"}, Object: audit.Object{Kind: "finding", ID: fmt.Sprint("fnd_", seq)}, After: strings.Repeat("0f", 32)}
}

func grow(t testing.TB, n int) *grown {
	g := &grown{}
	for i := range int64(n) {
		leaf, err := entry(i).Leaf()
		if err != nil {
			t.Fatal(err)
		}
		if got := audit.Nodes(i); got != int64(len(g.nodes)) {
			t.Fatalf("Nodes(%d) = %d, there are %d", i, got, len(g.nodes))
		}
		nodes, err := audit.Hashes(i, leaf, g)
		if err != nil {
			t.Fatal(err)
		}
		g.leaves, g.nodes = append(g.leaves, leaf), append(g.nodes, nodes...)
	}
	return g
}

func (g *grown) checkpoint(t testing.TB, size int64) audit.Checkpoint {
	root, err := audit.Root(size, g)
	if err != nil {
		t.Fatal(err)
	}
	return audit.Checkpoint{Origin: audit.Origin("test"), Size: size, Root: root}
}

// The root is that of RFC 6962 by its definition, without the tricks of a store.
func TestRootByDefinition(t *testing.T) {
	g := grow(t, 70)
	var define func(leaves [][]byte) audit.Hash
	define = func(leaves [][]byte) audit.Hash {
		if len(leaves) == 1 {
			return tlog.RecordHash(leaves[0])
		}
		k := 1
		for k*2 < len(leaves) {
			k *= 2
		}
		return tlog.NodeHash(define(leaves[:k]), define(leaves[k:]))
	}
	for n := 1; n <= 70; n++ {
		if got := g.checkpoint(t, int64(n)).Root; got != define(g.leaves[:n]) {
			t.Errorf("root of %d leaves is %v", n, got)
		}
	}
}

// Every entry proves to be in every later log, and nothing else does.
func TestProofs(t *testing.T) {
	g := grow(t, 130)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 130).Draw(t, "size")
		seq := rapid.Int64Range(0, size-1).Draw(t, "seq")
		old := rapid.Int64Range(1, size).Draw(t, "old")
		root, err := audit.Root(size, g)
		if err != nil {
			t.Fatal(err)
		}
		now := audit.Checkpoint{Origin: "x", Size: size, Root: root}
		proof, err := audit.ProveInclusion(size, seq, g)
		if err != nil {
			t.Fatal(err)
		}
		if err := audit.CheckInclusion(now, g.leaves[seq], proof); err != nil {
			t.Fatal(err)
		}
		forged := append([]byte(nil), g.leaves[seq]...)
		forged[rapid.IntRange(0, len(forged)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if audit.CheckInclusion(now, forged, proof) == nil {
			t.Fatal("a changed leaf is taken for the entry")
		}
		before, err := audit.Root(old, g)
		if err != nil {
			t.Fatal(err)
		}
		path, err := audit.ProveConsistency(size, old, g)
		if err != nil {
			t.Fatal(err)
		}
		was := audit.Checkpoint{Origin: "x", Size: old, Root: before}
		if err := audit.CheckConsistency(now, was, path); err != nil {
			t.Fatal(err)
		}
		was.Root[rapid.IntRange(0, 31).Draw(t, "root byte")] ^= 0x10
		if audit.CheckConsistency(now, was, path) == nil {
			t.Fatal("another log is taken for the older one")
		}
	})
}

func TestCheckpointSigned(t *testing.T) {
	seed := make([]byte, ed25519.SeedSize)
	key := ed25519.NewKeyFromSeed(seed)
	pub := key.Public().(ed25519.PublicKey)
	c := grow(t, 5).checkpoint(t, 5)
	signed, err := c.Sign(key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := audit.OpenCheckpoint(signed, c.Origin, pub)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(c, got); d != "" {
		t.Error(d)
	}
	// What others use to verify signed notes takes the key and the note.
	v, err := note.NewVerifier(audit.VerifierKey(c.Origin, pub))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open([]byte(signed), note.VerifierList(v)); err != nil {
		t.Error(err)
	}
	for i := range len(signed) * 8 {
		forged := []byte(signed)
		forged[i/8] ^= 1 << (i % 8)
		if c, err := audit.OpenCheckpoint(string(forged), c.Origin, pub); err == nil {
			t.Errorf("bit %d of byte %d: opened as %+v", i%8, i/8, c)
		}
	}
	if _, err := audit.OpenCheckpoint(signed, audit.Origin("other"), pub); err == nil {
		t.Error("the checkpoint of another log is taken")
	}
}

func TestEntryFaults(t *testing.T) {
	for want, change := range map[string]func(*audit.Entry){
		"seq is -1":                func(e *audit.Entry) { e.Seq = -1 },
		"at is missing or not UTC": func(e *audit.Entry) { e.At = e.At.In(time.FixedZone("", 3600)) },
		"actor.kind":               func(e *audit.Entry) { e.Actor.Kind = "robot" },
		"actor.id is missing":      func(e *audit.Entry) { e.Actor.ID = "" },
		"action is":                func(e *audit.Entry) { e.Action = "open" },
		"object.kind is missing":   func(e *audit.Entry) { e.Object.Kind = "" },
		"object.id is longer":      func(e *audit.Entry) { e.Object.ID = strings.Repeat("x", 201) },
		"after is not a SHA-256":   func(e *audit.Entry) { e.After = "00" },
		"reason is longer":         func(e *audit.Entry) { e.Reason = strings.Repeat("x", 2001) },
		"21 approvals":             func(e *audit.Entry) { e.Approvals = make([]string, 21) },
		"approvals[0] is missing":  func(e *audit.Entry) { e.Approvals = []string{""} },
		"not UTF-8":                func(e *audit.Entry) { e.Reason = "\xff" },
	} {
		e := entry(0)
		change(&e)
		if _, err := e.Leaf(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Leaf = %v, want an error with %q", err, want)
		}
	}
}

func FuzzParseLeaf(f *testing.F) {
	leaf, err := entry(3).Leaf()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(leaf)
	f.Add([]byte(`{"seq":1}`))
	f.Fuzz(func(t *testing.T, leaf []byte) {
		e, err := audit.ParseLeaf(leaf)
		if err != nil {
			return
		}
		if again, err := e.Leaf(); err != nil || string(again) != string(leaf) {
			t.Fatalf("%s became %s, %v", leaf, again, err)
		}
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add(grow(f, 2).checkpoint(f, 2).Text())
	f.Add("x\n-1\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := audit.ParseCheckpoint(text); err == nil && c.Text() != text {
			t.Fatalf("%q became %q", text, c.Text())
		}
	})
}

func BenchmarkCheckInclusion(b *testing.B) {
	g := grow(b, 10_000)
	c := g.checkpoint(b, 10_000)
	p, err := audit.ProveInclusion(10_000, 1234, g)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := audit.CheckInclusion(c, g.leaves[1234], p); err != nil {
			b.Fatal(err)
		}
	}
}
