package classify

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

//go:embed scorecard.json
var shipped []byte

// Origin says where a coefficient comes from.
type Origin string

// The origins: fitted on labelled recordings, or set by judgement because no
// labelled recording shows the feature in both classes.
const (
	Fitted    Origin = "fitted"
	Judgement Origin = "judgement"
)

// Coefficient is what one feature x adds to the log-odds of training:
// Weight × (x − Center) / Scale, but no more than Limit either way.
type Coefficient struct {
	Feature string  `json:"feature"`
	Weight  float64 `json:"weight"`
	Center  float64 `json:"center"`
	Scale   float64 `json:"scale"`
	Limit   float64 `json:"limit"`
	Origin  Origin  `json:"origin"`
	Why     string  `json:"why"`
	Missing string  `json:"missing"` // what is said where the feature is not known
}

// Scorecard is a version of the method.
type Scorecard struct {
	Version            int           `json:"version"`
	Intercept          float64       `json:"intercept"`
	Coefficients       []Coefficient `json:"coefficients"`
	ShortestSeconds    int           `json:"shortest_seconds"` // of a run that is judged
	ShortestChanges    int           `json:"shortest_changes"` // changes between windows that must have been compared
	TrainingShare      float64       `json:"training_share"`   // of what is judged, that probabilities are stated for; the fit is for a half
	Decide             float64       `json:"decide"`           // probability from which training, or other, is the answer
	DecideInference    float64       `json:"decide_inference"` // and from which inference is
	NoTensorBelow      float64       `json:"no_tensor_below"`  // share of tensor operations below which there is no matrix work
	OtherWithoutTensor float64       `json:"other_without_tensor"`
	OtherWithTensor    float64       `json:"other_with_tensor"`

	Digest [32]byte `json:"-"` // SHA-256 of the file: its identity
}

// Name returns the version and the beginning of the digest.
func (s *Scorecard) Name() string { return fmt.Sprintf("scorecard/%d-%x", s.Version, s.Digest[:4]) }

func (s *Scorecard) shortest() time.Duration { return time.Duration(s.ShortestSeconds) * time.Second }

// Read reads a scorecard. Unknown keys are refused.
func Read(data []byte) (*Scorecard, error) {
	s := &Scorecard{Digest: sha256.Sum256(data)}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("read scorecard: %w", err)
	}
	if err := s.validate(); err != nil {
		return nil, fmt.Errorf("read scorecard: %w", err)
	}
	return s, nil
}

func (s *Scorecard) validate() error {
	var faults []error
	fault := func(key, rule string) { faults = append(faults, fmt.Errorf("%s: %s", key, rule)) }
	if s.Version < 1 {
		fault("version", "must be 1 or more")
	}
	if math.Abs(s.Intercept) > 1e6 {
		fault("intercept", "must not be beyond 1e6")
	}
	if s.ShortestSeconds < 1 || s.ShortestChanges < 1 {
		fault("shortest_seconds, shortest_changes", "must be 1 or more: nothing is judged without evidence")
	}
	for _, p := range []float64{s.Decide, s.DecideInference} {
		if !(p > 0.5 && p <= 1) {
			fault("decide, decide_inference", "must be above 0.5 and at most 1")
		}
	}
	if !(s.TrainingShare > 0 && s.TrainingShare < 1) {
		fault("training_share", "must lie between 0 and 1")
	}
	for _, p := range []float64{s.NoTensorBelow, s.OtherWithoutTensor, s.OtherWithTensor} {
		if !(p >= 0 && p <= 1) {
			fault("no_tensor_below, other_without_tensor, other_with_tensor", "must be 0 to 1")
		}
	}
	known := map[string]bool{
		FeatureRoughness: true, FeatureTail: true, FeatureDips: true, FeatureRegularity: true,
		FeatureHosts: true, FeatureRanks: true, FeatureDuration: true,
	}
	for i, c := range s.Coefficients {
		key := fmt.Sprintf("coefficients[%d]", i)
		if !known[c.Feature] {
			fault(key, fmt.Sprintf("%q is no feature or there twice; how busy the devices were is none", c.Feature))
		}
		delete(known, c.Feature)
		if !(c.Scale >= 1e-6) || !(c.Limit > 0) || max(math.Abs(c.Weight), math.Abs(c.Center), c.Scale, c.Limit) > 1e6 {
			fault(key, "scale must be from 1e-6, limit above 0, and no number beyond 1e6")
		}
		if c.Origin != Fitted && c.Origin != Judgement {
			fault(key, "origin must be fitted or judgement")
		}
		if c.Why == "" || c.Missing == "" {
			fault(key, "why and missing must say something")
		}
	}
	return errors.Join(faults...)
}

// Shipped returns the scorecard of the program. It is part of it and under test.
var Shipped = sync.OnceValue(func() *Scorecard {
	s, err := Read(shipped)
	if err != nil {
		panic(err)
	}
	return s
})
