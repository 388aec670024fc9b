package store

import "github.com/flopwatch/flopwatch/pkg/ledger"

// byRhythm tells segments without a rhythm from those that have one. Without one the
// column stays empty as it is, and SQLite's driver takes all figures in one call.
func byRhythm(segments []ledger.Segment) (without, with []int) {
	for i := range segments {
		if segments[i].Rhythm == "" {
			without = append(without, i)
		} else {
			with = append(with, i)
		}
	}
	return without, with
}

// opened writes segments that are new.
func (w *writer) opened(segments []ledger.Segment) error {
	values := func(row []any, s *ledger.Segment) []any {
		var claim any
		if s.Key.Claim.State != 0 {
			claim = w.words.tenants[s.Key.Claim.Tenant]
		}
		return append(row, s.ID, s.DeviceNo, int64(s.Key.State), w.words.workloads[s.Key.Workload], w.words.tenants[s.Key.Tenant], w.words.methods[s.Key.Method],
			s.StartNS, s.EndNS, s.DurationNS, int64(s.Operations.Low), int64(s.Operations.Best), int64(s.Operations.High), int64(s.Ceiling), s.EnergyMJ, int64(s.FloatTensor),
			int64(s.Key.Claim.State), claim)
	}
	without, with := byRhythm(segments)
	err := w.each(`INSERT INTO segment (id, device, state, workload, tenant, method, start_ns, end_ns, duration_ns, ops_low, ops_best, ops_high,
		ceiling, energy_mj, ops_float, claim_state, claim) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, "segment", len(without), func(i int, row []any) []any {
		return values(row, &segments[without[i]])
	})
	if err != nil {
		return err
	}
	return w.each(`INSERT INTO segment (id, device, state, workload, tenant, method, start_ns, end_ns, duration_ns, ops_low, ops_best, ops_high,
			ceiling, energy_mj, ops_float, claim_state, claim, rhythm) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, "segment", len(with), func(i int, row []any) []any {
		s := &segments[with[i]]
		return append(values(row, s), []byte(s.Rhythm))
	})
}

// extended writes the figures of segments that grew. A rhythm that began stays.
func (w *writer) extended(segments []ledger.Segment) error {
	figures := func(row []any, s *ledger.Segment) []any {
		return append(row, s.EndNS, s.DurationNS, int64(s.Operations.Low), int64(s.Operations.Best), int64(s.Operations.High), int64(s.Ceiling), s.EnergyMJ, int64(s.FloatTensor))
	}
	without, with := byRhythm(segments)
	err := w.each(`UPDATE segment SET end_ns = ?, duration_ns = ?, ops_low = ?, ops_best = ?, ops_high = ?, ceiling = ?, energy_mj = ?, ops_float = ? WHERE id = ? AND start_ns = ?`,
		"segment", len(without), func(i int, row []any) []any {
			s := &segments[without[i]]
			return append(figures(row, s), s.ID, s.StartNS)
		})
	if err != nil {
		return err
	}
	return w.each(`UPDATE segment SET end_ns = ?, duration_ns = ?, ops_low = ?, ops_best = ?, ops_high = ?, ceiling = ?, energy_mj = ?, ops_float = ?, rhythm = ? WHERE id = ? AND start_ns = ?`,
		"segment", len(with), func(i int, row []any) []any {
			s := &segments[with[i]]
			return append(figures(row, s), []byte(s.Rhythm), s.ID, s.StartNS)
		})
}
