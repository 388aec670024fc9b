package audit_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/audit"
	"github.com/flopwatch/flopwatch/pkg/verdict"
)

var logKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

func logID() string { return attest.HostID(logKey.Public().(ed25519.PublicKey)) }

// exported is a log of n entries as tiles.
func exported(t testing.TB, g *grown, n int64) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{
		audit.CheckpointFile: {Data: []byte(signedAt(t, g, n))},
		audit.KeyFile:        {Data: []byte(audit.VerifierKey(audit.Origin(logID()), logKey.Public().(ed25519.PublicKey)) + "\n")},
	}
	for tile := range audit.Tiles(n) {
		var content []byte
		if first, width, ok := tile.Entries(); ok {
			for _, leaf := range g.leaves[first : first+int64(width)] {
				content = audit.AppendEntry(content, leaf)
			}
		} else {
			var err error
			if content, err = tile.Hashes(g); err != nil {
				t.Fatal(err)
			}
		}
		files[tile.Path()] = &fstest.MapFile{Data: content}
	}
	return files
}

func signedAt(t testing.TB, g *grown, n int64) string {
	t.Helper()
	root, err := audit.Root(n, g)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := audit.Checkpoint{Origin: audit.Origin(logID()), Size: n, Root: root}.Sign(logKey)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func why(v audit.LogVerdict) string {
	var lines []string
	for _, s := range v.Steps {
		lines = append(lines, fmt.Sprintf("%s: %s: %s", s.Answer, s.What, s.Why))
	}
	return strings.Join(lines, "\n")
}

// unbroken is a log in which each entry leaves its object as the next finds it.
func unbroken(t testing.TB, n int) *grown { return grow(t, n) }

func TestAnExportedLogHolds(t *testing.T) {
	g := unbroken(t, 700)
	for _, size := range []int64{1, 2, 255, 256, 257, 511, 512, 700} {
		v := audit.VerifyTiles(exported(t, g, size), audit.Trust{Collector: logID(), Anchors: []string{signedAt(t, g, max(size/2, 1)), signedAt(t, g, size)}})
		if v.Answer != verdict.Yes || v.Entries != size {
			t.Errorf("%d entries: %s\n%s", size, v.Answer, why(v))
		}
	}
	v := audit.VerifyTiles(exported(t, g, 700), audit.Trust{})
	if v.Answer != verdict.CannotTell {
		t.Errorf("without a checkpoint from elsewhere it is %s\n%s", v.Answer, why(v))
	}
	if v := audit.VerifyTiles(exported(t, g, 700), audit.Trust{Collector: "another"}); v.Answer != verdict.No {
		t.Errorf("of another collector: %s", v.Answer)
	}
}

// A changed byte is named by its entry, wherever in an entry it is.
func TestAChangedByteNamesTheEntry(t *testing.T) {
	g := unbroken(t, 600)
	whole := exported(t, g, 600)
	rapid.Check(t, func(t *rapid.T) {
		files := maps.Clone(whole)
		seq := rapid.IntRange(0, 599).Draw(t, "entry")
		path := (audit.Tile{Level: -1, N: int64(seq / audit.TileWidth), Width: min(audit.TileWidth, 600-seq/audit.TileWidth*audit.TileWidth)}).Path()
		content := bytes.Clone(files[path].Data)
		at := 0
		for range seq % audit.TileWidth {
			at += 2 + int(binary.BigEndian.Uint16(content[at:]))
		}
		n := int(binary.BigEndian.Uint16(content[at:]))
		content[at+2+rapid.IntRange(0, n-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		files[path] = &fstest.MapFile{Data: content}
		v := audit.VerifyTiles(files, audit.Trust{Collector: logID(), Anchors: []string{signedAt(t2(t), g, 300)}})
		if v.Answer != verdict.No || !strings.Contains(why(v), fmt.Sprintf("audit entry %d is not the entry that is in the tree", seq)) {
			t.Fatalf("entry %d: %s\n%s", seq, v.Answer, why(v))
		}
	})
}

// t2 lets helpers of tests be called from a property.
func t2(t *rapid.T) testing.TB { return rapidTB{nil, t} }

type rapidTB struct {
	testing.TB
	t *rapid.T
}

func (r rapidTB) Helper()           {}
func (r rapidTB) Fatal(args ...any) { r.t.Fatal(args...) }

// Every bit of every file counts, or the file is of no use to the check.
func TestEveryFileOfALogCounts(t *testing.T) {
	g := unbroken(t, 300)
	whole := exported(t, g, 300)
	for name, f := range whole {
		for _, bit := range []int{0, len(f.Data) * 4, len(f.Data)*8 - 1} {
			if name == audit.KeyFile && bit == len(f.Data)*8-1 {
				continue // the last bit of the line's end
			}
			files := maps.Clone(whole)
			data := bytes.Clone(f.Data)
			data[bit/8] ^= 1 << (bit % 8)
			files[name] = &fstest.MapFile{Data: data}
			if v := audit.VerifyTiles(files, audit.Trust{Collector: logID()}); v.Answer != verdict.No {
				t.Errorf("%s with bit %d flipped: %s\n%s", name, bit, v.Answer, why(v))
			}
		}
		files := maps.Clone(whole)
		delete(files, name)
		if v := audit.VerifyTiles(files, audit.Trust{Collector: logID()}); v.Answer != verdict.No {
			t.Errorf("without %s: %s", name, v.Answer)
		}
	}
}

// Who holds the key can write another log, and not one that was anchored.
func TestAnchorsTellARewrittenLog(t *testing.T) {
	g, kept := unbroken(t, 40), unbroken(t, 50)
	forged := &grown{}
	for i, leaf := range g.leaves {
		e, err := audit.ParseLeaf(leaf)
		if err != nil {
			t.Fatal(err)
		}
		if i == 5 {
			e.Reason = "as it should have been"
		}
		if leaf, err = e.Leaf(); err != nil {
			t.Fatal(err)
		}
		nodes, err := audit.Hashes(int64(i), leaf, forged)
		if err != nil {
			t.Fatal(err)
		}
		forged.leaves, forged.nodes = append(forged.leaves, leaf), append(forged.nodes, nodes...)
	}
	files := exported(t, forged, 40)
	if v := audit.VerifyTiles(files, audit.Trust{Collector: logID(), Anchors: []string{signedAt(t, g, 5)}}); v.Answer != verdict.Yes {
		t.Errorf("an anchor before the forgery: %s\n%s", v.Answer, why(v))
	}
	for _, anchor := range []string{signedAt(t, g, 6), signedAt(t, g, 40), signedAt(t, kept, 50), "no note"} {
		if v := audit.VerifyTiles(files, audit.Trust{Collector: logID(), Anchors: []string{signedAt(t, g, 2), anchor}}); v.Answer != verdict.No {
			t.Errorf("%q: %s\n%s", anchor, v.Answer, why(v))
		}
	}
	// One of no entry keeps none of the others from being looked at.
	nothing, err := audit.Checkpoint{Origin: audit.Origin(logID())}.Sign(logKey)
	if err != nil {
		t.Fatal(err)
	}
	if v := audit.VerifyTiles(files, audit.Trust{Collector: logID(), Anchors: []string{nothing, signedAt(t, g, 6)}}); v.Answer != verdict.No {
		t.Errorf("beside an anchor of no entry: %s\n%s", v.Answer, why(v))
	}
	if v := audit.VerifyTiles(files, audit.Trust{Collector: logID(), Anchors: []string{nothing}}); v.Answer != verdict.CannotTell {
		t.Errorf("with an anchor of no entry alone: %s\n%s", v.Answer, why(v))
	}
}

func TestWitnessed(t *testing.T) {
	g := unbroken(t, 9)
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize))
	public := append([]byte{4}, key.Public().(ed25519.PublicKey)...)
	sum := sha256.Sum256(append([]byte("witness.example\n"), public...))
	vkey := fmt.Sprintf("witness.example+%08x+%s", binary.BigEndian.Uint32(sum[:4]), base64.StdEncoding.EncodeToString(public))
	signed := signedAt(t, g, 9)
	text, _, _ := strings.Cut(signed, "\n\n")
	sig := binary.BigEndian.AppendUint64(nil, 1_780_000_000)
	sig = append(sig, ed25519.Sign(key, []byte("cosignature/v1\ntime 1780000000\n"+text+"\n"))...)
	cosigned := signed + "— witness.example " + base64.StdEncoding.EncodeToString(append(slices.Clone(sum[:4]), sig...)) + "\n"
	files := exported(t, g, 9)
	trust := audit.Trust{Collector: logID(), Witnesses: []string{vkey}, Anchors: []string{signed}}
	if v := audit.VerifyTiles(files, trust); v.Answer != verdict.No {
		t.Errorf("not cosigned: %s\n%s", v.Answer, why(v))
	}
	files[audit.CheckpointFile] = &fstest.MapFile{Data: []byte(cosigned)}
	if v := audit.VerifyTiles(files, trust); v.Answer != verdict.Yes {
		t.Errorf("cosigned: %s\n%s", v.Answer, why(v))
	}
	for _, bad := range []string{"", "witness.example", vkey[:len(vkey)-4] + "AAA=", audit.VerifierKey("witness.example", key.Public().(ed25519.PublicKey))} {
		if name, err := audit.Witnessed(cosigned, bad); err == nil {
			t.Errorf("key %q is taken for %s", bad, name)
		}
	}
	if _, err := note.NewVerifier(audit.VerifierKey("x", key.Public().(ed25519.PublicKey))); err != nil {
		t.Error(err)
	}
}

func TestAnchorFiles(t *testing.T) {
	one := audit.Anchor{At: time.Unix(1_780_000_000, 0).UTC(), Checkpoint: "a\nb\n\nc\n"}
	line, err := one.Line()
	if err != nil {
		t.Fatal(err)
	}
	torn := string(line) + string(line[:20]) + "\n" + string(line) + string(line[:9])
	var got []string
	take := func(s string) error { got = append(got, s); return nil }
	if err := audit.ReadAnchors(strings.NewReader(torn), take); err != nil || !slices.Equal(got, []string{one.Checkpoint, one.Checkpoint}) {
		t.Errorf("%q, %v", got, err)
	}
	got = nil
	if err := audit.ReadAnchors(strings.NewReader(one.Checkpoint), take); err != nil || !slices.Equal(got, []string{one.Checkpoint}) {
		t.Errorf("a checkpoint by itself: %q, %v", got, err)
	}
	if err := audit.ReadAnchors(strings.NewReader("{\"at\":7}\n"), take); err == nil {
		t.Error("a line that is no anchor is taken")
	}
}

func TestTilePaths(t *testing.T) {
	for path, want := range map[string]audit.Tile{
		"tile/0/000":                 {Level: 0, N: 0, Width: 256},
		"tile/entries/x001/x234/067": {Level: -1, N: 1234067, Width: 256},
		"tile/2/x001/067.p/8":        {Level: 2, N: 1067, Width: 8},
	} {
		if got, err := audit.ParseTilePath(path); err != nil || got != want || got.Path() != path {
			t.Errorf("%s is %+v, %v", path, got, err)
		}
	}
	for _, bad := range []string{"", "tile/0/", "tile/0/0", "tile/8/000", "tile/-1/000", "tile/0/x000/001", "tile/0/001/002", "tile/0/000.p/256", "tile/0/000.p/0", "tile/0/000.p/08", "tile/entries/../000", "tile/0/x999/x999/x999/x999/x999/x999/x999/999"} {
		if got, err := audit.ParseTilePath(bad); err == nil {
			t.Errorf("%q is %+v", bad, got)
		}
	}
	for size := range int64(1000) {
		var hashes, entries int64
		for tile := range audit.Tiles(size) {
			if back, err := audit.ParseTilePath(tile.Path()); err != nil || back != tile || !tile.In(size) || tile.In(size-1) && tile.Width == 0 {
				t.Fatalf("%d entries: %+v, %v", size, tile, err)
			}
			if _, n, ok := tile.Entries(); ok {
				entries += int64(n)
			} else if tile.Level == 0 {
				hashes += int64(tile.Width)
			}
		}
		if hashes != size || entries != size {
			t.Errorf("%d entries: tiles of %d hashes and %d entries", size, hashes, entries)
		}
	}
}

func FuzzSplitEntries(f *testing.F) {
	f.Add(audit.AppendEntry(audit.AppendEntry(nil, []byte("one")), nil))
	f.Add([]byte{0, 5, 1})
	f.Fuzz(func(t *testing.T, content []byte) {
		leaves, err := audit.SplitEntries(content)
		var again []byte
		for _, leaf := range leaves {
			again = audit.AppendEntry(again, leaf)
		}
		if !bytes.HasPrefix(content, again) || err == nil && len(again) != len(content) {
			t.Errorf("%x read as %x, %v", content, again, err)
		}
	})
}
