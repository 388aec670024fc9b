package casefile

import (
	"fmt"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/clock"
)

// Running returns the name of the clock of an obligation that was not met yet,
// the oldest if the obligation runs more than once, and whether there is one.
func (c Case) Running(obligation string) (string, bool) {
	for _, k := range c.Clocks {
		if (k.Name == obligation || strings.HasPrefix(k.Name, obligation+" ")) && k.Met.IsZero() {
			return k.Name, true
		}
	}
	return "", false
}

// StartAgain starts a clock that may run more than once, such as that of a
// request: where the name is taken it is "request 2".
func (c Case) StartAgain(o clock.Obligation, from, now time.Time) (Case, error) {
	name := o.Name
	for n := 2; ; n++ {
		if _, err := c.clockAt(o.Name); err != nil {
			return c.StartClock(o, from, now)
		}
		o.Name = fmt.Sprintf("%s %d", name, n)
	}
}
