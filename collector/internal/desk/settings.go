package desk

import (
	"context"
	"time"

	"github.com/flopwatch/flopwatch/pkg/settings"
)

// Settings is how the settings of the fleet's agents stand.
type Settings struct {
	Policy  string // pol_… of the version that rolls out or did last, "" where agents run their default
	Version int
	Before  int // version of the hosts that do not have it yet
	Title   string
	State   string // rolling, done, stopped; "" where nothing was ever rolled out
	Percent int    // of the fleet that has or gets the version
	Steps   []int
	Since   time.Time
	Reason  string // why it was stopped
	Hosts   []SettingsHost
}

// SettingsHost is one host: what it should run, and what it says it runs.
type SettingsHost struct {
	ID      string
	Name    string
	Site    string
	Wants   int
	Reports int
	LastNS  int64 // end of its newest window
	Values  settings.Values
}

// Behind counts the hosts that do not report what they should run.
func (s Settings) Behind() int {
	n := 0
	for _, h := range s.Hosts {
		if h.Wants != h.Reports {
			n++
		}
	}
	return n
}

// ByVersion counts the hosts by the version that they report.
func (s Settings) ByVersion() map[int]int {
	out := map[int]int{}
	for _, h := range s.Hosts {
		out[h.Reports]++
	}
	return out
}

// SettingsReader answers what concerns settings. Hosts are in order of their names.
type SettingsReader interface {
	Settings(ctx context.Context) (Settings, error)
}
