package qr

import (
	"bytes"
	"encoding/xml"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// read reads a code as a reader does: the format for the mask, the codewords off the
// zigzag, the blocks apart, each checked against its error correction.
func read(t interface{ Fatalf(string, ...any) }, c *Code) string {
	number := (c.Size - 17) / 4
	v := versions[number-1]
	text := 0
	for i := range 6 {
		text |= bit(c.Dark(8, i)) << i
	}
	text |= bit(c.Dark(8, 7))<<6 | bit(c.Dark(8, 8))<<7 | bit(c.Dark(7, 8))<<8
	for i := 9; i < 15; i++ {
		text |= bit(c.Dark(14-i, 8)) << i
	}
	text ^= 0x5412
	if text>>13 != 0 {
		t.Fatalf("level %d is not M", text>>13)
	}
	mask := text >> 10 & 7
	// What is a pattern follows from the size, whatever the code says.
	blank := &Code{Size: c.Size, dark: make([]bool, len(c.dark)), fixed: make([]bool, len(c.dark))}
	blank.patterns(number, v)
	total := v.data() + len(v.blocks)*v.ecc
	stream := make([]byte, total)
	blank.zigzag(func(at, i int) {
		if i < 8*total && c.dark[at] != masked(mask, at%c.Size, at/c.Size) {
			stream[i/8] |= 1 << (7 - i%8)
		}
	})
	blocks := make([][]byte, len(v.blocks))
	for i := range slices.Max(v.blocks) {
		for b, n := range v.blocks {
			if i < n {
				blocks[b], stream = append(blocks[b], stream[0]), stream[1:]
			}
		}
	}
	for range v.ecc {
		for b := range blocks {
			blocks[b], stream = append(blocks[b], stream[0]), stream[1:]
		}
	}
	var data []byte
	for b, block := range blocks {
		root := byte(1)
		for i := range v.ecc { // a codeword is a multiple of every factor of the generator
			sum := byte(0)
			for _, w := range block {
				sum = multiply(sum, root) ^ w
			}
			if sum != 0 {
				t.Fatalf("block %d: syndrome %d is %d", b, i, sum)
			}
			root = multiply(root, 2)
		}
		data = append(data, block[:v.blocks[b]]...)
	}
	at := 0
	take := func(n int) (value int) {
		for range n {
			value = value<<1 | int(data[at/8]>>(7-at%8)&1)
			at++
		}
		return value
	}
	if mode := take(4); mode != 4 {
		t.Fatalf("mode %d is not bytes", mode)
	}
	count := 8
	if number >= 10 {
		count = 16
	}
	out := make([]byte, take(count))
	for i := range out {
		out[i] = byte(take(8))
	}
	return string(out)
}

func bit(dark bool) int {
	if dark {
		return 1
	}
	return 0
}

func TestWhatIsDrawnReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOfN(rapid.Byte(), 0, 213).Draw(t, "text"))
		c, err := Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(t, c); got != text {
			t.Fatalf("%q reads as %q", text, got)
		}
	})
	if _, err := Encode(strings.Repeat("x", 214)); err == nil {
		t.Error("214 bytes fit")
	}
	for size, text := range map[int]string{21: strings.Repeat("x", 14), 25: strings.Repeat("x", 15), 57: strings.Repeat("x", 213)} {
		if c, err := Encode(text); err != nil || c.Size != size {
			t.Errorf("%d bytes: %+v, %v", len(text), c.Size, err)
		}
	}
}

func TestSVGIsPlainAndSaysWhatItIs(t *testing.T) {
	c, err := Encode("otpauth://totp/x")
	if err != nil {
		t.Fatal(err)
	}
	svg := c.SVG(`QR code of <"ana">`)
	var any struct{ XMLName xml.Name }
	if err := xml.Unmarshal([]byte(svg), &any); err != nil {
		t.Error(err)
	}
	if strings.Contains(svg, "style") || strings.Contains(svg, `<"ana`) || !strings.Contains(svg, `role="img"`) {
		t.Error(svg)
	}
}

// A reader that somebody else wrote reads it, where there is one.
func TestAnotherReaderReadsIt(t *testing.T) {
	reader, err := exec.LookPath("zbarimg")
	if err != nil {
		t.Skip("zbarimg is not installed (zbar-tools): no other reader of QR codes here")
	}
	for n := 1; n <= 213; n += 15 {
		text := strings.Repeat("otpauth://totp/flopwatch:ana?secret=", 7)[:n]
		c, err := Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		side := (c.Size + 2*quiet) * 4
		picture := image.NewGray(image.Rect(0, 0, side, side))
		for y := range side {
			for x := range side {
				picture.SetGray(x, y, color.Gray{Y: 255})
				if c.Dark(x/4-quiet, y/4-quiet) {
					picture.SetGray(x, y, color.Gray{})
				}
			}
		}
		var file bytes.Buffer
		if err := png.Encode(&file, picture); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "code.png")
		if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(reader, "--raw", "-q", path).Output()
		if got := strings.TrimSuffix(string(out), "\n"); err != nil || got != text {
			t.Errorf("%d bytes, version %d: %q, %v", n, (c.Size-17)/4, got, err)
		}
	}
}
