package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/ledger"
	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/rhythm"
)

// behaviour is what shows what devices did, and not only that they were held.
type behaviour struct {
	rhythm rhythm.Rhythm
	tensor compute.Operations // on floating tensor pipes
	piped  compute.Operations // by methods that read pipes
	ranks  int                // of the largest communicator

	pauseNS int64 // when the newest pause of power began, 0 if there was none
}

func (b *behaviour) add(o *behaviour) {
	b.rhythm = b.rhythm.Merge(o.rhythm)
	b.tensor, b.piped = b.tensor.Add(o.tensor), b.piped.Add(o.piped)
	b.ranks, b.pauseNS = max(b.ranks, o.ranks), max(b.pauseNS, o.pauseNS)
}

// memberKey tells members of a tenant apart, but for pieces between pauses.
type memberKey struct {
	hostNo, workloadNo int64
	accelerator        string
}

// membersOf returns the members by key, each in order of time.
func membersOf(members []member) map[memberKey][]int {
	of := map[memberKey][]int{}
	for i := range members {
		m := &members[i]
		key := memberKey{m.hostNo, m.workloadNo, m.Accelerator}
		of[key] = append(of[key], i)
	}
	for _, list := range of {
		slices.SortFunc(list, func(i, j int) int { return cmp.Compare(members[i].StartNS, members[j].StartNS) })
	}
	return of
}

// memberAt returns the member of the list in which an instant lies.
func memberAt(members []member, list []int, ns int64) (int, bool) {
	n, found := slices.BinarySearchFunc(list, ns, func(i int, ns int64) int { return cmp.Compare(members[i].StartNS, ns) })
	if !found {
		n--
	}
	if n < 0 {
		return 0, false
	}
	return list[n], true
}

// readBehaviour fills in how the members behaved. What corrections cut is left
// out: how power moved is not known of a piece.
func readBehaviour(ctx context.Context, q querier, tenant measure.TenantID, members []member) error {
	of := membersOf(members)
	return each(ctx, q, func(rows *sql.Rows) error {
		var key memberKey
		var startNS, endNS, tensor, piped int64
		var encoded []byte
		if err := rows.Scan(&key.hostNo, &key.workloadNo, &key.accelerator, &startNS, &endNS, &encoded, &tensor, &piped); err != nil {
			return err
		}
		i, ok := memberAt(members, of[key], startNS)
		if !ok {
			return nil
		}
		b := behaviour{tensor: compute.Operations(tensor), piped: compute.Operations(piped)}
		if len(encoded) > 0 {
			var err error
			if b.rhythm, err = rhythm.Decode(encoded); err != nil {
				return err
			}
			if b.rhythm.Since > 0 {
				b.pauseNS = endNS - int64(b.rhythm.Since)*int64(ledger.BeatWindow)
			}
		}
		members[i].behaviour.add(&b)
		return nil
	}, `SELECT d.host, s.workload, d.sku, s.start_ns, s.end_ns, s.rhythm, CASE WHEN m.name IN ('cycles', 'gpm') THEN s.ops_float ELSE 0 END, CASE WHEN m.name IN ('cycles', 'gpm') THEN s.ops_best ELSE 0 END
		FROM segment s JOIN device d ON d.no = s.device JOIN method m ON m.no = s.method
		WHERE s.tenant = (SELECT no FROM tenant WHERE id = ?) AND s.state = 1 AND s.id NOT IN (SELECT segment FROM piece) AND (s.rhythm <> x'' OR m.name IN ('cycles', 'gpm'))`, string(tenant))
}

// A rhythm is a beat only where its pauses come like a clock: of one that is less
// regular the mean interval says nothing to the half percent that beats are told
// apart by.
const (
	beatRegularity = 0.98
	beatIntervals  = 10
)

// beat returns the rhythm of the member's pauses, if they come like a clock. Its
// phase is the beginning of the last pause, where one series was read.
func (m *member) beat() training.Rhythm {
	regularity, windows, ok := m.behaviour.rhythm.Regularity()
	if !ok || regularity < beatRegularity || m.behaviour.rhythm.Intervals < beatIntervals || m.behaviour.pauseNS == 0 {
		return training.Rhythm{}
	}
	return training.Rhythm{PeriodNS: int64(windows * float64(ledger.BeatWindow)), PhaseNS: m.behaviour.pauseNS}
}

// observation is what the classifier is shown of a run.
func observation(r *runRow, b *behaviour) classify.Observation {
	o := classify.Observation{Rhythm: b.rhythm, Window: ledger.BeatWindow, Hosts: r.hosts, Devices: r.devices, Duration: time.Duration(r.endNS - r.startNS),
		Empirical: r.sums.empirical.High > 0, TensorShare: -1, Utilization: utilization(&r.sums), Ranks: b.ranks}
	if b.piped > 0 {
		o.TensorShare = min(1, b.tensor.Float()/b.piped.Float())
	}
	return o
}

// utilization is measured operations over peak × time, -1 where nothing was measured.
func utilization(s *sums) float64 {
	if s.empirical.High == 0 || s.ceiling == 0 {
		return -1
	}
	return s.empirical.Best.Float() / s.ceiling.Float()
}

// judge says what a run does, as it is stored.
func (r *runRow) judge(b *behaviour, card *classify.Scorecard) error {
	v := card.Judge(observation(r, b))
	text, err := json.Marshal(&v)
	if err != nil {
		return fmt.Errorf("keep verdict: %w", err)
	}
	r.verdict, r.trainingPercent = string(text), trainingPercent(&v)
	return nil
}

// verdictOf reads a stored verdict; of a run that was not judged yet it cannot be
// told what it does.
func verdictOf(text string) (classify.Verdict, error) {
	v := classify.Verdict{Class: classify.CannotTell, Reason: "not judged yet"}
	if text == "" {
		return v, nil
	}
	v.Reason = ""
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return v, fmt.Errorf("read verdict: %w", err)
	}
	return v, nil
}
