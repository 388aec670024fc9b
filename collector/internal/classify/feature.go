package classify

import (
	"fmt"
	"math"
	"time"
)

// The features, as the scorecard names them.
const (
	FeatureRoughness  = "roughness"  // class of the median change between windows, 0..9
	FeatureTail       = "tail"       // class of the change that one in ten exceeds, 0..9
	FeatureDips       = "dips"       // log2(1 + repeated dips per hour and device)
	FeatureRegularity = "regularity" // of the dips, 0..1, above 0 from three intervals on
	FeatureHosts      = "hosts"      // log2
	FeatureRanks      = "ranks"      // log2 of the ranks of the largest communicator, from 16 on
	FeatureDuration   = "duration"   // log2 of hours
)

// Features returns the numbers of the features that are known.
func Features(o Observation) map[string]float64 {
	f := map[string]float64{}
	if middle, ok := o.Rhythm.Change(0.5); ok {
		tail, _ := o.Rhythm.Change(0.9)
		f[FeatureRoughness], f[FeatureTail] = middle, tail
		f[FeatureDips] = math.Log2(1 + o.perHour(o.Rhythm.Intervals))
		f[FeatureRegularity] = 0
		if regularity, _, ok := o.Rhythm.Regularity(); ok {
			f[FeatureRegularity] = regularity
		}
	}
	if o.Hosts > 0 {
		f[FeatureHosts] = math.Log2(float64(o.Hosts))
	}
	// Inference that spans the devices of one host forms communicators as well.
	if o.Ranks > 8 {
		f[FeatureRanks] = math.Log2(float64(o.Ranks))
	}
	if o.Duration > 0 {
		f[FeatureDuration] = math.Log2(o.Duration.Hours())
	}
	return f
}

// perHour returns how often something was counted per hour and device.
func (o Observation) perHour(n uint32) float64 {
	hours := (time.Duration(o.Rhythm.Windows) * o.window()).Hours()
	if hours == 0 {
		return 0
	}
	return float64(n) / hours
}

// describe says what was seen of a feature.
func describe(feature string, o Observation) string {
	switch feature {
	case FeatureRoughness:
		x, _ := o.Rhythm.Change(0.5)
		return fmt.Sprintf("power or activity changes by about %s from window to window", percent(x))
	case FeatureTail:
		x, _ := o.Rhythm.Change(0.9)
		return fmt.Sprintf("one change in ten is larger than %s", percent(x))
	case FeatureDips:
		// One pause is none that repeats.
		return fmt.Sprintf("%d pauses that repeat, %.1f an hour and device, as for evaluation and checkpoints", o.Rhythm.Intervals, o.perHour(o.Rhythm.Intervals))
	case FeatureRegularity:
		if r, mean, ok := o.Rhythm.Regularity(); ok {
			every := time.Duration(mean * float64(o.window())).Round(time.Second)
			return fmt.Sprintf("pauses follow each other every %s, regularity %.2f of 1", every, r)
		}
		return "no pattern of pauses"
	case FeatureHosts:
		if o.Hosts == 1 {
			return "one host"
		}
		return fmt.Sprintf("%d hosts work together", o.Hosts)
	case FeatureRanks:
		return fmt.Sprintf("a communicator of %d ranks was set up", o.Ranks)
	case FeatureDuration:
		return fmt.Sprintf("lasts %s", o.Duration.Round(time.Second))
	}
	return feature
}

// percent names the change of a class in percent: the edges double.
func percent(class float64) string {
	return fmt.Sprintf("%.2g %%", 100*0.0005*math.Pow(2, class-1))
}
