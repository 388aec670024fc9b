package resolve

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/flopwatch/flopwatch/pkg/config"
)

//go:embed weights.yaml
var weightsFile []byte

// Weights are what evidence counts. They are a versioned file, because a link
// must be explained years later by what held then.
type Weights struct {
	ID          string       `yaml:"id"`
	Version     int          `yaml:"version"`
	Population  int          `yaml:"population"`
	Hub         Hub          `yaml:"hub"`
	NameBlock   int          `yaml:"name_block"`
	Lines       []Line       `yaml:"lines"`
	Name        NameWeights  `yaml:"name"`
	Country     TwoBits      `yaml:"country"`
	OtherNature float64      `yaml:"person_and_organisation"`
	Identifiers []KindWeight `yaml:"identifiers"`

	Digest [32]byte `yaml:"-"` // SHA-256 of the file: its identity

	kinds map[Kind]*KindWeight
	lines map[Class]Line
}

// Hub says when a value is held by so many customers that it says nothing.
type Hub struct {
	Full int `yaml:"full"`
	Cap  int `yaml:"cap"`
}

// Line holds the bits from which links of a class are proposed and decided.
type Line struct {
	Class     Class   `yaml:"class"`
	Propose   float64 `yaml:"propose"`
	Automatic float64 `yaml:"automatic"`
}

// NameWeights weigh names. Exact is m, Floor the least u, the others are bits or
// Dice's coefficients.
type NameWeights struct {
	Exact          float64 `yaml:"exact"`
	Floor          float64 `yaml:"floor"`
	Close          float64 `yaml:"close"`
	Near           float64 `yaml:"near"`
	Different      float64 `yaml:"different"`
	CloseFrom      float64 `yaml:"close_from"`
	NearFrom       float64 `yaml:"near_from"`
	DifferentBelow float64 `yaml:"different_below"`
}

// TwoBits are the bits of agreeing and of not.
type TwoBits struct {
	Same      float64 `yaml:"same"`
	Different float64 `yaml:"different"`
}

// KindWeight weighs identifiers of one kind. Identity, Control and Coordination
// are m for that class, 0 where the kind says nothing of it.
type KindWeight struct {
	Kind            Kind    `yaml:"kind"`
	Strong          bool    `yaml:"strong"`       // names a legal person by itself
	CompareOnly     bool    `yaml:"compare_only"` // too common to find candidates by
	Floor           float64 `yaml:"floor"`        // the least u
	Identity        float64 `yaml:"identity"`
	Control         float64 `yaml:"control"`
	Coordination    float64 `yaml:"coordination"`
	Against         float64 `yaml:"against"` // bits of identity where both have one of one scheme and none is the same
	AgainstVerified float64 `yaml:"against_verified"`
}

// ReadWeights reads a file of weights.
func ReadWeights(name string, data []byte) (*Weights, error) {
	w := &Weights{Digest: sha256.Sum256(data)}
	if err := config.Decode(name, data, w); err != nil {
		return nil, err
	}
	return w, nil
}

// DefaultWeights are those of the program.
var DefaultWeights = sync.OnceValue(func() *Weights {
	w, err := ReadWeights("weights.yaml", weightsFile)
	if err != nil {
		panic(err) // the file is part of the program and under test
	}
	return w
})

// Title names the weights by id, version and digest.
func (w *Weights) Title() string { return fmt.Sprintf("%s %d %x", w.ID, w.Version, w.Digest[:8]) }

// Validate checks what the types do not, and settles look-ups.
func (w *Weights) Validate() error {
	var faults []error
	fault := func(key, rule string) { faults = append(faults, fmt.Errorf("%s: %s", key, rule)) }
	if w.ID == "" || w.Version < 1 {
		fault("version", "id must be there and version 1 or more")
	}
	if w.Population < 1 || w.NameBlock < 2 {
		fault("population", "must be above 0, and name_block above 1")
	}
	if w.Hub.Full < 2 || w.Hub.Cap < w.Hub.Full {
		fault("hub", "full must be 2 or more, and cap not less")
	}
	w.lines = map[Class]Line{}
	for _, l := range w.Lines {
		w.lines[l.Class] = l
		if !(l.Propose > 0) || !(l.Automatic >= l.Propose) || math.IsInf(l.Automatic, 1) {
			fault("lines", "propose must be above 0, and automatic not less")
		}
	}
	for _, c := range Classes {
		if _, ok := w.lines[c]; !ok || len(w.lines) != len(Classes) {
			fault("lines", fmt.Sprintf("must be one for each of %v", Classes))
			break
		}
	}
	if n := w.Name; !probability(n.Exact) || !probability(n.Floor) || !(n.DifferentBelow <= n.NearFrom && n.NearFrom <= n.CloseFrom && n.CloseFrom <= 1) {
		fault("name", "exact and floor must be above 0 and at most 1, and the three likenesses must rise to at most 1")
	}
	w.kinds = map[Kind]*KindWeight{}
	for i := range w.Identifiers {
		k := &w.Identifiers[i]
		if k.Kind == "" || w.kinds[k.Kind] != nil || !probability(k.Floor) {
			fault(fmt.Sprintf("identifiers[%d]", i), "kind must be there once, and floor above 0 and at most 1")
		}
		if k.Strong && k.Control+k.Coordination > 0 {
			fault(fmt.Sprintf("identifiers[%d]", i), "what names a legal person says nothing of control")
		}
		for _, m := range []float64{k.Identity, k.Control, k.Coordination} {
			if m != 0 && !probability(m) {
				fault(fmt.Sprintf("identifiers[%d]", i), "m must be from 0 to 1")
			}
		}
		w.kinds[k.Kind] = k
	}
	return errors.Join(faults...)
}

func probability(p float64) bool { return p > 0 && p <= 1 }

func (k *KindWeight) m(c Class) float64 {
	switch c {
	case Identity:
		return k.Identity
	case Control:
		return k.Control
	}
	return k.Coordination
}

// bits returns what sharing a value says for a class: log2(m/u), less the more
// customers hold it, and nothing from a hub or against.
func (w *Weights) bits(k *KindWeight, c Class, holders int) float64 {
	m := k.m(c)
	if m == 0 || holders > w.Hub.Cap {
		return 0
	}
	u := max(k.Floor, float64(holders)/float64(w.Population))
	if k.Strong { // it is given once: who shares it by error is not many of the population
		u = k.Floor * float64(max(1, holders-1))
	}
	b := math.Log2(m / u)
	if over := holders - w.Hub.Full; over > 0 {
		b *= 1 - float64(over)/float64(w.Hub.Cap+1-w.Hub.Full)
	}
	return max(0, hundredths(b))
}

func hundredths(b float64) float64 { return math.Round(b*100) / 100 }
