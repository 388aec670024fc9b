package attest

import (
	"crypto/ed25519"

	"github.com/oasisprotocol/curve25519-voi/curve"
	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// valid says when a signature verifies, wherever flopwatch looks at an envelope: by
// the equation of RFC 8032 (section 5.1.7) that has the cofactor in it, with canonical
// encodings, and by no key of small order, under which anybody could sign. That
// equation holds for many signatures together exactly where it holds for each of them
// alone, which is not so of the one of crypto/ed25519: two programs could disagree on
// a signature that its signer made for that. What crypto/ed25519 accepts of a key that
// was made as keys are made is accepted here; what is accepted besides takes the
// private key to make.
var valid = &voi.Options{Verify: &voi.VerifyOptions{AllowSmallOrderR: true}}

func verify(pub ed25519.PublicKey, message, signature []byte) bool {
	return voi.VerifyWithOptions(voi.PublicKey(pub), message, signature, valid)
}

// fewest is how many envelopes are worth verifying together.
const fewest = 4

// Opened is what an Opener says of one envelope: what Open would.
type Opened struct {
	Key  ed25519.PublicKey
	Body []byte
	Err  error
}

// Opener opens many envelopes in less time than Open one by one: their signatures are
// verified in one equation with random weights, and one by one only where that does
// not hold. The zero value is ready. It belongs to one goroutine.
type Opener struct {
	Keys *Keys // shared with other openers; nil remembers nothing

	equation equation
	opened   []Opened
	which    []int                 // of opened are in the equation
	fresh    []*curve.EdwardsPoint // of each of those, nil where Keys had it
}

// Open opens each of the envelopes. What it returns is valid until the next call, and
// shares the memory of the envelopes.
func (o *Opener) Open(domain string, envelopes [][]byte) []Opened {
	o.opened, o.which, o.fresh = o.opened[:0], o.which[:0], o.fresh[:0]
	if len(envelopes) < fewest {
		for _, envelope := range envelopes {
			key, body, err := Open(domain, envelope)
			o.opened = append(o.opened, Opened{key, body, err})
		}
		return o.opened
	}
	o.equation.reset()
	for i, envelope := range envelopes {
		pub, signature, body, err := split(envelope)
		o.opened = append(o.opened, Opened{pub, body, err})
		if err != nil {
			continue
		}
		known, fresh := o.Keys.find(pub), (*curve.EdwardsPoint)(nil)
		if known == nil {
			fresh = pointOf(pub)
			known = fresh
		}
		var message [messageSize]byte
		if known == nil || !o.equation.add(pub, known, appendSigned(message[:0], domain, pub, body), signature) {
			o.alone(i, domain, signature)
			continue
		}
		o.which, o.fresh = append(o.which, i), append(o.fresh, fresh)
	}
	together := len(o.which) > 0 && o.equation.holds()
	for k, i := range o.which {
		if !together {
			o.alone(i, domain, signatureOf(envelopes[i]))
		}
		if o.opened[i].Err == nil && o.fresh[k] != nil {
			o.Keys.keep(o.opened[i].Key, o.fresh[k])
		}
	}
	clear(o.fresh)
	return o.opened
}

// alone verifies a signature by itself.
func (o *Opener) alone(i int, domain string, signature []byte) {
	var message [messageSize]byte
	if it := &o.opened[i]; !verify(it.Key, appendSigned(message[:0], domain, it.Key, it.Body), signature) {
		*it = Opened{Err: ErrSignature}
	}
}
