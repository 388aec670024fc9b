package handover_test

import (
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/flopwatch/flopwatch/agent/internal/handover"
	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

func leases(t *testing.T, signer ed25519.PrivateKey, forHost string, issued int64, lines string) []byte {
	t.Helper()
	body, err := wire.EncodeLeases(wire.Leases{Host: forHost, IssuedNS: issued, Lines: []byte(lines)})
	must(t, err)
	return attest.Seal(signer, attest.DomainLeases, body)
}

// A shipper can hold leases back. It can not forge them, give those of another
// host, or bring old ones back, not even across a restart.
func TestLeases(t *testing.T) {
	dir := t.TempDir()
	path, kept := filepath.Join(dir, "shipped"), filepath.Join(dir, "kept")
	open := func() *handover.Leases {
		return handover.NewLeases(host, path, kept, collector.Public().(ed25519.PublicKey))
	}
	l := open()
	poll := func(want string, refused bool) {
		t.Helper()
		lines, fresh, err := l.Poll()
		if string(lines) != want || fresh != (want != "") || errors.Is(err, handover.ErrRefused) != refused {
			t.Errorf("%q %v %v, want %q, refused %v", lines, fresh, err, want, refused)
		}
	}
	poll("", false)
	must(t, handover.Write(path, leases(t, collector, host, 10, "a")))
	poll("a", false)
	poll("", false)
	other := attest.HostID(key(9).Public().(ed25519.PublicKey))
	body, err := wire.EncodeReceipt(wire.Receipt{Host: host, Epoch: 1, Seq: 1})
	must(t, err)
	for _, bad := range [][]byte{
		leases(t, key(3), host, 20, "forged"), leases(t, collector, other, 20, "other host"), leases(t, collector, host, 9, "older"),
		attest.Seal(collector, attest.DomainReceipt, body), []byte("x"), make([]byte, 2<<20),
	} {
		must(t, handover.Write(path, bad))
		poll("", true)
		poll("", false) // told once
	}
	must(t, os.Remove(path))
	must(t, os.Symlink("/etc/hostname", path))
	poll("", true)
	must(t, os.Remove(path))
	poll("", false)

	l = open() // a restart goes on with what was kept
	must(t, handover.Write(path, leases(t, collector, host, 9, "older")))
	poll("a", false)
	poll("", true)
	must(t, handover.Write(path, leases(t, collector, host, 11, "b")))
	poll("b", false)
}
