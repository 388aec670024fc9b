package desk

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// EventID numbers events in the order in which they came in.
type EventID int64

const eventPrefix = "evt_"

// String is the id as people and programs see it, as evt_17.
func (id EventID) String() string { return eventPrefix + strconv.FormatInt(int64(id), 10) }

// ParseEventID reads what String writes, and nothing else.
func ParseEventID(s string) (EventID, error) {
	digits, ok := strings.CutPrefix(s, eventPrefix)
	n, err := strconv.ParseInt(digits, 10, 64)
	if id := EventID(n); ok && err == nil && n > 0 && id.String() == s {
		return id, nil
	}
	return 0, fmt.Errorf("event id %.40q: must be %s and a number", s, eventPrefix)
}

// Event is what a host reported beside its figures. It bears on how they are
// read and changes none.
type Event struct {
	ID       EventID
	Host     string
	HostName string
	Device   measure.DeviceID // "" for the host itself
	TimeNS   int64            // by the host's clock; 0 if it did not say
	Kind     measure.EventKind
	Code     int64
	Detail   string // in the host's words
}

// MaxEvents is the most events of one answer.
const MaxEvents = 1000

// EventFilter chooses events.
type EventFilter struct {
	Host    string // "" is every host
	Kind    string // "" is every kind
	AfterID int64  // only what stands behind this event in the list; 0 begins at the newest
	Limit   int    // MaxEvents at most, which 0 also means
}

// Rows is the limit that holds.
func (f EventFilter) Rows() int {
	if f.Limit <= 0 || f.Limit > MaxEvents {
		return MaxEvents
	}
	return f.Limit
}
