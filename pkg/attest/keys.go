package attest

import (
	"crypto/ed25519"
	"sync"

	voi "github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// Keys remembers what an Opener works out of each public key, which is two fifths of
// the work on its signature. It is bounded; where there are more keys than it holds,
// any of them makes room, so that the rest goes on to be found. The zero value holds
// nothing. It may be used by many goroutines.
type Keys struct {
	Most int // keys that it holds at most; about 2 KiB each

	mu    sync.RWMutex
	known map[[ed25519.PublicKeySize]byte]*voi.ExpandedPublicKey
}

// find returns what is known of a key, nil if nothing is.
func (k *Keys) find(pub ed25519.PublicKey) *voi.ExpandedPublicKey {
	if k == nil {
		return nil
	}
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.known[[ed25519.PublicKeySize]byte(pub)]
}

// keep remembers a key under which a signature was good.
func (k *Keys) keep(pub ed25519.PublicKey, expanded *voi.ExpandedPublicKey) {
	if k == nil || k.Most <= 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil {
		k.known = map[[ed25519.PublicKeySize]byte]*voi.ExpandedPublicKey{}
	}
	if len(k.known) >= k.Most {
		for any := range k.known { // maps begin at a random place
			delete(k.known, any)
			break
		}
	}
	k.known[[ed25519.PublicKeySize]byte(pub)] = expanded
}
