package resolve

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"
	"strings"
)

// Hasher makes keyed hashes: without the key nobody can try values out. Of names
// it makes one hash for each pair of letters, so that names with typing errors
// can be compared without being known (Schnell, Bachteler and Reiher, BMC Med.
// Inform. Decis. Mak. 9, 2009, who put them into Bloom filters; these are sets).
// Pairs of letters can be guessed from how often they come, so these hashes
// belong where names may lie, and not beside the telemetry.
//
// A Hasher may be used by one goroutine at a time.
type Hasher struct {
	mac   hash.Hash
	grams map[string]uint64
}

// NewHasher returns a hasher with a key of at least 16 random bytes.
func NewHasher(key []byte) *Hasher {
	return &Hasher{mac: hmac.New(sha256.New, key), grams: map[string]uint64{}}
}

// String returns the first half of the key in hexadecimal digits: enough to tell
// values apart, in views and evidence.
func (k Key) String() string { return hex.EncodeToString(k[:8]) }

// Value hashes a normalised value of a kind and scheme.
func (h *Hasher) Value(k Kind, scheme, normal string) Key {
	h.mac.Reset()
	h.mac.Write([]byte(string(k) + "\x00" + scheme + "\x00" + normal))
	return Key(h.mac.Sum(nil)[:16])
}

// Identifier normalises and hashes a value. It is false if the value is none.
func (h *Hasher) Identifier(k Kind, scheme, value, country string) (Identifier, bool) {
	normal, ok := Normalise(k, value, country)
	if !ok {
		return Identifier{}, false
	}
	return Identifier{Kind: k, Scheme: scheme, Key: h.Value(k, scheme, normal)}, true
}

// maxCached bounds the pairs of letters whose hashes are kept.
const maxCached = 1 << 18

// word hashes a short text.
func (h *Hasher) word(purpose, s string) uint64 {
	h.mac.Reset()
	h.mac.Write([]byte(purpose + "\x00" + s))
	return binary.BigEndian.Uint64(h.mac.Sum(nil))
}

// gram hashes a pair of letters. There are few, so they are kept; of whole words
// nothing stays in memory, because they may be of somebody whose data are erased.
func (h *Hasher) gram(s string) uint64 {
	v, ok := h.grams[s]
	if !ok {
		if v = h.word("gram", s); len(h.grams) >= maxCached {
			clear(h.grams)
		}
		h.grams[s] = v
	}
	return v
}

// Name is a name as it is compared: in one script, without legal form, hashed.
type Name struct {
	whole  uint64   // of its words in order of the alphabet
	grams  []uint64 // of each pair of letters, ordered
	blocks []uint64 // by which names are found that may be the same
}

// maxWords bounds what a name costs.
const maxWords = 12

// Names returns a name in its own script and, where that is not Latin, also in
// Latin letters.
func (h *Hasher) Names(name string, person bool) []Name {
	var out []Name
	for _, words := range scripts(name, person) {
		out = append(out, h.name(words))
	}
	return out
}

// scripts returns the words by which a name is compared: in its own script, and
// in Latin letters if that is another one.
func scripts(name string, person bool) (out [][]string) {
	folded := Fold(name)
	own := strings.Fields(folded)
	if !person {
		own = Words(folded)
	}
	own = own[:min(len(own), maxWords)]
	if len(own) == 0 {
		return nil
	}
	other := strings.Fields(Transliterate(strings.Join(own, " ")))
	if !person {
		other = Words(strings.Join(other, " "))
	}
	if slices.Equal(own, other) || len(other) == 0 {
		return [][]string{own}
	}
	return [][]string{own, other}
}

func (h *Hasher) name(words []string) Name {
	slices.Sort(words)
	n := Name{whole: h.word("whole", strings.Join(words, " "))}
	var heads []string
	for _, w := range words {
		letters := []rune("^" + w + "$")
		for i := 1; i < len(letters); i++ {
			n.grams = append(n.grams, h.gram(string(letters[i-1:i+1])))
		}
		if letters = letters[1 : len(letters)-1]; len(letters) >= 2 {
			heads = append(heads, string(letters[:min(3, len(letters))]))
			n.blocks = append(n.blocks, h.word("head", string(letters[:min(5, len(letters))])))
			n.blocks = append(n.blocks, h.word("tail", string(letters[max(0, len(letters)-5):])))
		}
	}
	for i := range heads {
		for j := i + 1; j < min(len(heads), 4); j++ {
			n.blocks = append(n.blocks, h.word("pair", heads[i]+" "+heads[j]))
		}
	}
	slices.Sort(n.grams)
	n.grams = slices.Compact(n.grams)
	n.blocks = append(n.blocks, n.whole)
	slices.Sort(n.blocks)
	n.blocks = slices.Compact(n.blocks)
	return n
}

// alike returns how alike two names are: Dice's coefficient of their pairs of
// letters, 0 to 1, and 1 only if their words are the same.
func (n *Name) alike(o *Name) float64 {
	if n.whole == o.whole {
		return 1
	}
	both, i, j := 0, 0, 0
	for i < len(n.grams) && j < len(o.grams) {
		switch {
		case n.grams[i] == o.grams[j]:
			both++
			i++
			j++
		case n.grams[i] < o.grams[j]:
			i++
		default:
			j++
		}
	}
	if both == 0 {
		return 0
	}
	return min(float64(2*both)/float64(len(n.grams)+len(o.grams)), 0.99)
}
