// Package qr draws QR codes (ISO/IEC 18004) as SVG: bytes, error correction level
// M, versions 1 to 10, which is up to 213 bytes. A browser that runs no script
// shows them like any drawing.
package qr

import (
	"errors"
	"fmt"
	"strings"
)

// ErrTooLong says that a text does not fit into the largest version.
var ErrTooLong = errors.New("the text is too long for a QR code")

// version is what level M of a version holds: groups of blocks with their data
// codewords, each with the same number of error correction codewords.
type version struct {
	ecc    int
	blocks []int // data codewords of each block
	align  []int // centres of alignment patterns
}

var versions = []version{
	{10, []int{16}, nil},
	{16, []int{28}, []int{6, 18}},
	{26, []int{44}, []int{6, 22}},
	{18, []int{32, 32}, []int{6, 26}},
	{24, []int{43, 43}, []int{6, 30}},
	{16, []int{27, 27, 27, 27}, []int{6, 34}},
	{18, []int{31, 31, 31, 31}, []int{6, 22, 38}},
	{22, []int{38, 38, 39, 39}, []int{6, 24, 42}},
	{22, []int{36, 36, 36, 37, 37}, []int{6, 26, 46}},
	{26, []int{43, 43, 43, 43, 44}, []int{6, 28, 50}},
}

func (v version) data() (n int) {
	for _, b := range v.blocks {
		n += b
	}
	return n
}

// Code is a square of dark and light modules.
type Code struct {
	Size  int
	dark  []bool
	fixed []bool // modules of patterns, which hold no data
}

// Dark reports whether a module is dark; outside the square none is.
func (c *Code) Dark(x, y int) bool {
	return x >= 0 && y >= 0 && x < c.Size && y < c.Size && c.dark[y*c.Size+x]
}

// Encode returns the smallest code that holds a text.
func Encode(text string) (*Code, error) {
	for i, v := range versions {
		count := 8 // bits of the length
		if i >= 9 {
			count = 16
		}
		if 4+count+8*len(text) > 8*v.data() {
			continue
		}
		var b bits
		b.put(4, 4) // bytes
		b.put(len(text), count)
		for _, c := range []byte(text) {
			b.put(int(c), 8)
		}
		b.put(0, min(4, 8*v.data()-b.n))
		b.put(0, (8-b.n%8)%8)
		for pad := 0xec; len(b.bytes) < v.data(); pad ^= 0xec ^ 0x11 {
			b.put(pad, 8)
		}
		return draw(i+1, v, interleave(v, b.bytes)), nil
	}
	return nil, fmt.Errorf("%d bytes: %w", len(text), ErrTooLong)
}

type bits struct {
	bytes []byte
	n     int
}

func (b *bits) put(value, count int) {
	for i := count - 1; i >= 0; i-- {
		if b.n%8 == 0 {
			b.bytes = append(b.bytes, 0)
		}
		b.bytes[b.n/8] |= byte(value>>i&1) << (7 - b.n%8)
		b.n++
	}
}

// interleave puts the codewords of the blocks in their order on the code.
func interleave(v version, data []byte) []byte {
	blocks, checks := make([][]byte, len(v.blocks)), make([][]byte, len(v.blocks))
	longest := 0
	for i, n := range v.blocks {
		blocks[i], data = data[:n], data[n:]
		checks[i] = remainder(blocks[i], v.ecc)
		longest = max(longest, n)
	}
	var out []byte
	for i := range longest {
		for _, b := range blocks {
			if i < len(b) {
				out = append(out, b[i])
			}
		}
	}
	for i := range v.ecc {
		for _, c := range checks {
			out = append(out, c[i])
		}
	}
	return out
}

// multiply multiplies in GF(2^8) modulo x^8+x^4+x^3+x^2+1.
func multiply(a, b byte) (product byte) {
	for ; b > 0; b >>= 1 {
		if b&1 == 1 {
			product ^= a
		}
		high := a & 0x80
		a <<= 1
		if high != 0 {
			a ^= 0x1d
		}
	}
	return product
}

// remainder returns the Reed-Solomon codewords of a block.
func remainder(data []byte, n int) []byte {
	generator := make([]byte, n) // without its leading 1, highest power first
	generator[n-1] = 1
	root := byte(1)
	for range n {
		for j := range generator {
			generator[j] = multiply(generator[j], root)
			if j+1 < n {
				generator[j] ^= generator[j+1]
			}
		}
		root = multiply(root, 2)
	}
	out := make([]byte, n)
	for _, d := range data {
		factor := d ^ out[0]
		copy(out, out[1:])
		out[n-1] = 0
		for j := range out {
			out[j] ^= multiply(generator[j], factor)
		}
	}
	return out
}

// quiet is the width of the light border that readers need, in modules.
const quiet = 4

// SVG draws the code with a title for who cannot see it. Colours are attributes,
// as a strict content policy demands, and the same in light and dark.
func (c *Code) SVG(title string) string {
	side := c.Size + 2*quiet
	var path strings.Builder
	for y := range c.Size {
		for x := 0; x < c.Size; x++ {
			from := x
			for c.Dark(x, y) {
				x++
			}
			if x > from {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
			}
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="%s" width="%d" height="%d" viewBox="0 0 %d %d" shape-rendering="crispEdges"><rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="%s"/></svg>`,
		escape.Replace(title), side*5, side*5, side, side, side, side, path.String())
}

var escape = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;")
