package forecast

import (
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"sync"

	"github.com/flopwatch/flopwatch/pkg/config"
)

//go:embed settings.yaml
var settingsFile []byte

// Settings say how crossings are foreseen. They are a versioned file, as what a
// forecast said must be explained later.
type Settings struct {
	ID                 string          `yaml:"id"`
	Version            int             `yaml:"version"`
	HistoryDays        int             `yaml:"history_days"`
	YoungBelowDays     int             `yaml:"young_below_days"`
	YoungSpreadPercent int             `yaml:"young_spread_percent"`
	Draws              int             `yaml:"draws"`
	HorizonDays        int             `yaml:"horizon_days"`
	NearDays           int             `yaml:"near_days"`
	LikelyPercent      int             `yaml:"likely_percent"`
	CertainPercent     int             `yaml:"certain_percent"`
	IdleAfter          config.Duration `yaml:"idle_after"`
	UseLowPercent      int             `yaml:"use_low_percent"`
	UseHighPercent     int             `yaml:"use_high_percent"`

	Digest [32]byte `yaml:"-"`
}

// Name is the method as views show it.
func (s *Settings) Name() string { return fmt.Sprintf("%s/%d-%x", s.ID, s.Version, s.Digest[:4]) }

// ReadSettings reads settings. Faults name the file, line and key where they can.
func ReadSettings(name string, data []byte) (*Settings, error) {
	s := &Settings{Digest: sha256.Sum256(data)}
	if err := config.Decode(name, data, s); err != nil {
		return nil, err
	}
	return s, nil
}

// Validate checks what the types do not.
func (s *Settings) Validate() error {
	var faults []error
	for _, c := range []struct {
		key        string
		value      int
		least, top int
	}{
		{"version", s.Version, 1, 1 << 30}, {"history_days", s.HistoryDays, 1, MaxDays}, {"young_below_days", s.YoungBelowDays, 1, MaxDays},
		{"young_spread_percent", s.YoungSpreadPercent, 0, 100}, {"draws", s.Draws, 100, 100_000}, {"horizon_days", s.HorizonDays, 1, 3660},
		{"near_days", s.NearDays, 1, s.HorizonDays}, {"likely_percent", s.LikelyPercent, 1, 100}, {"certain_percent", s.CertainPercent, s.LikelyPercent, 100},
		{"use_low_percent", s.UseLowPercent, 0, 100}, {"use_high_percent", s.UseHighPercent, s.UseLowPercent, 100},
	} {
		if c.value < c.least || c.value > c.top {
			faults = append(faults, fmt.Errorf("%s: must be from %d to %d", c.key, c.least, c.top))
		}
	}
	if s.ID == "" || s.IdleAfter <= 0 {
		faults = append(faults, errors.New("id, idle_after: must be there"))
	}
	return errors.Join(faults...)
}

// MaxDays is how many days of history are kept for a forecast at most.
const MaxDays = 30

var shipped = sync.OnceValue(func() *Settings {
	s, err := ReadSettings("settings.yaml", settingsFile)
	if err != nil {
		panic("the shipped settings are bad: " + err.Error()) // a test reads them
	}
	return s
})

// Default returns the settings that are shipped. They must not be changed.
func Default() *Settings { return shipped() }
