package apitypes

import (
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Settings is how the settings of the fleet's agents stand.
type Settings struct {
	Policy   string            `json:"policy,omitempty" doc:"That rolls out or did last; absent where agents run their default"`
	Version  int               `json:"version" doc:"0 for the default"`
	Before   int               `json:"before" doc:"Version of the hosts that do not have it yet"`
	Title    string            `json:"title,omitempty"`
	State    string            `json:"state,omitempty" doc:"rolling, done or stopped; absent where nothing was ever rolled out"`
	Percent  int               `json:"percent" doc:"Of the fleet that has or gets the version"`
	Steps    []int             `json:"steps" doc:"Percents of the fleet"`
	Since    time.Time         `json:"since,omitzero"`
	Reason   string            `json:"reason,omitempty" doc:"Why it was stopped"`
	Hosts    int               `json:"hosts"`
	Behind   int               `json:"behind" doc:"Hosts that do not report what they should run"`
	Reported []SettingsVersion `json:"reported" doc:"Hosts by the version that they report"`
}

// SettingsVersion is how many hosts report a version.
type SettingsVersion struct {
	Version int `json:"version"`
	Hosts   int `json:"hosts"`
}

// SettingsHost is one host: what it should run, and what it says it runs.
type SettingsHost struct {
	Host         string    `json:"host"`
	Name         string    `json:"name"`
	Site         string    `json:"site,omitempty"`
	Wants        int       `json:"wants"`
	Reports      int       `json:"reports"`
	Last         time.Time `json:"last,omitzero" doc:"End of its newest window"`
	SamplePeriod string    `json:"sample_period"`
	Window       string    `json:"window"`
	Batch        string    `json:"batch"`
	NCCL         bool      `json:"nccl"`
	Band         []int     `json:"band" doc:"Low, best and high of estimates, in permille of the peak"`
}

// FromSettings converts a view.
func FromSettings(v desk.Settings) Settings {
	out := Settings{Policy: v.Policy, Version: v.Version, Before: v.Before, Title: v.Title, State: v.State, Percent: v.Percent, Steps: append([]int{}, v.Steps...), Reason: v.Reason, Hosts: len(v.Hosts), Behind: v.Behind(),
		Reported: []SettingsVersion{}}
	if !v.Since.IsZero() {
		out.Since = v.Since.UTC()
	}
	for version, n := range v.ByVersion() {
		out.Reported = append(out.Reported, SettingsVersion{version, n})
	}
	slices.SortFunc(out.Reported, func(a, b SettingsVersion) int { return a.Version - b.Version })
	return out
}

// FromSettingsHost converts a view.
func FromSettingsHost(h desk.SettingsHost) SettingsHost {
	text := func(ms int64) string { return (time.Duration(ms) * time.Millisecond).String() }
	v := h.Values
	out := SettingsHost{Host: h.ID, Name: h.Name, Site: h.Site, Wants: h.Wants, Reports: h.Reports, SamplePeriod: text(v.PeriodMS), Window: text(v.WindowMS), Batch: text(v.BatchMS), NCCL: v.NCCL,
		Band: []int{v.BandLow, v.BandBest, v.BandHigh}}
	if h.LastNS != 0 {
		out.Last = Time(h.LastNS)
	}
	return out
}
