package attest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Many bodies may be signed together. Each then travels in an envelope of its own,
// which shows that it is one of them:
//
//	magic "FWT1" | public key (32) | signature (64) | index (4) | bodies (4) | path | body
//
// The bodies are the leaves of a Merkle tree as RFC 9162 (section 2.1) makes it, with
// SHA-256 and numbers big-endian; the path has the 32 bytes of each node beside the way
// from the leaf to the root, from below. The signature is Ed25519 over the domain,
// "/tree", a zero byte, the number of bodies and the SHA-256 of magic, key and root.

const (
	treeMagic    = "FWT1"
	treeOverhead = len(treeMagic) + ed25519.PublicKeySize + ed25519.SignatureSize + 8
	treeDomain   = "/tree"
)

// MaxTogether is how many bodies one signature is over at most.
const MaxTogether = 1 << 16

// SealTogether returns the envelopes of up to MaxTogether bodies, with one signature
// for all of them.
func SealTogether(key ed25519.PrivateKey, domain string, bodies [][]byte) [][]byte {
	if len(bodies) == 0 {
		return nil
	}
	if len(bodies) > MaxTogether {
		panic(fmt.Sprintf("attest: %d bodies under one signature, at most %d", len(bodies), MaxTogether))
	}
	levels := [][][sha256.Size]byte{make([][sha256.Size]byte, len(bodies))}
	size := 0
	var memory []byte
	for i, body := range bodies {
		levels[0][i], memory = leafHash(memory, body)
		size += len(body)
	}
	for below := levels[0]; len(below) > 1; below = levels[len(levels)-1] {
		level := make([][sha256.Size]byte, (len(below)+1)/2)
		for i := range level {
			if 2*i+1 < len(below) {
				level[i] = nodeHash(&below[2*i], &below[2*i+1])
			} else {
				level[i] = below[2*i]
			}
		}
		levels = append(levels, level)
	}
	pub := key.Public().(ed25519.PublicKey)
	signature := ed25519.Sign(key, appendRoot(nil, domain, pub, len(bodies), &levels[len(levels)-1][0]))
	memory = make([]byte, 0, size+len(bodies)*(treeOverhead+(len(levels)-1)*sha256.Size))
	envelopes := make([][]byte, len(bodies))
	for i, body := range bodies {
		start := len(memory)
		memory = append(memory, treeMagic...)
		memory = append(append(memory, pub...), signature...)
		memory = binary.BigEndian.AppendUint32(memory, uint32(i))
		memory = binary.BigEndian.AppendUint32(memory, uint32(len(bodies)))
		for n, level := range levels[:len(levels)-1] {
			if beside := i>>n ^ 1; beside < len(level) {
				memory = append(memory, level[beside][:]...)
			}
		}
		memory = append(memory, body...)
		envelopes[i] = memory[start:len(memory):len(memory)]
	}
	return envelopes
}

// OpenEither is Open, and takes envelopes of SealTogether too.
func OpenEither(domain string, envelope []byte) (pub ed25519.PublicKey, body []byte, err error) {
	if len(envelope) < len(treeMagic) || string(envelope[:len(treeMagic)]) != treeMagic {
		return Open(domain, envelope)
	}
	pub, signature, index, bodies, path, body, err := splitTree(envelope)
	if err != nil {
		return nil, nil, err
	}
	at, _ := leafHash(nil, body)
	for width := bodies; width > 1; index, width = index/2, (width+1)/2 {
		var beside [sha256.Size]byte
		switch {
		case index^1 >= width:
			continue // it is the last one and has none beside it
		case index&1 == 0:
			path = path[copy(beside[:], path):]
			at = nodeHash(&at, &beside)
		default:
			path = path[copy(beside[:], path):]
			at = nodeHash(&beside, &at)
		}
	}
	var message [messageSize]byte
	if !verify(pub, appendRoot(message[:0], domain, pub, bodies, &at), signature) {
		return nil, nil, ErrSignature
	}
	return pub, body, nil
}

// Unverified returns the body of an envelope of either form, whoever signed it. It is
// for who knows by another way.
func Unverified(envelope []byte) ([]byte, error) {
	if len(envelope) >= len(treeMagic) && string(envelope[:len(treeMagic)]) == treeMagic {
		_, _, _, _, _, body, err := splitTree(envelope)
		return body, err
	}
	_, _, body, err := split(envelope)
	return body, err
}

// splitTree cuts an envelope of SealTogether into its parts, which share its memory.
func splitTree(envelope []byte) (pub ed25519.PublicKey, signature []byte, index, bodies int, path, body []byte, err error) {
	if len(envelope) < treeOverhead || len(envelope) > MaxEnvelope {
		return nil, nil, 0, 0, nil, nil, fmt.Errorf("%w: %d bytes", ErrSize, len(envelope))
	}
	rest := envelope[len(treeMagic):]
	pub, rest = ed25519.PublicKey(rest[:ed25519.PublicKeySize]), rest[ed25519.PublicKeySize:]
	signature, rest = rest[:ed25519.SignatureSize], rest[ed25519.SignatureSize:]
	index, bodies = int(binary.BigEndian.Uint32(rest)), int(binary.BigEndian.Uint32(rest[4:]))
	rest = rest[8:]
	if bodies > MaxTogether || index >= bodies {
		return nil, nil, 0, 0, nil, nil, ErrFormat
	}
	length := pathLength(index, bodies) * sha256.Size
	if len(rest) < length {
		return nil, nil, 0, 0, nil, nil, fmt.Errorf("%w: %d bytes", ErrSize, len(envelope))
	}
	return pub, signature, index, bodies, rest[:length], rest[length:], nil
}

// pathLength is how many nodes are beside the way from a leaf to the root.
func pathLength(index, bodies int) int {
	n := 0
	for width := bodies; width > 1; index, width = index/2, (width+1)/2 {
		if index^1 < width {
			n++
		}
	}
	return n
}

// leafHash returns the hash of a leaf, and memory to use again.
func leafHash(memory, body []byte) ([sha256.Size]byte, []byte) {
	memory = append(append(memory[:0], 0), body...)
	return sha256.Sum256(memory), memory
}

func nodeHash(left, right *[sha256.Size]byte) [sha256.Size]byte {
	var both [1 + 2*sha256.Size]byte
	both[0] = 1
	copy(both[1:], left[:])
	copy(both[1+sha256.Size:], right[:])
	return sha256.Sum256(both[:])
}

// appendRoot appends what the signature of a tree is over.
func appendRoot(out []byte, domain string, pub []byte, bodies int, root *[sha256.Size]byte) []byte {
	h := sha256.New()
	h.Write([]byte(treeMagic))
	h.Write(pub)
	h.Write(root[:])
	out = append(append(out, domain...), treeDomain...)
	out = append(out, 0)
	out = binary.BigEndian.AppendUint32(out, uint32(bodies))
	return h.Sum(out)
}
