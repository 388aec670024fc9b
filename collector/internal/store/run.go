package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/lab"
	"github.com/flopwatch/flopwatch/collector/internal/training"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// runRow is a row of run. It can be compared.
type runRow struct {
	id, label, joinedBy string
	hosts, devices      int
	accelerators        string
	startNS, endNS      int64
	verdict             string // JSON of classify.Verdict
	recent              string // what it did on each of the last days, see dayText
	places              string // sample of its hosts, see placeText
	image               string // that most of its hosts run
	trainingPercent     int64  // see trainingPercent
	sums                sums
}

// runColumns are the columns of a runRow, in the order of its targets; the
// tenant is not among them.
const runColumns = "id, label, joined_by, hosts, devices, accelerators, start_ns, end_ns, verdict, recent, places, image, training_percent, " + sumColumns

func (r *runRow) targets() []any {
	return append([]any{&r.id, &r.label, &r.joinedBy, &r.hosts, &r.devices, &r.accelerators, &r.startNS, &r.endNS, &r.verdict, &r.recent, &r.places, &r.image, &r.trainingPercent}, r.sums.targets()...)
}

func (r *runRow) values() []any {
	return append([]any{r.id, r.label, r.joinedBy, r.hosts, r.devices, r.accelerators, r.startNS, r.endNS, r.verdict, r.recent, r.places, r.image, r.trainingPercent}, r.sums.values()...)
}

// total is what the runs of a tenant or customer add up to.
type total struct {
	endNS int64
	sums  sums
}

func (t *total) add(o total) {
	t.endNS = max(t.endNS, o.endNS)
	t.sums.add(o.sums)
}

// tenantRuns is what the segments of one tenant say.
type tenantRuns struct {
	tenant measure.TenantID
	runs   []runRow
	total  total
	days   map[string][]lab.Day // by run, in order

	before, parts map[training.PartKey]partRow // as stored, and as derived
	joins         []joinRow
	changes       []training.Change

	stretches map[string][]training.Stretch // by run, what it is made of
}

// judgement is by what runs are joined and judged.
type judgement struct {
	weights *training.Weights
	card    *classify.Scorecard
}

// readRuns joins the workloads of a tenant into runs, from its segments and from
// what people said of joins.
func readRuns(ctx context.Context, q querier, tenant measure.TenantID, watermark int64, by judgement) (tenantRuns, error) {
	weights := by.weights
	out := tenantRuns{tenant: tenant, days: map[string][]lab.Day{}, stretches: map[string][]training.Stretch{}}
	members, err := readMembers(ctx, q, tenant, weights)
	if err != nil {
		return out, fmt.Errorf("read workloads of tenant %s: %w", tenant, err)
	}
	known, before, err := knowledge(ctx, q, tenant, watermark)
	if err != nil {
		return out, err
	}
	known.Weights = weights
	weighed := fmt.Sprintf("%s %d %x", weights.ID, weights.Version, weights.Digest[:8])
	out.before, out.parts = before, map[training.PartKey]partRow{}
	if err := readSigns(ctx, q, members); err != nil {
		return out, fmt.Errorf("read signs of tenant %s: %w", tenant, err)
	}
	if err := readBehaviour(ctx, q, tenant, members); err != nil {
		return out, fmt.Errorf("read behaviour of tenant %s: %w", tenant, err)
	}
	stretches := make([]training.Stretch, len(members))
	for i := range members {
		stretches[i] = members[i].Stretch
		stretches[i].Devices = len(members[i].devices)
		stretches[i].Rhythm = members[i].beat()
	}
	days, err := readDays(ctx, q, tenant, watermark, members)
	if err != nil {
		return out, fmt.Errorf("read days of tenant %s: %w", tenant, err)
	}
	runs := training.Runs(tenant, stretches, known)
	out.changes = training.Changes(known.Runs, runs)
	for i := range runs {
		run := &runs[i]
		for _, p := range run.Parts {
			out.parts[p.Key] = partRow{run.ID, p.StartNS}
		}
		joins, err := joinRows(run, weighed)
		if err != nil {
			return out, err
		}
		out.joins = append(out.joins, joins...)
		r := runRow{id: run.ID, label: run.Label, joinedBy: run.JoinedBy, startNS: members[run.Members[0]].StartNS}
		curve := dayTable{}
		hosts, accelerators, devices := map[string]bool{}, map[string]bool{}, map[string]bool{}
		places, did, recent := map[int64]bool{}, behaviour{}, daily{}
		images := map[string]int{}
		for _, i := range run.Members {
			m := &members[i]
			out.stretches[run.ID] = append(out.stretches[run.ID], m.Stretch)
			r.startNS, r.endNS = min(r.startNS, m.StartNS), max(r.endNS, m.EndNS)
			r.sums.add(m.sums)
			places[m.hostNo] = true
			if m.Image != "" {
				images[m.Image]++
			}
			did.add(&m.behaviour)
			recent.add(days[i])
			curve.add(m.days)
			hosts[m.Host], accelerators[m.Accelerator] = true, true
			for device := range m.devices {
				devices[device] = true
			}
		}
		r.hosts, r.devices, r.accelerators = len(hosts), len(devices), joinSet(accelerators)
		r.image = mostOf(images)
		r.recent, r.places = recent.text(watermark), placeText(places)
		if err := r.judge(&did, by.card); err != nil {
			return out, fmt.Errorf("run %s: %w", r.id, err)
		}
		out.runs = append(out.runs, r)
		out.days[r.id] = curve.list(r.devices)
		out.total.add(total{r.endNS, r.sums})
	}
	return out, nil
}

