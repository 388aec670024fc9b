package exporter

import "time"

// SetClock replaces the clock.
func (e *Exporter) SetClock(now func() time.Time) { e.now = now }
