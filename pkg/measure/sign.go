package measure

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Sign is something that a host saw of a workload and that tells which workloads
// belong together: that it set up a communicator, which image it runs, which
// checkpoint it read or wrote. Words are opaque, such as hashes; equal words are
// one thing. Signs travel as events of the host.
type Sign struct {
	TimeNS   int64     // Unix nanoseconds, UTC
	Kind     EventKind // one of SignKinds
	Word     string    // at most MaxSignWord bytes, without spaces
	Workload Workload  // without hint
	Ranks    int       // of a communicator, how many take part
	Rank     int       // of a communicator, which one joined
}

// SignKinds are the kinds of event that are signs.
var SignKinds = []EventKind{EventCommunicator, EventImage, EventReadCheckpoint, EventWroteCheckpoint}

// MaxSignWord is how long the word of a sign may be, in bytes.
const MaxSignWord = 80

// Event returns the sign as an event of its host.
func (s Sign) Event() Event {
	e := Event{TimeNS: s.TimeNS, Kind: s.Kind, Detail: fmt.Sprintf("%s %s %s", s.Word, s.Workload.Kind, s.Workload.ID)}
	if s.Kind == EventCommunicator {
		e.Code, e.Detail = int64(s.Ranks), fmt.Sprintf("%s rank %d %s %s", s.Word, s.Rank, s.Workload.Kind, s.Workload.ID)
	}
	return e
}

// SignOf reads an event as a sign. It is false for events that are none, and for
// those that do not name a word and a workload.
func SignOf(e Event) (Sign, bool) {
	s := Sign{TimeNS: e.TimeNS, Kind: e.Kind}
	word, rest, ok := strings.Cut(e.Detail, " ")
	switch e.Kind {
	case EventCommunicator:
		var rank string
		if rest, ok = strings.CutPrefix(rest, "rank "); !ok {
			return Sign{}, false
		}
		rank, rest, ok = strings.Cut(rest, " ")
		n, err := strconv.Atoi(rank)
		if err != nil || n < 0 || e.Code < 0 || e.Code > 1<<30 {
			return Sign{}, false
		}
		s.Rank, s.Ranks = n, int(e.Code)
	case EventImage, EventReadCheckpoint, EventWroteCheckpoint:
	default:
		return Sign{}, false
	}
	kind, id, named := strings.Cut(rest, " ")
	if !ok || !named || word == "" || len(word) > MaxSignWord || kind == "" || id == "" || strings.ContainsFunc(word, unicode.IsSpace) {
		return Sign{}, false
	}
	s.Word, s.Workload = word, Workload{Kind: WorkloadKind(kind), ID: id}
	return s, true
}
