package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/draft"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// IdentityNow says that customers are as they are known when the history is read.
const IdentityNow = "as known now"

// HistoryOptions choose a history.
type HistoryOptions struct {
	Days int // the last so many days of UTC, all if 0
	// Weights joins the runs anew, Scorecard judges them anew; nil takes what is in
	// force. With neither, runs are taken as they are.
	Weights   *training.Weights
	Scorecard *classify.Scorecard
	// Packs are those that the history is for: what their conditions ask for is read.
	Packs    []*policy.Pack
	Progress func(done, of int) // tenants
}

// History returns what every customer did, from one committed state. Tenants that
// nobody claims are customers of whom nothing is known.
func (s *Store) History(ctx context.Context, o HistoryOptions) (h *lab.History, err error) {
	err = NewReader(s, "", false).view(ctx, "history", func(tx *sql.Tx) error {
		if h, err = s.readHistory(ctx, tx, o); err != nil {
			return err
		}
		return s.historySets(ctx, tx, h)
	})
	return h, err
}

func (s *Store) readHistory(ctx context.Context, tx *sql.Tx, o HistoryOptions) (*lab.History, error) {
	watermark, err := meta(ctx, tx, "watermark_ns")
	if err != nil {
		return nil, err
	}
	known, err := customers(ctx, tx)
	if err != nil {
		return nil, err
	}
	money, err := revenues(ctx, tx)
	if err != nil {
		return nil, err
	}
	tenants, err := everyTenant(ctx, tx)
	if err != nil {
		return nil, err
	}
	facts, err := s.headquarters(ctx, tx)
	if err != nil {
		return nil, err
	}
	beside, err := readAside(ctx, tx, o.Packs)
	if err != nil {
		return nil, err
	}
	var anew *judgement
	if o.Weights != nil || o.Scorecard != nil {
		all, err := policies(ctx, tx)
		if err != nil {
			return nil, err
		}
		e, err := enforce(nil, all, s.opts.Now())
		if err != nil {
			return nil, err
		}
		anew = &judgement{cmp.Or(o.Weights, e.weights), cmp.Or(o.Scorecard, e.card)}
	}
	owner := holders(known)
	h := &lab.History{Watermark: watermark, Identity: IdentityNow}
	byID := map[string]*lab.Customer{}
	first := math.MaxInt
	for i, tenant := range tenants {
		if o.Progress != nil && i%100 == 0 {
			o.Progress(i, len(tenants))
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		id := "tenant:" + string(tenant)
		c, claimed := owner[tenant]
		if claimed {
			id = c.ID
		}
		runs, err := historyRuns(ctx, tx, tenant, watermark, anew, func(r *runRow) policy.Facts { return beside.ofRun(tenant, r, facts[id]) })
		if err != nil {
			return nil, err
		}
		x := byID[id]
		if x == nil {
			status := c.Status
			if !claimed || status == "" {
				status = party.Undetermined
			}
			x = &lab.Customer{ID: id, Status: status, Country: c.Country, FirstUse: math.MaxInt, Verified: status != party.Undetermined, Revenue: money[id], Facts: facts[id]}
			byID[id] = x
		}
		for _, r := range runs {
			if len(r.Days) > 0 {
				first, x.FirstUse = min(first, r.Days[0].Day), min(x.FirstUse, r.Days[0].Day)
			}
		}
		x.Runs = append(x.Runs, runs...)
	}
	last := dayOf(watermark)
	if o.Days > 0 {
		first = max(first, last-o.Days+1)
	}
	first = min(first, last)
	h.FirstDay, h.Days = time.Unix(int64(first)*86400, 0).UTC().Format(time.DateOnly), last-first+1
	for _, c := range byID {
		if c.FirstUse == math.MaxInt {
			c.FirstUse = lab.NeverUsed
		} else {
			c.FirstUse -= first
		}
		slices.SortFunc(c.Runs, func(a, b lab.Run) int { return cmp.Compare(a.ID, b.ID) })
		for i := range c.Runs {
			for j := range c.Runs[i].Days {
				c.Runs[i].Days[j].Day -= first
			}
		}
		h.Customers = append(h.Customers, *c)
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var m lab.Made
		err := rows.Scan(&m.Pack, &m.Subject, &m.Rule, &m.Level)
		h.Made = append(h.Made, m)
		return err
	}, "SELECT pack, subject, rule, level FROM finding WHERE pack_digest <> x'' ORDER BY pack, subject, rule, level")
	if err != nil {
		return nil, fmt.Errorf("read findings: %w", err)
	}
	slices.SortFunc(h.Customers, func(a, b lab.Customer) int { return strings.Compare(a.ID, b.ID) })
	return h, nil
}

