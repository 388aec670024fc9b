// Package settings is how the agents of a fleet work: how often they sample, how
// long a window is, how large a batch, whether set-ups of NCCL communicators are
// seen, and the band of estimates. It is pure.
//
// A text has a version and layers; the more special layer wins. The collector
// resolves it for each host and signs the result for that host alone.
package settings

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/pkg/config"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Values are the settings of one host. Durations are in milliseconds.
type Values struct {
	PeriodMS int64 `json:"period_ms"` // between samples
	WindowMS int64 `json:"window_ms"`
	BatchMS  int64 `json:"batch_ms"`
	NCCL     bool  `json:"nccl"` // see set-ups of communicators, where the host has a key for it
	// Shares of the peak that a device that is busy may do, for the method activity.
	BandLow  int `json:"band_low_permille"`
	BandBest int `json:"band_best_permille"`
	BandHigh int `json:"band_high_permille"`
}

// Default is how agents work that nobody told anything.
var Default = Values{PeriodMS: 1_000, WindowMS: 10_000, BatchMS: 10_000, BandLow: measure.DefaultBand.Low, BandBest: measure.DefaultBand.Best, BandHigh: measure.DefaultBand.High}

// Limits of values.
const (
	minPeriod, maxPeriod = 100 * time.Millisecond, time.Minute
	maxWindow            = 10 * time.Minute
	maxBatch             = time.Hour
)

