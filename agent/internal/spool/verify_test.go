package spool

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// onDisk reads the batches of a spool's folder with its own few lines, written
// from the description of the format and sharing nothing with the package.
func onDisk(t testing.TB, dir string) (envelopes []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(data), "FWSPOOL\x01") {
			continue
		}
		for data = data[8:]; len(data) >= 8; {
			n := int(binary.LittleEndian.Uint32(data))
			if n <= 0 || 8+n > len(data) {
				break
			}
			sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
			sum.Write(data[:4])
			sum.Write(data[8 : 8+n])
			if sum.Sum32() != binary.LittleEndian.Uint32(data[4:]) {
				break
			}
			if p := data[8 : 8+n]; p[0] == 1 {
				envelopes = append(envelopes, string(p[3+int(p[2])+40+32:]))
			}
			data = data[8+n:]
		}
	}
	return envelopes
}
