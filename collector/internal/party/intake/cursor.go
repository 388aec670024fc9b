package intake

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/party"
	"github.com/flopwatch/flopwatch/collector/internal/party/control"
	"github.com/flopwatch/flopwatch/pkg/table"
)

// cursor reads the cells of one row and tells its faults.
type cursor struct {
	r      *reader
	line   int
	cells  map[string]string
	change *party.Change
}

func (c *cursor) wrong(column, rule string) { c.r.Add(c.line, column, rule) }

const maxText = 300

func (c *cursor) plain(column string) string {
	s := c.cells[column]
	if !table.Readable(s, maxText) {
		c.wrong(column, fmt.Sprintf("must be text of at most %d bytes, %s", maxText, table.Plain))
		return ""
	}
	return s
}

func (c *cursor) id(column string) string {
	if c.cells[column] == "" {
		return ""
	}
	return c.idOf(column, c.cells[column])
}

func (c *cursor) idOf(column, s string) string {
	if !table.Identifier(s) {
		c.wrong(column, "must be 1 to 64 letters, digits, '.', '_', ':' or '-'")
		return ""
	}
	return s
}

func (c *cursor) word(column string, words ...string) string {
	s := c.cells[column]
	if s != "" && !slices.Contains(words, s) {
		c.wrong(column, "must be one of "+strings.Join(words, ", "))
		return ""
	}
	return s
}

// stated reads a text, or "unknown: reason".
func (c *cursor) stated(column string) party.Stated {
	s := c.plain(column)
	if reason, ok := cutUnknown(s); ok {
		if reason == "" {
			c.wrong(column, "must say why it is unknown, as \"unknown: not told\"")
		}
		return party.NotKnown(reason)
	}
	return party.Is(s)
}

func (c *cursor) reference(column string) party.Stated {
	s := c.stated(column)
	if s.Known() {
		return party.Is(c.idOf(column, s.Value))
	}
	return s
}

func (c *cursor) country(column string) party.Stated {
	if c.cells[column] == "" {
		return party.Stated{}
	}
	return c.countryOf(column, c.cells[column])
}

func (c *cursor) countryOf(column, s string) party.Stated {
	if reason, ok := cutUnknown(s); ok {
		if reason == "" || !table.Readable(reason, maxText) {
			c.wrong(column, "must say why it is unknown, as \"unknown: not told\"")
		}
		return party.NotKnown(reason)
	}
	if len(s) != 2 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z' {
		c.wrong(column, "must be two capital letters (ISO 3166-1), or \"unknown: reason\"")
		return party.Stated{}
	}
	return party.Is(s)
}

// list reads parts that semicolons separate.
func (c *cursor) list(column string) []string {
	s := c.plain(column)
	if s == "" {
		return nil
	}
	parts := strings.Split(s, ";")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
		if parts[i] == "" {
			c.wrong(column, "has an empty part")
			return nil
		}
	}
	return parts
}

func (c *cursor) yes(column string, otherwise bool) bool {
	switch c.word(column, "true", "false") {
	case "true":
		return true
	case "false":
		return false
	}
	return otherwise
}

// earliest and latest bound every time: what is outside is a slip.
var earliest, latest = time.Date(1800, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

func (c *cursor) time(column string) time.Time {
	s := c.cells[column]
	if s == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		at, err = time.Parse(time.DateOnly, s)
	}
	if err != nil || at.Before(earliest) || !at.Before(latest) {
		c.wrong(column, "must be a time such as 2026-01-31 or 2026-01-31T12:00:00Z that there is")
		return time.Time{}
	}
	return at.UTC()
}

func (c *cursor) dayOf(column, s string) {
	if at, err := time.Parse(time.DateOnly, s); err != nil || at.Before(earliest) || !at.Before(latest) {
		c.wrong(column, "must be a day such as 2026-01-31 that there is")
	}
}

func (c *cursor) day(column string) party.Stated {
	s := c.stated(column)
	if s.Known() {
		c.dayOf(column, s.Value)
	}
	return s
}

// share reads percent: "30", "25..40", or "unknown: reason". Control by other
// means has none.
func (c *cursor) share(column string, what party.InterestKind) (low, high control.Share, unknown string) {
	s := c.stated(column)
	if what != party.InShares && what != party.InVotes {
		if s.Asked() {
			c.wrong(column, "is for shares and votes only")
		}
		return control.Whole, control.Whole, ""
	}
	if !s.Known() {
		if s.Unknown == "" {
			c.wrong(column, "is empty: say \"unknown: reason\" if it is not known")
		}
		return 0, control.Whole, s.Unknown
	}
	from, to, isRange := strings.Cut(s.Value, "..")
	if !isRange {
		to = from
	}
	low, ok := millionths(from)
	high, ok2 := millionths(to)
	switch {
	case !ok || !ok2:
		c.wrong(column, "must be percent such as 30, 12.5 or 25..40, with at most four decimals")
	case low > control.Whole || high > control.Whole:
		c.wrong(column, "is above 100 %")
	case low > high:
		c.wrong(column, "begins above where it ends")
	}
	return low, high, ""
}

func millionths(percent string) (control.Share, bool) {
	if percent == "" || len(percent) > 12 || strings.Trim(percent, "0123456789.") != "" {
		return 0, false
	}
	f, ok := new(big.Rat).SetString(percent)
	if !ok {
		return 0, false
	}
	f.Mul(f, big.NewRat(10_000, 1))
	if !f.IsInt() || !f.Num().IsInt64() || f.Num().Int64() > 1<<30 {
		return 0, false
	}
	return control.Share(f.Num().Int64()), true
}
