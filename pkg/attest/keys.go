package attest

import (
	"crypto/ed25519"
	"sync"

	"github.com/oasisprotocol/curve25519-voi/curve"
)

// Keys remembers the points of public keys, which an Opener would else work out for
// each signature. It is bounded; where there are more keys than it holds, any of them
// makes room, so that the rest goes on to be found. The zero value holds nothing. It
// may be used by many goroutines.
type Keys struct {
	Most int // keys that it holds at most; about 250 bytes each

	mu    sync.RWMutex
	known map[[ed25519.PublicKeySize]byte]*curve.EdwardsPoint
}

// pointOf returns the point of a key with its sign turned, nil if no signature is valid
// under it: it is no point, is not encoded as points are, or is of small order.
func pointOf(pub ed25519.PublicKey) *curve.EdwardsPoint {
	p := &curve.EdwardsPoint{}
	if !decompress(p, pub) || p.IsSmallOrder() {
		return nil
	}
	return p.Neg(p)
}

// find returns what pointOf returned for a key, nil if it is not remembered.
func (k *Keys) find(pub ed25519.PublicKey) *curve.EdwardsPoint {
	if k == nil {
		return nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.known[[ed25519.PublicKeySize]byte(pub)]
}

// keep remembers the point of a key under which a signature was good.
func (k *Keys) keep(pub ed25519.PublicKey, point *curve.EdwardsPoint) {
	if k == nil || k.Most <= 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = map[[ed25519.PublicKeySize]byte]*curve.EdwardsPoint{}
	}
	if len(k.known) >= k.Most {
		for any := range k.known { // maps begin at a random place
			delete(k.known, any)
			break
		}
	}
	k.known[[ed25519.PublicKeySize]byte(pub)] = point
}