// writeRuns brings the stored runs of the tenants to what was read, and reports
// whether a row changed.
func writeRuns(ctx context.Context, tx *sql.Tx, all []tenantRuns, now time.Time) (bool, error) {
	w := &runWriter{ctx: ctx, tx: tx, now: now}
	for i := range all {
		if err := w.tenant(&all[i]); err != nil {
			return false, fmt.Errorf("write runs of tenant %s: %w", all[i].tenant, err)
		}
	}
	return w.changed, nil
}

type runWriter struct {
	ctx     context.Context
	tx      *sql.Tx
	now     time.Time
	changed bool
}

func (w *runWriter) exec(query string, args ...any) error {
	w.changed = true
	_, err := w.tx.ExecContext(w.ctx, query, args...)
	return err
}

func (w *runWriter) tenant(t *tenantRuns) error {
	stored := map[string]runRow{}
	err := each(w.ctx, w.tx, func(rows *sql.Rows) error {
		var r runRow
		err := rows.Scan(r.targets()...)
		stored[r.id] = r
		return err
	}, "SELECT "+runColumns+" FROM run WHERE tenant = ?", string(t.tenant))
	if err != nil {
		return err
	}
	if err := errors.Join(w.history(t, stored), w.parts(t), w.joins(t), w.days(t)); err != nil {
		return err
	}
	for _, r := range t.runs {
		old, known := stored[r.id]
		delete(stored, r.id)
		if known && old == r {
			continue
		}
		values := append(r.values(), string(t.tenant))
		err := w.exec(putRun, values...)
		if err != nil {
			return err
		}
	}
	// What is left was joined differently before.
	for id := range stored {
		if err := w.exec("DELETE FROM run WHERE id = ?", id); err != nil {
			return err
		}
	}
	return nil
}

// readTotal returns what the stored runs of a tenant add up to.
func readTotal(ctx context.Context, q querier, tenant measure.TenantID) (total, error) {
	var t total
	err := each(ctx, q, func(rows *sql.Rows) error {
		var r total
		err := rows.Scan(append([]any{&r.endNS}, r.sums.targets()...)...)
		t.add(r)
		return err
	}, "SELECT end_ns, "+sumColumns+" FROM run WHERE tenant = ?", string(tenant))
	return t, err
}

// mostOf returns the word that is there most often, of equals the first; "" of none.
func mostOf(words map[string]int) string {
	best := ""
	for word, n := range words {
		if best == "" || n > words[best] || n == words[best] && word < best {
			best = word
		}
	}
	return best
}

func joinSet(set map[string]bool) string {
	var list []string
	for word := range set {
		list = append(list, word)
	}
	slices.Sort(list)
	return strings.Join(list, ",")
}
