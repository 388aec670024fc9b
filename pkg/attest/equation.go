package attest

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha512"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

// equation is that of many signatures at once: with R, S and A of each, k the hash of
// R, A and the message, and a random z of 128 bits,
//
//	8 (sum(z S) B - sum(z R) - sum(z k A)) = 0
//
// It holds where each of the signatures is valid, and else with one chance in 2^128
// (Bernstein, Duif, Lange, Schwabe, Yang: High-speed high-security signatures, section
// 5). It is made of points that are kept for each key, which the verification of many
// signatures that curve25519-voi has takes in no form shorter than 2 KiB.
type equation struct {
	terms []term
	// Scalars and points of the sum: of B first, then two for each term.
	scalars []*scalar.Scalar
	points  []*curve.EdwardsPoint
	random  []byte
}

// term is what one signature adds.
type term struct {
	r      curve.EdwardsPoint
	minusA *curve.EdwardsPoint
	s, k   scalar.Scalar
	z, zk  scalar.Scalar
}

// weightSize is the length of a random weight in bytes.
const weightSize = 16

func (e *equation) reset() { e.terms = e.terms[:0] }

// add adds the signature of a message under a key, whose point is minusA with its sign
// turned. It adds nothing and says no where parts of the signature are not in the one
// encoding that they may have.
func (e *equation) add(pub ed25519.PublicKey, minusA *curve.EdwardsPoint, message, signature []byte) bool {
	if len(signature) != ed25519.SignatureSize || !scalar.ScMinimalVartime(signature[32:]) {
		return false
	}
	e.terms = append(e.terms, term{})
	t := &e.terms[len(e.terms)-1]
	if !decompress(&t.r, signature[:32]) || !t.set(pub, message, signature) {
		e.terms = e.terms[:len(e.terms)-1]
		return false
	}
	t.minusA = minusA
	return true
}

// set works out the scalars of the term.
func (t *term) set(pub ed25519.PublicKey, message, signature []byte) bool {
	var sum [sha512.Size]byte
	h := sha512.New()
	h.Write(signature[:32])
	h.Write(pub)
	h.Write(message)
	_, errK := t.k.SetBytesModOrderWide(h.Sum(sum[:0]))
	_, errS := t.s.SetBits(signature[32:])
	return errK == nil && errS == nil
}

// holds reports whether the signatures are valid, all of them.
func (e *equation) holds() bool {
	n := len(e.terms)
	if cap(e.random) < n*weightSize {
		e.random = make([]byte, n*weightSize)
	}
	random := e.random[:n*weightSize]
	if _, err := rand.Read(random); err != nil {
		return false
	}
	var ofB scalar.Scalar
	e.scalars, e.points = append(e.scalars[:0], &ofB), append(e.points[:0], curve.ED25519_BASEPOINT_POINT)
	for i := range e.terms {
		t := &e.terms[i]
		var wide [scalar.ScalarSize]byte
		copy(wide[:], random[i*weightSize:][:weightSize])
		if _, err := t.z.SetBits(wide[:]); err != nil {
			return false
		}
		var zs scalar.Scalar
		ofB.Add(&ofB, zs.Mul(&t.z, &t.s))
		t.zk.Neg(t.zk.Mul(&t.z, &t.k)) // the point has its sign turned
		e.scalars, e.points = append(e.scalars, &t.z, &t.zk), append(e.points, &t.r, t.minusA)
	}
	ofB.Neg(&ofB)
	var sum curve.EdwardsPoint
	holds := sum.MultiscalarMulVartime(e.scalars, e.points).IsSmallOrder()
	clear(e.points) // keys must not stay in memory for it
	return holds
}

// decompress reads a point, and says no where it is none or is not encoded as points
// are.
func decompress(p *curve.EdwardsPoint, encoded []byte) bool {
	var y curve.CompressedEdwardsY
	if _, err := y.SetBytes(encoded); err != nil || !y.IsCanonicalVartime() {
		return false
	}
	_, err := p.SetCompressedY(&y)
	return err == nil
}
