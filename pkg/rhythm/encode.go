package rhythm

import (
	"encoding/binary"
	"fmt"
	"math"
)

// version is the first byte of an encoded rhythm.
const version = 1

// Append appends the encoded rhythm: a version, then unsigned varints in the
// order of the fields.
func (r *Rhythm) Append(b []byte) []byte {
	b = append(b, version)
	for _, n := range r.numbers() {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func (r *Rhythm) numbers() [fields]uint64 {
	var n [fields]uint64
	n[0], n[1], n[2], n[3], n[4] = uint64(r.Windows), uint64(r.Dips), uint64(r.Intervals), r.Sum, r.Squares
	n[5], n[6], n[7], n[8] = uint64(math.Float32bits(r.Level)), uint64(math.Float32bits(r.Previous)), uint64(r.Since), uint64(r.Before)
	if r.In {
		n[9] = 1
	}
	for i, c := range r.Changes {
		n[10+i] = uint64(c)
	}
	return n
}

const fields = 10 + Classes

// Decode reads an encoded rhythm. Nothing may follow it.
func Decode(b []byte) (Rhythm, error) {
	if len(b) == 0 || b[0] != version {
		return Rhythm{}, fmt.Errorf("decode rhythm of %d bytes: not version %d", len(b), version)
	}
	b = b[1:]
	var n [fields]uint64
	for i := range n {
		v, size := binary.Uvarint(b)
		if size <= 0 || (v > math.MaxUint32 && i != 3 && i != 4) || (i == 9 && v > 1) {
			return Rhythm{}, fmt.Errorf("decode rhythm: number %d cannot be read", i)
		}
		n[i], b = v, b[size:]
	}
	if len(b) > 0 {
		return Rhythm{}, fmt.Errorf("decode rhythm: %d bytes follow it", len(b))
	}
	r := Rhythm{
		Windows: uint32(n[0]), Dips: uint32(n[1]), Intervals: uint32(n[2]), Sum: n[3], Squares: n[4],
		Level: math.Float32frombits(uint32(n[5])), Previous: math.Float32frombits(uint32(n[6])), Since: uint32(n[7]), Before: uint32(n[8]), In: n[9] == 1,
	}
	for i := range r.Changes {
		r.Changes[i] = uint32(n[10+i])
	}
	for _, v := range []float32{r.Level, r.Previous} {
		if !(v >= 0) || math.IsInf(float64(v), 0) {
			return Rhythm{}, fmt.Errorf("decode rhythm: %v is no level", v)
		}
	}
	return r, nil
}