// historySets adds the customers that are taken together.
func (s *Store) historySets(ctx context.Context, tx *sql.Tx, h *lab.History) error {
	known, err := customers(ctx, tx)
	if err != nil {
		return err
	}
	together, err := s.together(ctx, tx, known)
	if err != nil {
		return err
	}
	at := map[string]int{}
	for i := range h.Customers {
		at[h.Customers[i].ID] = i
	}
	seen := map[string]bool{}
	for _, sets := range together {
		for _, set := range sets {
			if seen[set.ID] {
				continue
			}
			seen[set.ID] = true
			x := lab.Set{ID: set.ID, Aggregate: aggregates[set.Level], Status: worstStatus(known, set.Customers)}
			for _, id := range set.Customers {
				if i, ok := at[id]; ok {
					x.Customers = append(x.Customers, i)
				}
			}
			slices.Sort(x.Customers)
			h.Sets = append(h.Sets, x)
		}
	}
	slices.SortFunc(h.Sets, func(a, b lab.Set) int { return strings.Compare(a.ID, b.ID) })
	return nil
}

// historyRuns returns the runs of a tenant with their days and facts: as they are
// stored, or joined and judged anew.
func historyRuns(ctx context.Context, tx *sql.Tx, tenant measure.TenantID, watermark int64, anew *judgement, facts func(*runRow) policy.Facts) ([]lab.Run, error) {
	var out []lab.Run
	if anew != nil {
		t, err := readRuns(ctx, tx, tenant, watermark, *anew)
		if err != nil {
			return nil, err
		}
		for i := range t.runs {
			r := &t.runs[i]
			out = append(out, lab.Run{ID: r.id, Days: t.days[r.id], EndNS: r.endNS, Facts: facts(r)})
		}
		return out, nil
	}
	days, err := readRunDays(ctx, tx, tenant)
	if err != nil {
		return nil, err
	}
	err = each(ctx, tx, func(rows *sql.Rows) error {
		var r runRow
		err := rows.Scan(&r.id, &r.startNS, &r.endNS, &r.hosts, &r.devices, &r.trainingPercent, &r.sums.attributed.seconds, &r.sums.attributed.nanos, &r.sums.unobserved.seconds, &r.sums.unobserved.nanos, &r.sums.ceiling)
		out = append(out, lab.Run{ID: r.id, EndNS: r.endNS, Days: days[r.id], Facts: facts(&r)})
		return err
	}, "SELECT id, start_ns, end_ns, hosts, devices, training_percent, attributed_s, attributed_ns, unobserved_s, unobserved_ns, ceiling FROM run WHERE tenant = ?", string(tenant))
	if err != nil {
		return nil, fmt.Errorf("read runs of tenant %s: %w", tenant, err)
	}
	return out, nil
}

// WeightsInForce returns the joining weights that are in force.
func (s *Store) WeightsInForce(ctx context.Context, now time.Time) (*training.Weights, error) {
	return weightsInForce(ctx, s.read, now)
}

func weightsInForce(ctx context.Context, q querier, now time.Time) (*training.Weights, error) {
	all, err := policies(ctx, q)
	if err != nil {
		return nil, err
	}
	e, err := enforce(nil, all, now)
	if err != nil {
		return nil, err
	}
	return e.weights, nil
}

// ScorecardInForce returns the scorecard of classification that is in force.
func (s *Store) ScorecardInForce(ctx context.Context, now time.Time) (*classify.Scorecard, error) {
	all, err := policies(ctx, s.read)
	if err != nil {
		return nil, err
	}
	e, err := enforce(nil, all, now)
	if err != nil {
		return nil, err
	}
	return e.card, nil
}

// PackInForce is a pack that decides, and the policy that put it in force, "" from
// installation.
type PackInForce struct {
	Text   string // "" of what is in force from installation
	ID     string
	Policy string
}

// PacksInForce returns what approved policies put in force.
func (s *Store) PacksInForce(ctx context.Context, now time.Time) ([]PackInForce, error) {
	all, err := s.Policies(ctx)
	if err != nil {
		return nil, err
	}
	var out []PackInForce
	for _, p := range draft.Current(all, draft.Pack, now) {
		out = append(out, PackInForce{Text: p.Text, ID: p.Name, Policy: p.ID})
	}
	return out, nil
}
