// Package apitypes is the JSON of the API under /v1, shared by the server and
// by flopwatchctl.
//
// Operations are decimal strings of single operations, because 1e26 fits no
// JSON number; every count comes as {low, best, high}. Times are RFC 3339 in
// UTC and absent when unknown. Durations are JSON numbers of seconds with up to
// three decimals.
package apitypes

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/pkg/compute"
)

// Bounds is a count of single operations with its honest interval.
type Bounds struct {
	Low  string `json:"low" doc:"Decimal count of single operations that is certainly not too high" example:"36000000000000000000000000"`
	Best string `json:"best" doc:"Decimal count of single operations, best estimate"`
	High string `json:"high" doc:"Decimal count of single operations that is certainly not too low"`
}

// FromBounds writes bounds as the API does.
func FromBounds(b compute.Bounds) Bounds {
	return Bounds{b.Low.Decimal(), b.Best.Decimal(), b.High.Decimal()}
}

// Bounds reads the three counts. It is an error when one is not a whole number
// of giga-operations or when they are out of order.
func (b Bounds) Bounds() (compute.Bounds, error) {
	low, err1 := compute.ParseOperations(b.Low)
	best, err2 := compute.ParseOperations(b.Best)
	high, err3 := compute.ParseOperations(b.High)
	if err := errors.Join(err1, err2, err3); err != nil {
		return compute.Bounds{}, fmt.Errorf("bounds: %w", err)
	}
	out := compute.Bounds{Low: low, Best: best, High: high}
	if !out.Valid() {
		return compute.Bounds{}, errors.New("bounds: low, best and high are out of order")
	}
	return out, nil
}

// Seconds is device time in milliseconds, which JSON carries as seconds with up
// to three decimals.
type Seconds desk.DeviceTime

// MarshalJSON writes the exact number of seconds without an exponent.
func (s Seconds) MarshalJSON() ([]byte, error) { return []byte(s.String()), nil }

// String is the exact number of seconds, as 12.5.
func (s Seconds) String() string {
	whole, millis := int64(s)/1e3, int64(s)%1e3
	sign := ""
	if s < 0 {
		sign, whole, millis = "-", -whole, -millis
	}
	text := sign + strconv.FormatInt(whole, 10)
	if millis != 0 {
		text += "." + strings.TrimRight(fmt.Sprintf("%03d", millis), "0")
	}
	return text
}

// UnmarshalJSON reads what MarshalJSON writes; an exponent or a fourth decimal
// is an error, so that nothing is rounded unseen.
func (s *Seconds) UnmarshalJSON(data []byte) error {
	text := string(data)
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, dotted := strings.Cut(digits, ".")
	if len(fraction) > 3 || (dotted && fraction == "") || !allDigits(whole+fraction) || whole == "" {
		return fmt.Errorf("seconds %.40q: not a decimal with at most three places", text)
	}
	n, err := strconv.ParseInt(whole+fraction+strings.Repeat("0", 3-len(fraction)), 10, 64)
	if err != nil {
		return fmt.Errorf("seconds %.40q: too large", text)
	}
	if negative {
		n = -n
	}
	*s = Seconds(n)
	return nil
}

func allDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// Time turns Unix nanoseconds into the API's time; 0 is "not known" and is left
// out of the JSON.
func Time(ns int64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	return time.Unix(0, ns).UTC()
}

// ParseTime reads a time as the API takes it, RFC 3339 with its zone.
func ParseTime(text string) (time.Time, error) { return time.Parse(time.RFC3339Nano, text) }
