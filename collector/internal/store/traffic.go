package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// maxTalks is how many peers of a workload on one host are kept, those heard of last.
const maxTalks = 64

// addressHolds is how long before and after a host said so an address is believed to
// be its own; agents say it each hour.
const addressHolds = int64(3 * time.Hour)

func (w *writer) addresses(all []ledger.HostAddress) error {
	return w.each(`INSERT INTO host_address (address, host, first_ns, last_ns) VALUES (?, ?, ?, ?)
		ON CONFLICT (address, host) DO UPDATE SET last_ns = max(host_address.last_ns, excluded.last_ns)`, "address", len(all), func(i int, row []any) []any {
		return append(row, all[i].Address.AsSlice(), all[i].HostNo, all[i].AtNS, all[i].AtNS)
	})
}

func (w *writer) traffic(all []ledger.HostTraffic) error {
	type place struct{ workload, host int64 }
	touched := map[place]bool{}
	for i := range all {
		if err := w.workload(all[i].Workload); err != nil {
			return err
		}
		touched[place{w.words.workloads[all[i].Workload], all[i].HostNo}] = true
	}
	// A sum that would pass the largest integer stays at it.
	err := w.each(fmt.Sprintf(`INSERT INTO traffic (workload, host, peer, first_ns, last_ns, sent, received) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (workload, host, peer) DO UPDATE SET first_ns = min(traffic.first_ns, excluded.first_ns), last_ns = max(traffic.last_ns, excluded.last_ns),
		sent = min(traffic.sent, %[1]d - excluded.sent) + excluded.sent, received = min(traffic.received, %[1]d - excluded.received) + excluded.received`, int64(math.MaxInt64)),
		"traffic", len(all), func(i int, row []any) []any {
			t := &all[i]
			return append(row, w.words.workloads[t.Workload], t.HostNo, t.Peer.AsSlice(), t.StartNS, t.EndNS, t.SentBytes, t.ReceivedBytes)
		})
	if err != nil {
		return err
	}
	for p := range touched {
		_, err := w.tx.ExecContext(w.ctx, `DELETE FROM traffic WHERE workload = ? AND host = ? AND peer <> x'00000000' AND peer NOT IN
			(SELECT peer FROM traffic WHERE workload = ? AND host = ? ORDER BY last_ns DESC, sent + received DESC, peer LIMIT ?)`, p.workload, p.host, p.workload, p.host, maxTalks)
		if err != nil {
			return fmt.Errorf("bound traffic: %w", err)
		}
	}
	return nil
}

// talk is what a workload on a host exchanged with another host.
type talk struct {
	training.Peer
	firstNS, lastNS int64
}

// talks are the talks by number of workload and host.
type talks map[[2]int64][]talk

// readTalks reads with which hosts the workloads of the members exchanged bytes. A
// peer counts as a host only if exactly one said that the address is its own at
// that time: what two hosts claim says nothing.
func readTalks(ctx context.Context, q querier, members []member) (talks, error) {
	out := talks{}
	some := false
	err := each(ctx, q, func(rows *sql.Rows) error { return rows.Scan(&some) }, "SELECT EXISTS (SELECT 1 FROM traffic)")
	if err != nil || !some {
		return out, err
	}
	done := map[int64]bool{}
	for i := range members {
		workload := members[i].workloadNo
		if done[workload] {
			continue
		}
		done[workload] = true
		type line struct {
			host  int64
			peer  string
			talk  talk
			hosts map[string]bool
		}
		var lines []line
		err := each(ctx, q, func(rows *sql.Rows) error {
			var l line
			var peer []byte
			var name string
			if err := rows.Scan(&l.host, &peer, &l.talk.firstNS, &l.talk.lastNS, &l.talk.SentBytes, &l.talk.ReceivedBytes, &name); err != nil {
				return err
			}
			l.peer = string(peer)
			if n := len(lines); n == 0 || lines[n-1].host != l.host || lines[n-1].peer != l.peer {
				l.hosts = map[string]bool{}
				lines = append(lines, l)
			}
			lines[len(lines)-1].hosts[name] = true
			return nil
		}, `SELECT t.host, t.peer, t.first_ns, t.last_ns, t.sent, t.received, h.id FROM traffic t
			JOIN host_address a ON a.address = t.peer AND a.first_ns - ?1 <= t.last_ns AND a.last_ns + ?1 >= t.first_ns
			JOIN host h ON h.no = a.host WHERE t.workload = ?2 ORDER BY t.host, t.peer`, addressHolds, workload)
		if err != nil {
			return nil, fmt.Errorf("read traffic: %w", err)
		}
		for _, l := range lines {
			if len(l.hosts) != 1 {
				continue
			}
			for name := range l.hosts {
				l.talk.Host = name
			}
			key := [2]int64{workload, l.host}
			out[key] = append(out[key], l.talk)
		}
	}
	return out, nil
}

// minTransfer is how many bytes a workload must have exchanged with the outside to
// be looked at: less than the weights of any model of consequence.
const minTransfer = 1 << 30

// transfers returns what workloads exchanged with peers outside of the fleet, by
// account: what came in as of when it was first seen, what went out as of when it
// was last.
func transfers(ctx context.Context, q querier) ([]evasion.Transfer, error) {
	var out []evasion.Transfer
	err := each(ctx, q, func(rows *sql.Rows) error {
		var tenant measure.TenantID
		var first, last, sent, received int64
		if err := rows.Scan(&tenant, &first, &last, &sent, &received); err != nil {
			return err
		}
		if sent >= minTransfer {
			out = append(out, evasion.Transfer{Tenant: tenant, AtNS: last, Bytes: sent, Out: true})
		}
		if received >= minTransfer {
			out = append(out, evasion.Transfer{Tenant: tenant, AtNS: first, Bytes: received})
		}
		return nil
	}, `SELECT n.id, min(x.first_ns), max(x.last_ns), sum(min(x.sent, ?1)), sum(min(x.received, ?1)) FROM
		(SELECT t.workload, t.first_ns, t.last_ns, t.sent, t.received,
			(SELECT s.tenant FROM device d JOIN segment s ON s.device = d.no AND s.end_ns >= t.first_ns WHERE d.host = t.host AND s.workload = t.workload AND s.start_ns <= t.last_ns LIMIT 1) AS tenant
			FROM traffic t WHERE t.peer = x'00000000') x
		JOIN tenant n ON n.no = x.tenant WHERE n.id <> '' GROUP BY n.id, x.workload ORDER BY n.id, x.workload`, int64(math.MaxInt64>>20))
	if err != nil {
		return nil, fmt.Errorf("read what went in and out: %w", err)
	}
	return out, nil
}

// peers returns the hosts that a member talked with in its time, most bytes first.
func (t talks) peers(m *member) []training.Peer {
	var out []training.Peer
	for _, p := range t[[2]int64{m.workloadNo, m.hostNo}] {
		if p.firstNS > m.EndNS || p.lastNS < m.StartNS {
			continue
		}
		if i := slices.IndexFunc(out, func(o training.Peer) bool { return o.Host == p.Host }); i >= 0 {
			out[i].SentBytes += p.SentBytes
			out[i].ReceivedBytes += p.ReceivedBytes
			continue
		}
		out = append(out, p.Peer)
	}
	slices.SortFunc(out, func(a, b training.Peer) int {
		return cmp.Or(cmp.Compare(b.SentBytes+b.ReceivedBytes, a.SentBytes+a.ReceivedBytes), cmp.Compare(a.Host, b.Host))
	})
	return out
}
