package wire

import (
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"
)

// TenancyBucket is the key-value bucket of tenancy leases, which the collector fills
// and hosts hear of.
const TenancyBucket = "tenancy"

// MaxLeases bounds the lines of one host's leases, in bytes.
const MaxLeases = 768 << 10

// LeasesSubject returns the subject on which a host hears its leases: a key of the
// bucket.
func LeasesSubject(host string) string { return "$KV." + TenancyBucket + "." + host + ".leases" }

// Leases are all tenancy leases that the collector gives a host. They take the
// place of those that were issued before.
type Leases struct {
	Host     string
	IssuedNS int64  // grows with each issue, Unix nanoseconds
	Lines    []byte // NDJSON as a lease file has it
}

// EncodeLeases returns the bytes of a host's leases.
func EncodeLeases(l Leases) ([]byte, error) {
	if len(l.Lines) > MaxLeases {
		return nil, fmt.Errorf("encode leases: %d bytes, at most %d", len(l.Lines), MaxLeases)
	}
	out, err := proto.Marshal(&LeasesMessage{Host: l.Host, IssuedNs: l.IssuedNS, Lines: l.Lines})
	if err != nil {
		return nil, fmt.Errorf("encode leases: %w", err)
	}
	return out, nil
}

// DecodeLeases reads the bytes of a host's leases. What the lines say is not looked
// at here.
func DecodeLeases(body []byte) (Leases, error) {
	var m LeasesMessage
	if err := proto.Unmarshal(body, &m); err != nil {
		return Leases{}, invalid("leases are not protobuf")
	}
	if !validHost(m.Host) || m.IssuedNs <= 0 || m.IssuedNs == math.MaxInt64 || len(m.Lines) > MaxLeases {
		return Leases{}, invalid("leases")
	}
	return Leases{Host: m.Host, IssuedNS: m.IssuedNs, Lines: m.Lines}, nil
}
