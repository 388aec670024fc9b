package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/evasion"
	"github.com/flopwatch/flopwatch/collector/internal/forecast"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// daily is best of operations by day. Days end at the watermark, so that the last
// one is whole: day 0 is the 24 hours before it, day 1 those before.
type daily map[int]compute.Operations

func (d daily) add(o daily) {
	for day, n := range o {
		d[day] = d[day].Add(n)
	}
}

// text writes the days up to the watermark, the newest first, and the watermark
// in seconds: "1767225600:12,0,7".
func (d daily) text(watermark int64) string {
	last := -1
	for day := range d {
		last = max(last, day)
	}
	if last < 0 {
		return ""
	}
	words := make([]string, last+1)
	for day := range words {
		words[day] = strconv.FormatInt(int64(d[day]), 10)
	}
	return strconv.FormatInt(watermark/1e9, 10) + ":" + strings.Join(words, ",")
}

// daysOf reads what text wrote, moved on to a later watermark: oldest first, from
// the first day on which something was done.
func daysOf(text string, watermark int64) ([]compute.Operations, error) {
	if text == "" {
		return nil, nil
	}
	when, list, ok := strings.Cut(text, ":")
	seconds, err := strconv.ParseInt(when, 10, 64)
	if err != nil || !ok {
		return nil, fmt.Errorf("read days %.40q", text)
	}
	var out []compute.Operations
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read days %.40q: %w", text, err)
		}
		out = append(out, compute.Operations(n))
	}
	slices.Reverse(out)
	passed := int((watermark/1e9 - seconds) / int64(forecast.Day.Seconds()))
	return append(out, make([]compute.Operations, min(max(0, passed), forecast.MaxDays))...), nil
}

// readDays returns what each member did on the last days. A segment says how much
// was done in it and not when, so it is spread evenly.
func readDays(ctx context.Context, q querier, tenant measure.TenantID, watermark int64, members []member) (map[int]daily, error) {
	of, out := membersOf(members), map[int]daily{}
	source, err := segments(ctx, q)
	if err != nil {
		return nil, err
	}
	from := watermark - forecast.MaxDays*int64(forecast.Day)
	err = each(ctx, q, func(rows *sql.Rows) error {
		var key memberKey
		var start, end int64
		var best sum
		if err := rows.Scan(&key.hostNo, &key.workloadNo, &key.accelerator, &start, &end, &best.high, &best.low); err != nil {
			return err
		}
		i, ok := memberAt(members, of[key], start)
		if !ok {
			return nil
		}
		if out[i] == nil {
			out[i] = daily{}
		}
		out[i].spread(best.operations(), start, end, watermark)
		return nil
	}, `SELECT d.host, s.workload, d.sku, s.start_ns, s.end_ns, `+halves("s.ops_best")+`
		FROM `+source+` s JOIN device d ON d.no = s.device
		WHERE s.tenant = (SELECT no FROM tenant WHERE id = ?) AND s.state IN (1, 4) AND s.end_ns > ?
		GROUP BY d.host, s.workload, d.sku, s.start_ns, s.end_ns`, string(tenant), from)
	return out, err
}

// spread adds operations evenly over the time in which they were done.
func (d daily) spread(n compute.Operations, start, end, watermark int64) {
	day := int64(forecast.Day)
	for k := range forecast.MaxDays {
		to := watermark - int64(k)*day
		from := to - day
		if end <= from {
			continue
		}
		if start >= to {
			break
		}
		if part := min(end, to) - max(start, from); part > 0 {
			d[k] = d[k].Add(compute.Operations(proportion(int64(n), part, end-start)))
		}
	}
}

// placeText writes a sample of hosts.
func placeText(hosts map[int64]bool) string {
	list := make([]int64, 0, len(hosts))
	for no := range hosts {
		list = append(list, no)
	}
	var words []string
	for _, h := range evasion.Sketch(list) {
		words = append(words, strconv.FormatUint(h, 36))
	}
	return strings.Join(words, ",")
}

// placesOf reads what placeText wrote.
func placesOf(text string) ([]uint64, error) {
	var out []uint64
	for word := range strings.SplitSeq(text, ",") {
		if word == "" {
			continue
		}
		h, err := strconv.ParseUint(word, 36, 64)
		if err != nil {
			return nil, fmt.Errorf("read places: %w", err)
		}
		out = append(out, h)
	}
	return out, nil
}
