package evidence

import (
	"crypto/ed25519"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// Batch returns a decoded batch as the ledger counts it: that of the host that
// the key stands for, whose envelope has the hash. It shares the windows.
func Batch(host ledger.HostID, key ed25519.PublicKey, hash [32]byte, b *wire.Batch) *ledger.Batch {
	out := &ledger.Batch{}
	Fill(out, host, key, hash, b)
	return out
}

// Fill is Batch into memory that was used before.
func Fill(out *ledger.Batch, host ledger.HostID, key ed25519.PublicKey, hash [32]byte, b *wire.Batch) {
	*out = ledger.Batch{
		Host: host, PublicKey: key,
		Name: b.Facts.Name, OS: b.Facts.OS, Kernel: b.Facts.Kernel, AgentVersion: b.Facts.AgentVersion, Attribution: b.Facts.Attribution, Settings: int(b.Facts.Settings), BootID: b.BootID,
		Position: ledger.Position{Epoch: b.Epoch, Seq: b.Seq, Hash: hash},
		Devices:  out.Devices[:0],
		Windows:  b.Windows,
		Events:   b.Events, Addresses: b.Addresses, Traffic: b.Traffic,
	}
	for i := range b.Devices {
		out.Devices = append(out.Devices, ledger.Device(b.Devices[i]))
	}
}

// Clock returns what a decoded batch says of the clocks of its host.
func Clock(b *wire.Batch) ledger.Clock {
	return ledger.Clock{BootID: b.BootID, BoottimeNS: b.BoottimeNS, WallNS: b.WallNS, ClockNS: b.ClockNS, FirstNS: b.FirstNS}
}

// KeyOf returns the key that an envelope says it was signed with, without
// verifying anything; ok is false for what is no envelope.
func KeyOf(envelope []byte) (key ed25519.PublicKey, ok bool) {
	if len(envelope) < attest.Overhead {
		return nil, false
	}
	at := attest.Overhead - ed25519.SignatureSize - ed25519.PublicKeySize
	return ed25519.PublicKey(envelope[at : at+ed25519.PublicKeySize]), true
}