// Validate checks that an agent can work so.
func (v Values) Validate() error {
	period, window, batch := ms(v.PeriodMS), ms(v.WindowMS), ms(v.BatchMS)
	switch {
	case period < minPeriod || period > maxPeriod:
		return fmt.Errorf("sample_period: must be from %s to %s", minPeriod, maxPeriod)
	case window < period || window > maxWindow:
		return fmt.Errorf("window: must be no shorter than the sample period (%s) and at most %s", period, maxWindow)
	case batch < window || batch > maxBatch:
		return fmt.Errorf("batch: must be no shorter than the window (%s) and at most %s", window, maxBatch)
	case v.BandLow < 0 || v.BandHigh > 1000 || v.BandLow > v.BandBest || v.BandBest > v.BandHigh:
		return errors.New("band: must rise from 0 to 1000 permille")
	}
	return nil
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// Fleet is a text.
type Fleet struct {
	Version int     `yaml:"version"`
	Title   string  `yaml:"title"`
	Groups  []Group `yaml:"groups"`
	Layers  []Layer `yaml:"layers"`
	Rollout Rollout `yaml:"rollout"`

	Digest [32]byte `yaml:"-"` // SHA-256 of the file: its identity
}

// Group is hosts that layers can select by one name.
type Group struct {
	Name  string   `yaml:"name"`
	Hosts []string `yaml:"hosts"` // ids or names, as patterns: * is any text, ? any character
}

// maxGroups and maxMembers bound what resolving one host costs.
const maxGroups, maxMembers = 200, 20_000

// holds reports whether a host is in the group.
func (g *Group) holds(h Host) bool {
	return slices.ContainsFunc(g.Hosts, func(pattern string) bool {
		byID, _ := path.Match(pattern, h.ID)
		byName, _ := path.Match(pattern, h.Name)
		return byID || byName
	})
}

// checkGroups checks the groups, and that layers name none that there is not.
func (f *Fleet) checkGroups(fault func(key, rule string)) {
	known := map[string]bool{"": true}
	members := 0
	for i, g := range f.Groups {
		key := fmt.Sprintf("groups[%d]", i)
		if g.Name == "" || known[g.Name] {
			fault(key+".name", "must be there, and once")
		}
		known[g.Name] = true
		if len(g.Hosts) == 0 {
			fault(key+".hosts", "must name a host")
		}
		for _, pattern := range g.Hosts {
			if _, err := path.Match(pattern, ""); err != nil || pattern == "" || len(pattern) > 256 {
				fault(key+".hosts", fmt.Sprintf("%.60q is no pattern of a host", pattern))
			}
		}
		members += len(g.Hosts)
	}
	if len(f.Groups) > maxGroups || members > maxMembers {
		fault("groups", fmt.Sprintf("must be at most %d with %d patterns", maxGroups, maxMembers))
	}
	for i := range f.Layers {
		if !known[f.Layers[i].Group] {
			fault(fmt.Sprintf("layers[%d].group", i), "is not among the groups")
		}
	}
}

// Layer sets values for some hosts. What it leaves out stays as the layers before
// it have it. Empty selectors select every host.
type Layer struct {
	Site        string   `yaml:"site"`
	Accelerator string   `yaml:"accelerator"`
	Group       string   `yaml:"group"` // of groups
	Hosts       []string `yaml:"hosts"` // ids or names

	SamplePeriod config.Duration `yaml:"sample_period"`
	Window       config.Duration `yaml:"window"`
	Batch        config.Duration `yaml:"batch"`
	NCCL         string          `yaml:"nccl"` // on or off
	Band         []int           `yaml:"band"` // low, best and high, permille
}

// Rollout says in which steps hosts get a new version, and what stops it.
type Rollout struct {
	Steps        []int           `yaml:"steps"`         // percent of the fleet, rising to 100; 1, 10 and 100 if empty
	Hold         config.Duration `yaml:"hold"`          // at each step; 10m if 0
	DropPermille int             `yaml:"drop_permille"` // of coverage that stops it; 20 if 0
}

// Host is what of a host layers can select.
type Host struct {
	ID, Name, Site string
	Accelerators   []string
}

// Read reads a text. Faults name file, line and key.
func Read(name string, data []byte) (*Fleet, error) {
	f := &Fleet{Digest: sha256.Sum256(data)}
	if err := config.Decode(name, data, f); err != nil {
		return nil, err
	}
	return f, nil
}

// Validate checks what the types do not.
func (f *Fleet) Validate() error {
	var faults []error
	fault := func(key, rule string) { faults = append(faults, fmt.Errorf("%s: %s", key, rule)) }
	if f.Version < 1 {
		fault("version", "must be 1 or more")
	}
	if f.Title == "" {
		fault("title", "is empty")
	}
	if len(f.Layers) == 0 || len(f.Layers) > 200 {
		fault("layers", "must be 1 to 200")
	}
	f.checkGroups(fault)
	for i, l := range f.Layers {
		key := fmt.Sprintf("layers[%d]", i)
		if l.NCCL != "" && l.NCCL != "on" && l.NCCL != "off" {
			fault(key+".nccl", "must be on or off")
		}
		if len(l.Band) != 0 && len(l.Band) != 3 {
			fault(key+".band", "must be low, best and high, in permille")
		} else if err := l.over(Default).Validate(); err != nil && len(f.Layers) == 1 {
			fault(key, err.Error())
		}
	}
	// What no host may get is refused whatever the fleet is: every order of layers
	// that apply is a way in which one can be hit.
	if err := f.worst(); err != nil {
		faults = append(faults, err)
	}
	steps := f.Rollout.Percents()
	for i, s := range steps {
		if s < 1 || s > 100 || i > 0 && s <= steps[i-1] || i == len(steps)-1 && s != 100 {
			fault("rollout.steps", "must rise to 100")
			break
		}
	}
	// Coverage is known by batches: a step that is shorter than some of them would
	// be judged by what has not come in.
	for i := range f.Layers {
		if batch := time.Duration(f.Layers[i].Batch); f.Rollout.HoldFor() < 10*batch {
			fault(fmt.Sprintf("layers[%d].batch", i), "must be at most a tenth of the hold of a step")
		}
	}
	if f.Rollout.Hold < 0 || f.Rollout.DropPermille < 0 || f.Rollout.DropPermille > 1000 {
		fault("rollout", "hold must not be negative, drop_permille from 0 to 1000")
	}
	return errors.Join(faults...)
}

// worst applies the layers in order to the default, each alone and all before it.
func (f *Fleet) worst() error {
	all := Default
	for i, l := range f.Layers {
		alone := l.over(Default)
		all = l.over(all)
		for _, v := range []Values{alone, all} {
			if err := v.Validate(); err != nil {
				return fmt.Errorf("layers[%d]: %w", i, err)
			}
		}
	}
	return nil
}

// over returns the values of a layer over others.
func (l *Layer) over(v Values) Values {
	if l.SamplePeriod != 0 {
		v.PeriodMS = time.Duration(l.SamplePeriod).Milliseconds()
	}
	if l.Window != 0 {
		v.WindowMS = time.Duration(l.Window).Milliseconds()
	}
	if l.Batch != 0 {
		v.BatchMS = time.Duration(l.Batch).Milliseconds()
	}
	if l.NCCL != "" {
		v.NCCL = l.NCCL == "on"
	}
	if len(l.Band) == 3 {
		v.BandLow, v.BandBest, v.BandHigh = l.Band[0], l.Band[1], l.Band[2]
	}
	return v
}

func (l *Layer) selects(h Host, in map[string]bool) bool {
	return (l.Site == "" || l.Site == h.Site) && (l.Group == "" || in[l.Group]) &&
		(l.Accelerator == "" || slices.Contains(h.Accelerators, l.Accelerator)) &&
		(len(l.Hosts) == 0 || slices.Contains(l.Hosts, h.ID) || slices.Contains(l.Hosts, h.Name))
}

// special orders layers: fleet, site, accelerator, group, single hosts.
func (l *Layer) special() int {
	n := 0
	for i, set := range []bool{l.Site != "", l.Accelerator != "", l.Group != "", len(l.Hosts) > 0} {
		if set {
			n |= 1 << i
		}
	}
	return n
}

// Of resolves the settings of a host. A combination of layers that no agent can
// work by leaves out the layer that makes it so.
func (f *Fleet) Of(h Host) Values {
	in := map[string]bool{}
	for i := range f.Groups {
		in[f.Groups[i].Name] = f.Groups[i].holds(h)
	}
	layers := make([]*Layer, 0, len(f.Layers))
	for i := range f.Layers {
		if f.Layers[i].selects(h, in) {
			layers = append(layers, &f.Layers[i])
		}
	}
	slices.SortStableFunc(layers, func(a, b *Layer) int { return a.special() - b.special() })
	v := Default
	for _, l := range layers {
		if next := l.over(v); next.Validate() == nil {
			v = next
		}
	}
	return v
}

// Percents are the steps of the roll-out.
func (r Rollout) Percents() []int {
	if len(r.Steps) == 0 {
		return []int{1, 10, 100}
	}
	return r.Steps
}

// HoldFor is how long each step is held.
func (r Rollout) HoldFor() time.Duration {
	if r.Hold == 0 {
		return 10 * time.Minute
	}
	return time.Duration(r.Hold)
}

// Drop is by how many permille coverage may fall.
func (r Rollout) Drop() int {
	if r.DropPermille == 0 {
		return 20
	}
	return r.DropPermille
}
