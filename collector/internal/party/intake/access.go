package intake

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/flopwatch/flopwatch/pkg/table"
)

// MaxAccesses bounds one batch of accesses.
const MaxAccesses = 100_000

// Access is one access to an account.
type Access struct {
	Line    int
	Account string
	At      time.Time
	IP      netip.Addr
	Action  string
}

type accessRow struct {
	Account string `json:"account"`
	Time    string `json:"time"`
	IP      string `json:"ip"`
	Action  string `json:"action"`
}

// ReadAccesses reads accesses, one JSON object a line: account, time (RFC 3339),
// ip and action, a word such as sign-in. Faults are told as ReadNDJSON tells them.
func ReadAccesses(name string, data []byte) ([]Access, error) {
	var out []Access
	_, err := read(name, data, func(r *reader, data []byte) {
		line := 0
		for text := range bytes.Lines(data) {
			line++
			if text = bytes.TrimSpace(text); len(text) == 0 || r.Full() {
				continue
			}
			if len(out) >= MaxAccesses {
				r.Add(line, "row", fmt.Sprintf("is one too many: at most %d", MaxAccesses))
				return
			}
			if a, ok := r.access(line, text); ok {
				out = append(out, a)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (r *reader) access(line int, text []byte) (a Access, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	var row accessRow
	if err := dec.Decode(&row); err != nil || dec.More() {
		r.Add(line, "row", "must be one JSON object with the texts account, time, ip and action")
		return a, false
	}
	at, errTime := time.Parse(time.RFC3339, row.Time)
	ip, errIP := netip.ParseAddr(row.IP)
	before := r.Count()
	if !table.Identifier(row.Account) {
		r.Add(line, "account", "must be 1 to 64 letters, digits, '.', '_', ':' or '-'")
	}
	if errTime != nil || at.Before(earliest) || !at.Before(latest) {
		r.Add(line, "time", "must be a time such as 2026-01-31T12:00:00Z")
	}
	if errIP != nil || ip.Zone() != "" {
		r.Add(line, "ip", "must be an address of IPv4 or IPv6")
	}
	if !table.Identifier(row.Action) {
		r.Add(line, "action", "must be a word of letters, digits, '.', '_', ':' or '-'")
	}
	return Access{Line: line, Account: row.Account, At: at.UTC(), IP: ip.Unmap(), Action: row.Action}, r.Count() == before
}
