package monitor

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// figures reads the source once for each scrape.
type figures struct {
	o Options

	build, batches, quarantined, watermark, revision *prometheus.Desc
	hosts, findings, cases, clocks, disk, failed     *prometheus.Desc
}

func newFigures(o Options) *figures {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("flopwatch_collector_"+name, help, labels, nil)
	}
	return &figures{
		o:           o,
		build:       desc("build_info", "1, with the version of the program.", "version"),
		batches:     desc("batches_total", "Signed batches of windows that were counted."),
		quarantined: desc("quarantined_batches_total", "Messages that were kept aside because they could not be believed."),
		watermark:   desc("watermark_timestamp_seconds", "End of the newest window in the ledger, Unix time."),
		revision:    desc("ledger_revision", "Grows with every commit of the ledger."),
		hosts:       desc("hosts", "Hosts that ever reported, by version of their agent and whether they reported in the last five minutes.", "agent_version", "reporting"),
		findings:    desc("findings", "Findings that were made, by severity.", "severity"),
		cases:       desc("cases", "Cases by state.", "state"),
		clocks:      desc("clocks", "Legal clocks of cases by state.", "state"),
		disk:        desc("disk_free_bytes", "Bytes that are free where the collector keeps its data."),
		failed:      desc("scrape_failed", "1 while the figure of this name could not be read; it is then missing, not zero.", "figure"),
	}
}

// Describe implements prometheus.Collector.
func (f *figures) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{f.build, f.batches, f.quarantined, f.watermark, f.revision, f.hosts, f.findings, f.cases, f.clocks, f.disk, f.failed} {
		out <- d
	}
}

// reportingWithin is how recent the newest window of a host that reports is.
const reportingWithin = 5 * time.Minute

// Collect implements prometheus.Collector. A figure that cannot be read is left
// out, and scrape_failed says so.
func (f *figures) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	read := func(name string, err error) bool {
		bad := 0.0
		if err != nil {
			bad = 1
		}
		gauge(f.failed, bad, name)
		return err == nil
	}
	gauge(f.build, 1, f.o.Version)
	if s, err := f.o.Source.Status(ctx); read("status", err) {
		out <- prometheus.MustNewConstMetric(f.batches, prometheus.CounterValue, float64(s.Batches))
		out <- prometheus.MustNewConstMetric(f.quarantined, prometheus.CounterValue, float64(s.Quarantined))
		gauge(f.revision, float64(s.Revision))
		if s.Watermark > 0 {
			gauge(f.watermark, float64(s.Watermark)/1e9)
		}
	}
	if hosts, err := f.o.Source.Hosts(ctx); read("hosts", err) {
		type group struct{ version, reporting string }
		counts := map[group]int{}
		since := f.o.Now().Add(-reportingWithin).UnixNano()
		for _, h := range hosts {
			g := group{h.AgentVersion, "no"}
			if h.LastNS >= since {
				g.reporting = "yes"
			}
			counts[g]++
		}
		for g, n := range counts {
			gauge(f.hosts, float64(n), g.version, g.reporting)
		}
	}
	if counts, err := f.o.Source.FindingCounts(ctx); read("findings", err) {
		for severity, n := range counts {
			gauge(f.findings, float64(n), severity)
		}
	}
	if cases, err := f.o.Source.Cases(ctx); read("cases", err) {
		states, clocks := map[string]int{}, map[string]int{"overdue": 0, "running": 0}
		for _, c := range cases {
			states[c.State]++
			for _, clock := range c.Clocks {
				clocks[clock.State]++
			}
		}
		for state, n := range states {
			gauge(f.cases, float64(n), state)
		}
		for state, n := range clocks {
			gauge(f.clocks, float64(n), state)
		}
	}
	if free, err := f.o.DiskFree(); read("disk", err) {
		gauge(f.disk, float64(free))
	}
}
