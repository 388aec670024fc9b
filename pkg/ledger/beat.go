package ledger

import (
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
	"github.com/flopwatch/flopwatch/pkg/rhythm"
)

// BeatWindow is the length of the windows whose power is compared: what the
// rhythm says was learned at this length, and at another it says something else.
const BeatWindow = 10 * time.Second

// follow adds the mean power of a window to the rhythm of the segment. A window
// that was shared, cut or of another length breaks the series: its power is not
// that of the work alone.
func (s *segment) follow(e *part, windowNS int64) {
	if e.State != measure.Attributed || e.EnergyMJ < 0 {
		return
	}
	if windowNS != int64(BeatWindow) || e.DurationNS != windowNS || e.EnergyMJ == 0 {
		if s.beat != nil {
			s.beat.Break(uint32(max(1, windowNS/int64(BeatWindow))))
		}
		return
	}
	if s.beat == nil {
		s.beat = &rhythm.Rhythm{}
	}
	s.beat.Add(float64(e.EnergyMJ) / BeatWindow.Seconds()) // milliwatts
}

// appendBeat appends the rhythm as it is stored, nothing where there is none.
func (s *segment) appendBeat(b []byte) []byte {
	if s.beat == nil {
		return b
	}
	return s.beat.Append(b)
}
