package evasion

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/config"
)

//go:embed rules.yaml
var rulesFile []byte

// Rules say from when on a pattern is told. They are a versioned file.
type Rules struct {
	ID       string          `yaml:"id"`
	Version  int             `yaml:"version"`
	Title    string          `yaml:"title"`
	Citation string          `yaml:"citation"`
	Lines    []string        `yaml:"lines"`
	LookBack config.Duration `yaml:"look_back"`
	HubAbove int             `yaml:"hub_above"`

	Structuring struct {
		MinRuns        int `yaml:"min_runs"`
		ShapePercent   int `yaml:"shape_percent"`
		SizePercent    int `yaml:"size_percent"`
		MinPartPercent int `yaml:"min_part_percent"`
		MinDevices     int `yaml:"min_devices"`
	} `yaml:"structuring"`
	Near struct {
		MinRuns     int `yaml:"min_runs"`
		FromPercent int `yaml:"from_percent"`
	} `yaml:"near"`
	Relay struct {
		Gap          config.Duration `yaml:"gap"`
		MinDevices   int             `yaml:"min_devices"`
		MinBits      int             `yaml:"min_bits"`
		HostsPercent int             `yaml:"hosts_percent"`
		LinksFrom    int             `yaml:"links_from"`
	} `yaml:"relay"`
	Carried struct {
		Within        config.Duration `yaml:"within"`
		DifferPercent int             `yaml:"differ_percent"`
		MinGiB        int             `yaml:"min_gib"`
	} `yaml:"carried"`
	Interleaved struct {
		MinTimes int `yaml:"min_times"`
	} `yaml:"interleaved"`
	Masquerade struct {
		TrainingPercent         int             `yaml:"training_percent"`
		BelowUtilizationPercent int             `yaml:"below_utilization_percent"`
		MinDevices              int             `yaml:"min_devices"`
		MinDuration             config.Duration `yaml:"min_duration"`
	} `yaml:"masquerade"`
	UnderUse struct {
		BelowUtilizationPercent int             `yaml:"below_utilization_percent"`
		MinDevices              int             `yaml:"min_devices"`
		MinDuration             config.Duration `yaml:"min_duration"`
	} `yaml:"under_use"`
	Silenced struct {
		FromPercent          int `yaml:"from_percent"`
		MinUnobservedPercent int `yaml:"min_unobserved_percent"`
	} `yaml:"silenced"`
	Sudden struct {
		Within     config.Duration `yaml:"within"`
		MinDevices int             `yaml:"min_devices"`
	} `yaml:"sudden"`

	Digest [32]byte `yaml:"-"` // SHA-256 of the file: its identity

	lines []compute.Operations
}

// ReadRules reads rules. Faults name the file, line and key where they can.
func ReadRules(name string, data []byte) (*Rules, error) {
	r := &Rules{Digest: sha256.Sum256(data)}
	if err := config.Decode(name, data, r); err != nil {
		return nil, err
	}
	return r, nil
}

// Validate checks what the types do not, and settles the lines.
func (r *Rules) Validate() error {
	var faults []error
	for _, text := range r.Lines {
		line, err := compute.ParseOperations(text)
		if err != nil || line <= 0 {
			faults = append(faults, fmt.Errorf("lines: %.40q is no number above 0", text))
		}
		r.lines = append(r.lines, line)
	}
	if r.ID == "" || r.Version < 1 || r.Title == "" {
		faults = append(faults, errors.New("id, version, title: must be there"))
	}
	for key, n := range map[string]int{
		"hub_above": r.HubAbove, "structuring.min_runs": r.Structuring.MinRuns, "near.min_runs": r.Near.MinRuns, "relay.min_devices": r.Relay.MinDevices,
		"relay.min_bits": r.Relay.MinBits, "relay.links_from": r.Relay.LinksFrom, "interleaved.min_times": r.Interleaved.MinTimes,
		"masquerade.min_devices": r.Masquerade.MinDevices, "under_use.min_devices": r.UnderUse.MinDevices, "sudden.min_devices": r.Sudden.MinDevices,
	} {
		if n < 1 {
			faults = append(faults, fmt.Errorf("%s: must be 1 or more", key))
		}
	}
	for key, n := range map[string]int{
		"structuring.shape_percent": r.Structuring.ShapePercent, "structuring.size_percent": r.Structuring.SizePercent, "structuring.min_part_percent": r.Structuring.MinPartPercent,
		"near.from_percent": r.Near.FromPercent, "relay.hosts_percent": r.Relay.HostsPercent, "carried.differ_percent": r.Carried.DifferPercent,
		"masquerade.training_percent": r.Masquerade.TrainingPercent, "masquerade.below_utilization_percent": r.Masquerade.BelowUtilizationPercent,
		"under_use.below_utilization_percent": r.UnderUse.BelowUtilizationPercent, "silenced.from_percent": r.Silenced.FromPercent, "silenced.min_unobserved_percent": r.Silenced.MinUnobservedPercent,
	} {
		if n < 0 || n > 100 {
			faults = append(faults, fmt.Errorf("%s: must lie between 0 and 100", key))
		}
	}
	for key, d := range map[string]config.Duration{
		"look_back": r.LookBack, "relay.gap": r.Relay.Gap, "carried.within": r.Carried.Within, "sudden.within": r.Sudden.Within,
		"masquerade.min_duration": r.Masquerade.MinDuration, "under_use.min_duration": r.UnderUse.MinDuration,
	} {
		if time.Duration(d) <= 0 {
			faults = append(faults, fmt.Errorf("%s: must be longer than nothing", key))
		}
	}
	return errors.Join(faults...)
}

var shipped = sync.OnceValue(func() *Rules {
	r, err := ReadRules("rules.yaml", rulesFile)
	if err != nil {
		panic("the shipped rules are bad: " + err.Error()) // a test reads them
	}
	return r
})

// Default returns the rules that are shipped. They must not be changed.
func Default() *Rules { return shipped() }
