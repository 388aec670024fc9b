package recording

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// Directions of traffic, as seen from the host.
const (
	Sent     = "sent"
	Received = "received"
)

// Flow is traffic of one cgroup up to an instant, since the one before.
type Flow struct {
	TimeNS    int64
	Cgroup    string
	Direction string // Sent or Received
	Bytes     int64
	Peer      netip.Addr // invalid for the sum over all peers
}

// networkColumns are the columns of network.csv, of which the first four must be
// there.
var networkColumns = []string{"time_ns", "cgroup", "direction", "bytes", "peer"}

func (r *Recording) network(data []byte) error {
	if data == nil {
		return nil
	}
	return walk("network.csv", data, networkColumns, networkColumns[:4], func(w *rows) {
		f := Flow{TimeNS: w.integer("time_ns"), Cgroup: w.cell("cgroup"), Direction: w.cell("direction"), Bytes: w.integer("bytes")}
		if !slices.Contains([]string{Sent, Received}, f.Direction) {
			w.fault("direction", fmt.Errorf("%q: must be %s or %s", f.Direction, Sent, Received))
		}
		if f.Bytes > 1<<53 {
			w.fault("bytes", errors.New("more than any host can send"))
		}
		if text := w.cell("peer"); text != "" {
			peer, err := netip.ParseAddr(text)
			if err != nil || peer.Zone() != "" || peer.Is4In6() || peer.IsUnspecified() || peer.IsMulticast() {
				w.fault("peer", fmt.Errorf("%q: must be the address of one host", text))
			}
			f.Peer = peer
		}
		r.Network = append(r.Network, f)
	})
}

// Flow writes traffic.
func (w *Writer) Flow(f Flow) error {
	peer := ""
	if f.Peer.IsValid() {
		peer = f.Peer.String()
	}
	return w.network.write([]string{strconv.FormatInt(f.TimeNS, 10), f.Cgroup, f.Direction, strconv.FormatInt(f.Bytes, 10), peer})
}
