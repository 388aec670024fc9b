// Package wire holds the messages between agents and the collector.
//
// A batch is protobuf: a header that numbers and chains it, and a payload of
// tables and columns, which may be compressed. What a decoder accepts is bounded
// and checked to the last field, since the bytes come from outside; signatures
// are the business of package attest.
//
// Version history:
//
//	1: first version
//
// A collector reads its own version and the one before. Within a version fields may
// be added that a reader which does not know them may leave alone.
package wire

//go:generate ./generate.sh

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Version is the version of the batches that Encode writes.
const Version = 1

// Limits of what Decode accepts.
const (
	MaxPayload  = 8 << 20 // bytes after decompression
	MaxRatio    = 100     // of decompression
	MaxDevices  = 64      // of one host
	MaxWindows  = 20_000  // of one batch
	MaxEntries  = 60_000  // of one batch
	MaxWords    = 4_096   // workloads, tenants and methods of one batch, each
	MaxEvents   = 1_024   // of one batch
	MaxTraffic  = 1_024   // pairs of workload and peer in one batch
	MaxAddress  = 64      // addresses of one host
	MaxString   = 256     // bytes
	maxWindowNS = 48 * 3600 * 1_000_000_000
)

// ErrInvalid is wrapped by every error of Decode and DecodeReceipt.
var ErrInvalid = errors.New("invalid message")

// StreamName is the JetStream stream of batches.
const StreamName = "TELEMETRY"

// BatchSubject returns the subject on which a host publishes its batches.
func BatchSubject(host string) string { return "telemetry." + host + ".batch" }

// PartitionSubject matches the batches of the hosts of a partition in the stream,
// where the broker has put the partition's number behind their subject.
func PartitionSubject(no int) string { return fmt.Sprintf("telemetry.*.batch.%d", no) }

// PartitionMapping is the mapping by which it does so, for so many partitions: of
// the subject on which hosts publish, and to that in the stream.
func PartitionMapping(of int) (from, to string) {
	return BatchSubject("*"), fmt.Sprintf("telemetry.{{wildcard(1)}}.batch.{{partition(%d,1)}}", of)
}

// ReceiptSubject returns the subject on which a host hears of its receipts.
func ReceiptSubject(host string) string { return "receipt." + host }

// CounterSubject returns the subject on which a host is told the counter with
// which it connects next.
func CounterSubject(host string) string { return "counter." + host }

// Inbox returns all subjects that a host may hear: its receipts, the counter with
// which it connects next, and its keys in the buckets tenancy and settings.
func Inbox(host string) []string {
	return []string{ReceiptSubject(host), CounterSubject(host), "$KV.tenancy." + host + ".>", "$KV.settings." + host + ".>"}
}

// CollectorInbox is the prefix of the subjects on which a broker outside the
// collector answers it. Hosts have no right to anything under it.
const CollectorInbox = "_INBOX_collector"

// ProbeHost stands in place of a host in the subject with which a collector tries
// out its broker. It is no host's id.
const ProbeHost = "probe"

// InstanceMark stands in the name of an agent's connection before a word that is
// new with each start of the agent.
const InstanceMark = " instance "

// HostFacts is what a host says of itself. Names are for display only.
type HostFacts struct {
	Name, OS, Kernel, AgentVersion string
	// Attribution is how the host learns who holds its devices: "bpf", "connector"
	// or "proc", "" for a replay.
	Attribution string
	Settings    uint32 // version of the settings that it runs; 0 for the default
}

// DeviceRow describes a device of the host, with the catalogue row that its
// figures were computed with.
type DeviceRow struct {
	measure.Device
	SKU     string
	Grade   string
	Peak    compute.Rate
	Ceiling compute.Rate
}

// Header numbers a batch and chains it to the one before.
type Header struct {
	Version    uint32
	Host       string // as the collector knows the signing key; attest.HostID of it where nobody enrols
	Epoch, Seq uint64 // both from 1
	PrevHash   [32]byte
	BootID     string
	BoottimeNS int64 // time since boot when the batch was sealed
	WallNS     int64 // wall clock then, Unix
	FirstNS    int64 // start of the earliest window
	LastNS     int64 // end of the latest
	// ClockNS is what was added to the time since boot to give the times of windows,
	// events and traffic: the wall clock when the agent started. 0 says that they are
	// of the wall clock or of a trace.
	ClockNS int64 `json:",omitempty"`
	// A batch may stand for those from FirstSeq to Seq, for which the spool had no
	// room: with coarser windows, or, as a tombstone, with none. In the chain it then
	// has the hash of the last of them. FirstSeq 0 says that it stands for itself.
	FirstSeq  uint64   `json:",omitempty"`
	ChainHash [32]byte `json:",omitzero"`
	// Receipts is the newest form of receipts that who sealed the batch understands.
	Receipts uint32 `json:",omitempty"`
}

// Forms of receipts. A collector sends a host a form that its newest batch says is
// understood, and one signed alone on a batch that comes again.
const (
	ReceiptsAlone    = 0 // attest.Seal
	ReceiptsTogether = 1 // attest.SealTogether
)

// First returns the number of the first batch that a batch stands for.
func (h Header) First() uint64 {
	if h.FirstSeq == 0 {
		return h.Seq
	}
	return h.FirstSeq
}

// Chain returns the hash that a batch has in the chain, given that of its envelope.
func (h Header) Chain(envelope [32]byte) [32]byte {
	if h.FirstSeq == 0 {
		return envelope
	}
	return h.ChainHash
}

// Batch is one signed unit of windows of one host.
type Batch struct {
	Header
	Facts   HostFacts
	Devices []DeviceRow
	Windows []measure.Window // by start, then by the order of Devices
	Events  []measure.Event

	Addresses []netip.Addr      `json:",omitempty"` // at which other hosts know this one; none: as told before
	Traffic   []measure.Traffic `json:",omitempty"`
}

// Receipt says that all batches of a host up to (Epoch, Seq) are committed.
type Receipt struct {
	Host       string
	Epoch, Seq uint64
	Hash       [32]byte
	Collector  string
}
