package audit

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/verdict"
)

// Trust is what somebody who checks a log knows from elsewhere.
type Trust struct {
	Collector string   // id of the collector whose log it must be, "" where that is not known
	Key       string   // of the log, in the form of VerifierKey; "" takes the one beside the log
	Anchors   []string // checkpoints that were kept elsewhere
	Witnesses []string // keys of witnesses, each of which must have cosigned the checkpoint
}

// LogVerdict is what the checks of a log came to.
type LogVerdict struct {
	Collector string         `json:"collector"`
	Answer    verdict.Answer `json:"answer"`
	Steps     verdict.Steps  `json:"steps"`
	Entries   int64          `json:"entries"`
	Root      string         `json:"root"`       // of the checkpoint, in base64
	ClockBack int            `json:"clock_back"` // entries that are dated before an earlier one
}

// VerifyTiles checks a log that was handed on as tiles. It asks nobody.
func VerifyTiles(files fs.FS, t Trust) LogVerdict {
	c := &tileCheck{files: files, walk: NewWalk(), tiles: map[int][]byte{}}
	if c.signed(t) && c.anchors(t.Anchors) {
		c.entries()
	}
	c.v.Answer = c.v.Steps.Answer()
	return c.v
}

type tileCheck struct {
	files fs.FS
	walk  *Walk
	key   ed25519.PublicKey
	now   Checkpoint
	old   []Checkpoint // anchors by size
	tiles map[int][]byte
	at    map[int]int64 // number of the tile of each level in tiles
	v     LogVerdict
	told  int
}

// signed checks who signed the checkpoint. Without that nothing else means anything.
func (c *tileCheck) signed(t Trust) bool {
	const what = "The collector signed the log"
	key := t.Key
	if key == "" {
		text, err := fs.ReadFile(c.files, KeyFile)
		if err != nil {
			c.v.Steps.Add(what, verdict.No, "%v", err)
			return false
		}
		key = strings.TrimSuffix(string(text), "\n")
	}
	name, public, err := ParseVerifierKey(key)
	if err != nil {
		c.v.Steps.Add(what, verdict.No, "%v", err)
		return false
	}
	c.key, c.v.Collector = public, attest.HostID(public)
	text, err := fs.ReadFile(c.files, CheckpointFile)
	if err == nil {
		c.now, err = OpenCheckpoint(string(text), name, public)
	}
	switch {
	case err != nil:
		c.v.Steps.Add(what, verdict.No, "%v", err)
		return false
	case name != Origin(c.v.Collector):
		c.v.Steps.Add(what, verdict.No, "the log is called %.80q, and the key is that of collector %s", name, c.v.Collector)
		return false
	case t.Collector != "" && t.Collector != c.v.Collector:
		c.v.Steps.Add(what, verdict.No, "it was signed by collector %s, not by %.60q", c.v.Collector, t.Collector)
		return false
	case t.Collector == "" && t.Key == "":
		c.v.Steps.Add(what, verdict.Yes, "%d entries, signed by collector %s; that this is the provider's is for you to know", c.now.Size, c.v.Collector)
	default:
		c.v.Steps.Add(what, verdict.Yes, "%d entries, signed by collector %s, as asked for", c.now.Size, c.v.Collector)
	}
	c.v.Root = strings.Split(c.now.Text(), "\n")[2]
	for _, w := range t.Witnesses {
		const what = "Witnesses saw the same log"
		if who, err := Witnessed(string(text), w); err != nil {
			c.v.Steps.Add(what, verdict.No, "%v", err)
		} else {
			c.v.Steps.Add(what, verdict.Yes, "%s cosigned the checkpoint", who)
		}
	}
	return true
}

func (c *tileCheck) anchors(all []string) bool {
	for i, text := range all {
		old, err := OpenCheckpoint(text, c.now.Origin, c.key)
		if err != nil {
			c.v.Steps.Add("The log grew out of what was kept elsewhere", verdict.No, "checkpoint %d of those that were kept: %v", i+1, err)
			return false
		}
		if old.Size > 0 { // else it says nothing of any entry, and must not stand before those that do
			c.old = append(c.old, old)
		}
	}
	slices.SortFunc(c.old, func(a, b Checkpoint) int { return int(a.Size - b.Size) })
	return true
}

