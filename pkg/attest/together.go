package attest

import (
	"crypto/ed25519"

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

	all    *voi.BatchVerifier
	opened []Opened
	which  []int                    // of opened are in all
	fresh  []*voi.ExpandedPublicKey // of each of those, nil where Keys had it
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
	if o.all == nil {
		o.all = voi.NewBatchVerifier()
	}
	o.all.Reset()
	var message [messageSize]byte
	for i, envelope := range envelopes {
		pub, signature, body, err := split(envelope)
		o.opened = append(o.opened, Opened{pub, body, err})
		if err != nil {
			continue
		}
		key, fresh := o.Keys.find(pub), (*voi.ExpandedPublicKey)(nil)
		if key == nil {
			if key, err = voi.NewExpandedPublicKey(voi.PublicKey(pub)); err != nil {
				o.opened[i] = Opened{Err: ErrSignature} // it is no point of the curve
				continue
			}
			fresh = key
		}
		o.all.AddExpandedWithOptions(key, appendSigned(message[:0], domain, pub, body), signature, valid)
		o.which, o.fresh = append(o.which, i), append(o.fresh, fresh)
	}
	if len(o.which) == 0 {
		return o.opened
	}
	good, each := o.all.Verify(nil)
	for k, i := range o.which {
		if !good && !each[k] {
			o.opened[i] = Opened{Err: ErrSignature}
		} else if o.fresh[k] != nil {
			o.Keys.keep(o.opened[i].Key, o.fresh[k])
		}
	}
	clear(o.fresh)
	return o.opened
}
