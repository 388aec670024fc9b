package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// Names in a log that is handed on as tiles (C2SP tlog-tiles).
const (
	CheckpointFile = "checkpoint" // the newest signed checkpoint
	// KeyFile holds the key by which the checkpoint verifies, as C2SP tools take it.
	// tlog-tiles has no such file; who verifies must know the key from elsewhere or
	// know the collector's id, which follows from it.
	KeyFile = "log.vkey"
)

// TileWidth is the number of hashes, or of entries, of a full tile.
const TileWidth = 1 << tileHeight

const (
	tileHeight  = 8
	entriesTile = -1 // the level of tiles of entries
	tilePrefix  = "tile/"
)

// Tile names a part of a log: the hashes of one level, or entries.
type Tile struct {
	Level int   // 0 to 7; -1 for entries
	N     int64 // its number in the level
	Width int   // of TileWidth, less in the last of a level
}

// Path returns the path of a tile in a log.
func (t Tile) Path() string {
	level := strconv.Itoa(t.Level)
	if t.Level == entriesTile {
		level = "entries"
	}
	n := fmt.Sprintf("%03d", t.N%1000)
	for rest := t.N / 1000; rest > 0; rest /= 1000 {
		n = fmt.Sprintf("x%03d/%s", rest%1000, n)
	}
	path := tilePrefix + level + "/" + n
	if t.Width < TileWidth {
		path += ".p/" + strconv.Itoa(t.Width)
	}
	return path
}

// ParseTilePath returns the tile of a path, which has one form.
func ParseTilePath(path string) (Tile, error) {
	fault := fmt.Errorf("%.80q is not the path of a tile", path)
	rest, ok := strings.CutPrefix(path, tilePrefix)
	level, rest, more := strings.Cut(rest, "/")
	if !ok || !more {
		return Tile{}, fault
	}
	t := Tile{Level: entriesTile, Width: TileWidth}
	var err error
	if level != "entries" {
		if t.Level, err = strconv.Atoi(level); err != nil || t.Level < 0 || t.Level > 7 {
			return Tile{}, fault
		}
	}
	if number, width, partial := strings.Cut(rest, ".p/"); partial {
		if t.Width, err = strconv.Atoi(width); err != nil || t.Width < 1 || t.Width >= TileWidth {
			return Tile{}, fault
		}
		rest = number
	}
	parts := strings.Split(rest, "/")
	if len(parts) > 6 { // more would not go into a number
		return Tile{}, fault
	}
	for i, part := range parts {
		digits := strings.TrimPrefix(part, "x")
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || len(digits) != 3 || n < 0 || (i < len(parts)-1) != (digits != part) {
			return Tile{}, fault
		}
		t.N = t.N*1000 + n
	}
	if t.Path() != path {
		return Tile{}, fault
	}
	return t, nil
}

// Tiles yields every tile of a log of size entries, hashes first.
func Tiles(size int64) iter.Seq[Tile] {
	return func(yield func(Tile) bool) {
		for _, t := range tlog.NewTiles(tileHeight, 0, size) {
			if !yield(Tile{t.L, t.N, t.W}) {
				return
			}
		}
		for n := int64(0); n*TileWidth < size; n++ {
			if !yield(Tile{entriesTile, n, int(min(TileWidth, size-n*TileWidth))}) {
				return
			}
		}
	}
}

// In reports whether a log of size entries has the tile.
func (t Tile) In(size int64) bool {
	nodes := size >> (tileHeight * max(t.Level, 0))
	return t.N <= nodes/TileWidth && t.N*TileWidth+int64(t.Width) <= nodes
}

// Entries returns the first entry of a tile of entries and how many it has; ok is
// false for a tile of hashes.
func (t Tile) Entries() (first int64, n int, ok bool) {
	return t.N * TileWidth, t.Width, t.Level == entriesTile
}

// Hashes returns the content of a tile of hashes.
func (t Tile) Hashes(read HashReader) ([]byte, error) {
	data, err := tlog.ReadTileData(tlog.Tile{H: tileHeight, L: t.Level, N: t.N, W: t.Width}, read)
	if err != nil {
		return nil, fmt.Errorf("tile %s: %w", t.Path(), err)
	}
	return data, nil
}

// AppendEntry appends a leaf to the content of a tile of entries.
func AppendEntry(b, leaf []byte) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(leaf))), leaf...)
}

// SplitEntries returns the leaves of a tile of entries.
func SplitEntries(content []byte) ([][]byte, error) {
	var out [][]byte
	for len(content) > 0 {
		if len(content) < 2 {
			return out, errors.New("a length is torn")
		}
		n := int(binary.BigEndian.Uint16(content))
		if len(content) < 2+n {
			return out, errors.New("an entry is torn")
		}
		out, content = append(out, content[2:2+n]), content[2+n:]
	}
	return out, nil
}