// entries reads every entry, and holds the tree that they make against the tiles,
// the checkpoint and the anchors.
func (c *tileCheck) entries() {
	const what = "No entry was changed, added or taken out"
	old, missed := c.old, 0
	fault := c.walkAll(func() {
		for ; len(old) > 0 && old[0].Size == c.walk.Entries; old = old[1:] {
			if old[0].Root != c.walk.Root() {
				missed++
				if missed == 1 {
					c.v.Steps.Add("The log grew out of what was kept elsewhere", verdict.No, "at %d entries it is not the log that was signed then", old[0].Size)
				}
			}
		}
	})
	c.v.Entries, c.v.ClockBack = c.walk.Entries, c.walk.ClockBack
	switch {
	case fault != nil:
		c.tell("%v", fault)
	case c.told == 0 && c.walk.Root() != c.now.Root:
		c.tell("the entries are not those of the checkpoint of %d entries", c.now.Size)
	}
	if c.told == 0 {
		c.v.Steps.Add(what, verdict.Yes, "%d entries make the root that was signed", c.walk.Entries)
		if c.walk.ClockBack > 0 {
			c.v.Steps.Add("Entries are dated in their order", verdict.CannotTell, "the clock was set back before %d entries", c.walk.ClockBack)
		}
	} else if c.told > maxTold {
		c.v.Steps.Add(what, verdict.No, "and %d more", c.told-maxTold)
	}
	switch {
	case len(old) > 0 && old[0].Size > c.now.Size:
		c.v.Steps.Add("The log grew out of what was kept elsewhere", verdict.No, "a checkpoint of %d entries was kept, and the log has %d: entries are missing at its end", old[len(old)-1].Size, c.now.Size)
	case len(c.old) == 0:
		c.v.Steps.Add("The log grew out of what was kept elsewhere", verdict.CannotTell, "no checkpoint that was kept elsewhere was given: who holds the collector's key could have written the whole log anew")
	case missed == 0 && fault == nil:
		c.v.Steps.Add("The log grew out of what was kept elsewhere", verdict.Yes, "%d checkpoints, the newest of %d entries", len(c.old), c.old[len(c.old)-1].Size)
	}
}

// maxTold is how many faults are told one by one.
const maxTold = 100

func (c *tileCheck) tell(format string, args ...any) {
	if c.told++; c.told <= maxTold {
		c.v.Steps.Add("No entry was changed, added or taken out", verdict.No, format, args...)
	}
}

// walkAll reads the entries, and calls after when each was read.
func (c *tileCheck) walkAll(after func()) error {
	c.at = map[int]int64{}
	for t := range Tiles(c.now.Size) {
		first, n, ok := t.Entries()
		if !ok {
			continue
		}
		content, err := fs.ReadFile(c.files, t.Path())
		if err != nil {
			return fmt.Errorf("entries %d to %d: %w", first, first+int64(n)-1, err)
		}
		leaves, err := SplitEntries(content)
		if err != nil || len(leaves) != n {
			return fmt.Errorf("entries %d to %d: %s holds %d of %d entries: %w", first, first+int64(n)-1, t.Path(), len(leaves), n, errors.Join(err, errShort))
		}
		for i, leaf := range leaves {
			seq := first + int64(i)
			changed := false
			c.walk.Grow(leaf, func(level int, n int64, h Hash) Hash {
				kept, err := c.hash(level, n)
				switch {
				case err != nil:
					c.tell("audit entry %d: %v", seq, err)
				case kept != nil && !bytes.Equal(kept, h[:]):
					if changed = level == 0; changed {
						c.tell("audit entry %d is not the entry that is in the tree", seq)
					} else {
						c.tell("audit entries %d to %d: the tree above them is not theirs", n<<level, (n+1)<<level-1)
					}
					copy(h[:], kept) // go on as it should be
				}
				return h
			})
			_, _, problems := c.walk.Step(seq, leaf)
			if !changed { // else it is told already, and what follows from it as well
				for _, p := range problems {
					c.tell("%s", p)
				}
			}
			after()
		}
	}
	return nil
}

var errShort = errors.New("it is not whole")

// hash returns the node as the tiles hold it, nil where no tile does.
func (c *tileCheck) hash(level int, n int64) ([]byte, error) {
	if level%tileHeight != 0 {
		return nil, nil
	}
	row := level / tileHeight
	number := n / TileWidth
	if at, ok := c.at[row]; !ok || at != number {
		nodes := c.now.Size >> level
		t := Tile{Level: row, N: number, Width: int(min(TileWidth, nodes-number*TileWidth))}
		content, err := fs.ReadFile(c.files, t.Path())
		if err == nil && len(content) != t.Width*len(Hash{}) {
			err = fmt.Errorf("%s has %d bytes, not %d", t.Path(), len(content), t.Width*len(Hash{}))
		}
		c.at[row], c.tiles[row] = number, content
		if err != nil {
			c.tiles[row] = nil
			return nil, err
		}
	}
	tile, at := c.tiles[row], int(n%TileWidth)*len(Hash{})
	if tile == nil {
		return nil, nil // it was told already
	}
	return tile[at : at+len(Hash{})], nil
}
