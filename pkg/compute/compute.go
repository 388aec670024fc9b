// Package compute holds quantities of computation: operations, rates and the
// bounds that every figure in flopwatch carries.
//
// Operations are whole giga-operations in an int64, so sums are exact in Go
// and in SQL: the largest value, 9.2e27 operations, is ninety times the largest
// threshold in any law. Nothing here reads a clock or uses a float in a sum.
package compute

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Operations counts integer or floating-point operations in giga-operations
// (1e9). A fused multiply-add is two operations; structured sparsity is never
// credited.
type Operations int64

// Giga is the number of operations in one unit of Operations.
const Giga = 1_000_000_000

// MaxOperations is the largest count that can be held; sums saturate there.
const MaxOperations = Operations(math.MaxInt64)

// Add returns a+b, saturating at MaxOperations. Both must not be negative.
func (a Operations) Add(b Operations) Operations {
	if s := a + b; s >= a {
		return s
	}
	return MaxOperations
}

// Float returns the count in single operations, for display and ratios only.
func (a Operations) Float() float64 { return float64(a) * Giga }

// String prints the count in single operations with three digits, as 3.79e+25.
func (a Operations) String() string { return strconv.FormatFloat(a.Float(), 'e', 2, 64) }

// Decimal prints the exact count of single operations as a decimal integer, the
// form that the API uses, because 1e26 does not fit a JSON number.
func (a Operations) Decimal() string {
	if a == 0 {
		return "0"
	}
	return strconv.FormatInt(int64(a), 10) + "000000000"
}

// ParseOperations reads a count of single operations, as an integer or in
// scientific notation ("1e26"). It must be a whole number of giga-operations
// between 0 and MaxOperations.
func ParseOperations(s string) (Operations, error) {
	text := strings.TrimSpace(s)
	if len(text) > 64 {
		return 0, errors.New("operations: longer than 64 characters")
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		if exp, err := strconv.Atoi(text[i+1:]); err != nil || exp > 40 || exp < -40 {
			return 0, fmt.Errorf("operations %q: exponent must be between -40 and 40", s)
		}
	}
	r, ok := new(big.Rat).SetString(text)
	if !ok || strings.ContainsAny(text, "/_xXpPbBoO") {
		return 0, fmt.Errorf("operations %q: not a number", s)
	}
	if r.Sign() < 0 {
		return 0, fmt.Errorf("operations %q: must not be negative", s)
	}
	r.Quo(r, new(big.Rat).SetInt64(Giga))
	if !r.IsInt() {
		return 0, fmt.Errorf("operations %q: must be a whole number of 1e9 operations", s)
	}
	if !r.Num().IsInt64() {
		return 0, fmt.Errorf("operations %q: more than 9.2e27", s)
	}
	return Operations(r.Num().Int64()), nil
}

// Rate is a speed in mega-operations (1e6) per second.
type Rate int64

// RateFromTera converts a vendor figure in 1e12 operations per second, rounding
// to the nearest mega-operation.
func RateFromTera(tera float64) Rate { return Rate(math.Round(tera * 1e6)) }

// RateFromOpsPerSecond converts operations per second, rounding to nearest.
// It is an error for a value that is NaN, infinite, negative or beyond int64.
func RateFromOpsPerSecond(v float64) (Rate, error) {
	if math.IsNaN(v) || v < 0 || v >= math.MaxInt64*1e6 {
		return 0, fmt.Errorf("rate %v operations/s: must be finite and not negative", v)
	}
	return Rate(math.Round(v / 1e6)), nil
}

// OpsPerSecond returns the rate in single operations per second.
func (r Rate) OpsPerSecond() float64 { return float64(r) * 1e6 }

// Rounding says which way a product that is not whole goes: lower bounds go
// down, upper bounds go up, so that rounding never makes bounds false.
type Rounding int

// The roundings.
const (
	Down Rounding = iota
	Nearest
	Up
)

// Over returns rate × duration, exact in 128 bits and then rounded, saturating
// at MaxOperations. A negative rate or duration counts as zero.
func (r Rate) Over(d time.Duration, round Rounding) Operations {
	if r <= 0 || d <= 0 {
		return 0
	}
	// mega-operations/s × nanoseconds = 1e-3 operations; one unit is 1e9.
	const unit = 1e12
	hi, lo := bits.Mul64(uint64(r), uint64(d))
	if hi >= unit {
		return MaxOperations
	}
	q, rem := bits.Div64(hi, lo, unit)
	if (round == Up && rem > 0) || (round == Nearest && rem >= unit/2) {
		q++
	}
	if q > math.MaxInt64 {
		return MaxOperations
	}
	return Operations(q)
}

// Bounds is a count with its honest interval: Low ≤ Best ≤ High.
type Bounds struct {
	Low, Best, High Operations
}

// Exactly returns bounds that meet in one value.
func Exactly(n Operations) Bounds { return Bounds{n, n, n} }

// Add returns the sum. Intervals add linearly, because the errors that they
// carry (precision, band, missing time) are systematic and do not cancel.
func (b Bounds) Add(c Bounds) Bounds {
	return Bounds{b.Low.Add(c.Low), b.Best.Add(c.Best), b.High.Add(c.High)}
}

// Valid reports whether 0 ≤ Low ≤ Best ≤ High.
func (b Bounds) Valid() bool { return 0 <= b.Low && b.Low <= b.Best && b.Best <= b.High }

// Contains reports whether n lies inside the bounds.
func (b Bounds) Contains(n Operations) bool { return b.Low <= n && n <= b.High }

// String prints best and interval.
func (b Bounds) String() string {
	return b.Best.String() + " [" + b.Low.String() + ", " + b.High.String() + "]"
}
