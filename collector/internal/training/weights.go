package training

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"sync"

	"github.com/flopwatch/flopwatch/pkg/config"
)

//go:embed weights.yaml
var weightsFile []byte

// Weights are what evidence counts. They are a versioned file, because a run
// that was joined must be explained years later by what held then.
type Weights struct {
	ID        string          `yaml:"id"`
	Version   int             `yaml:"version"`
	Threshold int             `yaml:"threshold"` // bits from which parts are joined
	Space     SpaceWeights    `yaml:"space"`
	Time      TimeWeights     `yaml:"time"`
	Campaign  CampaignWeights `yaml:"campaign"`

	Digest [32]byte `yaml:"-"` // SHA-256 of the file: its identity
}

// SpaceWeights are for parts that ran at the same time. Figures without another
// unit are bits.
type SpaceWeights struct {
	Hint             int `yaml:"hint"`
	OtherHint        int `yaml:"other_hint"`
	Communicator     int `yaml:"communicator"`
	Traffic          int `yaml:"traffic"`
	TrafficOneSided  int `yaml:"traffic_one_sided"`
	OtherTraffic     int `yaml:"other_traffic"`
	Fabric           int `yaml:"fabric"`
	Start            int `yaml:"start"`
	StartNear        int `yaml:"start_near"`
	Stop             int `yaml:"stop"`
	OtherStop        int `yaml:"other_stop"`
	Rhythm           int `yaml:"rhythm"`
	OtherRhythm      int `yaml:"other_rhythm"`
	Activity         int `yaml:"activity"`
	OtherActivity    int `yaml:"other_activity"`
	Accelerator      int `yaml:"accelerator"`
	OtherAccelerator int `yaml:"other_accelerator"`
	OtherJob         int `yaml:"other_job"`

	StartWithin     config.Duration `yaml:"start_within"`
	StartNearWithin config.Duration `yaml:"start_near_within"`
	StopWithin      config.Duration `yaml:"stop_within"`
	Settled         config.Duration `yaml:"settled"`
	Silent          config.Duration `yaml:"silent"`
	PeriodPermille  int             `yaml:"period_permille"`
	PhasePercent    int             `yaml:"phase_percent"`
	AlikePercent    int             `yaml:"alike_percent"`
	UnlikePercent   int             `yaml:"unlike_percent"`
}

// TimeWeights are for attempts of which one followed the other. Figures without
// another unit are bits.
type TimeWeights struct {
	Hint             int `yaml:"hint"`
	OtherHint        int `yaml:"other_hint"`
	Checkpoint       int `yaml:"checkpoint"`
	SameWorkload     int `yaml:"same_workload"`
	Image            int `yaml:"image"`
	OtherImage       int `yaml:"other_image"`
	Hosts            int `yaml:"hosts"`
	Shape            int `yaml:"shape"`
	Resized          int `yaml:"resized"`
	OtherShape       int `yaml:"other_shape"`
	Soon             int `yaml:"soon"`
	NextDay          int `yaml:"next_day"`
	Later            int `yaml:"later"`
	Rhythm           int `yaml:"rhythm"`
	OtherRhythm      int `yaml:"other_rhythm"`
	Accelerator      int `yaml:"accelerator"`
	OtherAccelerator int `yaml:"other_accelerator"`
	SameLength       int `yaml:"same_length"`
	SimilarLength    int `yaml:"similar_length"`
	Short            int `yaml:"short"`
	Interrupted      int `yaml:"interrupted"`

	SoonWithin           config.Duration `yaml:"soon_within"`
	NightWithin          config.Duration `yaml:"night_within"`
	Gap                  config.Duration `yaml:"gap"`
	GapWithMatch         config.Duration `yaml:"gap_with_match"`
	Overlap              config.Duration `yaml:"overlap"`
	ShortBelow           config.Duration `yaml:"short_below"`
	InterruptedFrom      config.Duration `yaml:"interrupted_from"`
	ShapePercent         int             `yaml:"shape_percent"`
	SameLengthPercent    int             `yaml:"same_length_percent"`
	SimilarLengthPercent int             `yaml:"similar_length_percent"`
}

// CampaignWeights say which runs of one customer are one campaign.
type CampaignWeights struct {
	Gap config.Duration `yaml:"gap"`
}

// ReadWeights reads weights. Faults name the file, line and key where they can.
func ReadWeights(name string, data []byte) (*Weights, error) {
	w := &Weights{Digest: sha256.Sum256(data)}
	if err := config.Decode(name, data, w); err != nil {
		return nil, err
	}
	return w, nil
}

var shipped = sync.OnceValue(func() *Weights {
	w, err := ReadWeights("weights.yaml", weightsFile)
	if err != nil {
		panic("the shipped weights are bad: " + err.Error()) // a test reads them
	}
	return w
})

// Default returns the weights that are shipped. They must not be changed.
func Default() *Weights { return shipped() }

// Validate checks what the types do not.
func (w *Weights) Validate() error {
	var faults []error
	must := func(ok bool, key, rule string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: %s", key, rule))
		}
	}
	must(w.ID != "", "id", "is empty")
	must(w.Version >= 1, "version", "must be 1 or more")
	must(w.Threshold >= 1, "threshold", "must be 1 or more, or everything is joined")
	for _, d := range []struct {
		key   string
		value config.Duration
	}{
		{"space.start_within", w.Space.StartWithin}, {"space.stop_within", w.Space.StopWithin}, {"space.settled", w.Space.Settled}, {"time.soon_within", w.Time.SoonWithin},
		{"time.night_within", w.Time.NightWithin}, {"time.gap", w.Time.Gap}, {"time.gap_with_match", w.Time.GapWithMatch}, {"campaign.gap", w.Campaign.Gap},
	} {
		must(d.value > 0, d.key, "must be longer than nothing")
	}
	must(w.Time.InterruptedFrom >= w.Time.ShortBelow, "time.interrupted_from", "must be at least time.short_below")
	must(w.Space.StartNearWithin >= w.Space.StartWithin, "space.start_near_within", "must be at least space.start_within")
	must(w.Space.Silent >= w.Space.Settled, "space.silent", "must be at least space.settled")
	must(w.Time.Overlap >= 0, "time.overlap", "must not be negative")
	must(w.Time.GapWithMatch >= w.Time.Gap, "time.gap_with_match", "must be at least time.gap")
	for _, p := range []struct {
		key   string
		value int
	}{
		{"space.phase_percent", w.Space.PhasePercent}, {"space.alike_percent", w.Space.AlikePercent}, {"space.unlike_percent", w.Space.UnlikePercent},
		{"time.shape_percent", w.Time.ShapePercent}, {"time.same_length_percent", w.Time.SameLengthPercent}, {"time.similar_length_percent", w.Time.SimilarLengthPercent},
	} {
		must(p.value >= 0 && p.value <= 100, p.key, "must lie between 0 and 100")
	}
	must(w.Space.PeriodPermille >= 0 && w.Space.PeriodPermille <= 1000, "space.period_permille", "must lie between 0 and 1000")
	must(w.Space.UnlikePercent <= w.Space.AlikePercent, "space.unlike_percent", "must not be more than space.alike_percent")
	return errors.Join(faults...)
}
