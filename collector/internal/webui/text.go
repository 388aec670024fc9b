package webui

import (
	"fmt"
	"html/template"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/classify"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/party/resolve"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

var functions = template.FuncMap{
	"ops": operations, "interval": interval, "iso": iso, "percent": percent, "span": span, "deviceHours": deviceHours,
	"count": count, "names": names, "methods": methods, "foreign": foreign, "severity": severity, "caseState": caseState, "clockState": clockState, "workState": workState, "isRun": isRun, "in": in,
	"plural": plural, "sentence": sentence, "bar": newBar, "ratio": ratio, "class": class, "state": state, "isCustomer": isCustomer, "width": width, "daysLeft": daysLeft, "milli": milli, "percentOf": percentOf, "level": level, "text": text, "day": day, "joinVerdict": joinVerdict, "gap": gap, "decimal": decimal, "outputs": func() []string { return []string{"html", "pdf", "xlsx", "csv", "json"} }, "has": slices.Contains[[]string], "shareOf": shareOf, "coverShape": func(i int) string { return "M0 0" + coverShapes[i] }, "zero": func(b compute.Bounds) bool { return b == compute.Bounds{} },
	"subject": subject, "basis": basis, "date": date, "hour": hour, "obligation": obligation, "ahead": ahead, "next": nextClock,
	"reached": reached, "words": words, "capital": capital, "running": running, "figures": figures, "column": column, "stamp": stamp,
}

// operations prints 3.79e25.
func operations(n compute.Operations) string {
	if n == 0 {
		return "0"
	}
	return strings.Replace(n.String(), "e+", "e", 1)
}

func interval(b compute.Bounds) string {
	return "[" + operations(b.Low) + ", " + operations(b.High) + "]"
}

// when prints a time for people; an unknown one is said to be unknown.
func when(ns int64) string {
	if ns == 0 {
		return "not yet"
	}
	return time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05 UTC")
}

func iso(ns int64) string { return time.Unix(0, ns).UTC().Format(time.RFC3339) }

// percent never rounds a share that is not whole up to 100 %.
func percent(share float64) string {
	text := strconv.FormatFloat(share*100, 'f', 1, 64)
	if text == "100.0" && share < 1 {
		return "> 99.9 %"
	}
	if text == "0.0" && share > 0 {
		return "< 0.1 %"
	}
	return strings.TrimSuffix(text, ".0") + " %"
}

// span prints a duration with its two largest units.
func span(t desk.DeviceTime) string {
	const minute, hour, day = 60_000, 3_600_000, 86_400_000
	switch {
	case t <= 0:
		return "0 s"
	case t < minute:
		return strconv.FormatFloat(float64(t)/1000, 'g', 3, 64) + " s"
	case t < hour:
		return fmt.Sprintf("%d min %d s", t/minute, t%minute/1000)
	case t < 2*day:
		return fmt.Sprintf("%d h %d min", t/hour, t%hour/minute)
	}
	return fmt.Sprintf("%d d %d h", t/day, t%day/hour)
}

func deviceHours(t desk.DeviceTime) string {
	h := t.Hours()
	if h > 0 && h < 100 {
		return strconv.FormatFloat(h, 'f', 2, 64)
	}
	return count(int64(h + 0.5))
}

// count groups the digits of an integer of any type by three: 12,296.
func count(n any) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0 && text[i-1] != '-'; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

func names(in []string) string {
	if len(in) == 0 {
		return "not known"
	}
	return strings.Join(in, ", ")
}

func methods(in []measure.MethodName) string {
	out := make([]string, len(in))
	for i, m := range in {
		out[i] = string(m)
	}
	return names(out)
}

// mark is a state by word, shape and class; colour is only extra.
type mark struct{ Word, Shape, Class string }

// foreign shows a foreign status. What is not known to be us is never shown as
// harmless.
func foreign(status string) mark {
	switch status {
	case "foreign":
		return mark{"foreign", "◆", "alert"}
	case "us":
		return mark{"US", "●", "calm"}
	case "", "undetermined":
		return mark{"undetermined", "◇", "warn"}
	}
	return mark{status, "◇", "warn"}
}

func severity(level string) mark {
	switch level {
	case "critical":
		return mark{"critical", "▲▲", "alert"}
	case "high":
		return mark{"high", "▲", "alert"}
	case "warning":
		return mark{"warning", "△", "warn"}
	case "info":
		return mark{"info", "○", "quiet"}
	}
	return mark{level, "△", "warn"}
}

func caseState(state string) mark {
	switch state {
	case "closed":
		return mark{"closed", "✓", "calm"}
	case "reportable":
		return mark{"reportable", "▲", "alert"}
	case "not reportable":
		return mark{"not reportable", "●", "calm"}
	case "decision proposed":
		return mark{"decision proposed", "◐", "warn"}
	}
	return mark{state, "○", "warn"}
}

// clockState shows how a clock stands. What is overdue is never shown as less.
func clockState(k desk.Clock) mark {
	switch k.State {
	case "overdue":
		return mark{fmt.Sprintf("overdue by %d %s", -k.DaysLeft, plural(-k.DaysLeft, "day")), "▲▲", "alert"}
	case "running":
		if k.DaysLeft <= 5 {
			return mark{fmt.Sprintf("%d %s left", k.DaysLeft, plural(k.DaysLeft, "day")), "▲", "alert"}
		}
		return mark{fmt.Sprintf("%d days left", k.DaysLeft), "△", "warn"}
	case "met late":
		return mark{"met late", "△", "warn"}
	case "met":
		return mark{"met", "✓", "calm"}
	}
	return mark{k.State, "○", "warn"}
}

func workState(w desk.FindingWork) mark {
	switch w.State {
	case "open":
		return mark{"open", "△", "warn"}
	case "attached":
		return mark{"in a case", "◐", "quiet"}
	}
	return mark{w.State, "○", "quiet"}
}

// reached says which level of a rule was reached: "warning 80" is a warning at 80 %.
func reached(level string) string {
	if share, ok := strings.CutPrefix(level, "warning "); ok {
		if _, err := strconv.Atoi(share); err == nil {
			return "warning at " + share + " %"
		}
	}
	return level
}

// words turns a name as files have it into words: adopts_ours.
func words(name any) string { return strings.ReplaceAll(fmt.Sprint(name), "_", " ") }

// capital begins with a capital letter, as the names of other figures do.
func capital(text string) string {
	if text == "" {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// running reports whether a clock is yet to be met.
func running(clocks []desk.Clock) bool {
	return slices.ContainsFunc(clocks, func(k desk.Clock) bool { return k.Met.IsZero() })
}

// figures reports whether a column of a report holds figures, which stand at the right.
func figures(column string) bool {
	return slices.Contains([]string{"Low", "Best", "High", "Threshold", "Customers", "Share"}, column) || strings.HasPrefix(column, "Operations")
}

// column is the name of a column, "" where the table has fewer.
func column(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return ""
}

// stamp prints who and when of an approval as other times are printed.
func stamp(text string) string {
	who, at, ok := strings.Cut(text, " ")
	when, err := time.Parse(time.RFC3339, at)
	if !ok || err != nil {
		return text
	}
	return who + ", " + when.UTC().Format("2006-01-02 15:04") + " UTC"
}

// subject names what a finding or case is about, of which tenants and hosts come with
// their kind before a colon.
func subject(name string) string {
	for _, kind := range []string{"tenant", "host", "device"} {
		if id, ok := strings.CutPrefix(name, kind+":"); ok && id != "" {
			return kind + " " + id
		}
	}
	return name
}

// obligation says what a timer of a reseller asks for.
func obligation(name string) string {
	switch name {
	case "end":
		return "end the relationship"
	case "copy":
		return "produce the copy of its programme"
	}
	return words(name)
}

// basis says from when the days of a clock are counted.
func basis(b string) string {
	switch b {
	case "earlier":
		return "the earlier of occurred and known"
	case "known":
		return "when it was known"
	case "given":
		return "the day given"
	}
	return b
}

// date is the day of an instant, in UTC.
func date(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02") }

// hour is the time of day of an instant, which is not torn from its zone.
func hour(ns int64) string { return time.Unix(0, ns).UTC().Format("15:04:05\u00a0UTC") }

// nextClock is the clock of the cases that ends first, of those that run; nil where none does.
func nextClock(cases []desk.Case) (next *desk.Clock) {
	for _, c := range cases {
		for i, k := range c.Clocks {
			if k.Met.IsZero() && k.Due != "" && (next == nil || k.Due < next.Due) {
				next = &c.Clocks[i]
			}
		}
	}
	return next
}

func isRun(subject string) bool { return strings.HasPrefix(subject, "run_") }

// in reports whether the page at path belongs under a navigation entry.
func in(here, entry string) bool {
	return here == entry || (entry != "/" && strings.HasPrefix(here, entry+"/"))
}

func ratio(n, threshold compute.Operations) float64 {
	if threshold <= 0 {
		return 0
	}
	return n.Float() / threshold.Float()
}

// bar is the geometry of a gauge in an SVG 200 units wide. The threshold stands
// at 160, so that a crossing shows as such.
type bar struct {
	Text            string // the two that follow, for who hears the picture
	Share, Interval string
	Fill, Low, High string
	LowX, Width     string
	Over            bool // best is at or above the threshold
	May             bool // only high is
}

const thresholdX, barWidth = 160.0, 198.0

func newBar(g gauge) bar {
	at := func(n compute.Operations) float64 { return min(ratio(n, g.Threshold)*thresholdX, barWidth) }
	num := func(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }
	f := g.Figure
	share := fmt.Sprintf("%s of %s", percent(ratio(f.Best, g.Threshold)), operations(g.Threshold))
	within := fmt.Sprintf("[%s, %s]", percent(ratio(f.Low, g.Threshold)), percent(ratio(f.High, g.Threshold)))
	return bar{
		Text: share + " " + within, Share: share, Interval: within,
		Fill: num(at(f.Best)), Low: num(at(f.Low)), High: num(at(f.High)),
		LowX: num(at(f.Low)), Width: num(max(at(f.High)-at(f.Low), 1)),
		Over: f.Best >= g.Threshold, May: f.Best < g.Threshold && f.High >= g.Threshold,
	}
}

// class shows what a run does. That it cannot be told is never shown as harmless.
func class(v classify.Verdict) mark {
	switch v.Class {
	case classify.Training:
		return mark{"training", "▲", "alert"}
	case classify.Inference:
		return mark{"inference", "●", "calm"}
	case classify.Other:
		return mark{"neither training nor inference", "●", "calm"}
	}
	return mark{string(classify.CannotTell), "◇", "warn"}
}

func joinVerdict(verdict string) mark {
	switch verdict {
	case "together":
		return mark{"confirmed", "✓", "calm"}
	case "apart":
		return mark{"undone", "✕", "warn"}
	}
	return mark{"by evidence", "○", "quiet"}
}

// gap prints the time from the end of one workload to the start of the next.
func gap(seconds float64) string {
	t := desk.DeviceTime(math.Abs(seconds) * 1000)
	if seconds < 0 {
		return "overlap of " + span(t)
	}
	return span(t)
}

// decimal prints operations that come as a decimal string; what is none is shown
// as it is.
func decimal(text string) string {
	n, err := compute.ParseOperations(text)
	if err != nil {
		return text
	}
	return operations(n)
}

// states are the words that need no attention and those that need it at once;
// what is in neither waits for somebody.
var (
	calmStates = []string{"enrolled", "verified", "in force", "automatic", "accepted", "met", "attested", "acknowledged", "approved", "scheduled"}
	badStates  = []string{"revoked", "failed", "expired", "restricted", "overdue", "rejected", "unverified"}
)

// state shows how something stands.
func state(word string) mark {
	switch {
	case word == "":
		return mark{"not known", "◇", "warn"}
	case slices.Contains(calmStates, word):
		return mark{word, "✓", "calm"}
	case slices.Contains(badStates, word):
		return mark{word, "▲", "alert"}
	}
	return mark{word, "△", "warn"}
}

// level says how accounts are taken together.
func level(l resolve.Level) string {
	switch l {
	case resolve.ByAccount:
		return "the account alone"
	case resolve.ByCustomer:
		return "all accounts of the customer"
	case resolve.ByIdentity:
		return "with the same legal person"
	case resolve.ByControl:
		return "with all under the same control"
	case resolve.ByMeans:
		return "with shared means, and what waits for a person"
	case resolve.ByReseller:
		return "all of the reseller"
	}
	return string(l)
}

// percentOf prints a share of a whole as an interval.
func percentOf(low, high float64) string {
	if low == high {
		return percent(low)
	}
	return percent(low) + " to " + percent(high)
}

// text is any word as a string.
func text(word any) string { return fmt.Sprint(word) }

// day prints the date of an instant.
func day(t time.Time) string {
	if t.IsZero() {
		return "not known"
	}
	return t.UTC().Format("2006-01-02")
}

func isCustomer(subject string) bool { return strings.HasPrefix(subject, "cus_") }

// width is a share in a bar of 200 units.
func width(share float64) string { return strconv.FormatFloat(min(max(share, 0), 1)*200, 'f', 1, 64) }

// daysLeft says how long is left, or how late it is.
func daysLeft(n int) string {
	if n < 0 {
		return fmt.Sprintf("%d %s late", -n, plural(-n, "day"))
	}
	return fmt.Sprintf("%d %s left", n, plural(n, "day"))
}

// shareOf is a part of a whole, 0 of none.
func shareOf(part, whole int) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(part) / float64(whole)
}
