package compute_test

import (
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/compute"
)

// wantOver is Rate.Over in big integers: mega-operations/s times nanoseconds are
// milli-operations, and a unit is 1e9 operations.
func wantOver(r compute.Rate, d time.Duration, round compute.Rounding) compute.Operations {
	if r <= 0 || d <= 0 {
		return 0
	}
	unit := big.NewInt(1_000_000_000_000)
	product := new(big.Int).Mul(big.NewInt(int64(r)), big.NewInt(int64(d)))
	q, rem := new(big.Int).QuoRem(product, unit, new(big.Int))
	switch twice := new(big.Int).Lsh(rem, 1); {
	case round == compute.Up && rem.Sign() > 0, round == compute.Nearest && twice.Cmp(unit) >= 0:
		q.Add(q, big.NewInt(1))
	}
	if !q.IsInt64() {
		return compute.MaxOperations
	}
	return compute.Operations(q.Int64())
}

// anyInt64 draws small, large and extreme values alike.
func anyInt64() *rapid.Generator[int64] {
	return rapid.OneOf(
		rapid.Int64(),
		rapid.Int64Range(-2, 2_000_000),
		rapid.Int64Range(math.MaxInt64-1000, math.MaxInt64),
		rapid.Map(rapid.Int64Range(0, 9_000_000), func(n int64) int64 { return n * 1_000_000_000_000 / 2 }),
	)
}

func TestOverAgreesWithBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := compute.Rate(anyInt64().Draw(t, "rate"))
		d := time.Duration(anyInt64().Draw(t, "duration"))
		for _, round := range []compute.Rounding{compute.Down, compute.Nearest, compute.Up} {
			if got, want := r.Over(d, round), wantOver(r, d, round); got != want {
				t.Fatalf("Rate(%d).Over(%d, %d) = %d, want %d", r, d, round, got, want)
			}
		}
	})
}

func TestOver(t *testing.T) {
	tests := []struct {
		name string
		rate compute.Rate
		d    time.Duration
		want [3]compute.Operations // down, nearest, up
	}{
		{"nothing", 0, time.Hour, [3]compute.Operations{0, 0, 0}},
		{"negative rate", -5, time.Hour, [3]compute.Operations{0, 0, 0}},
		{"negative time", 5, -time.Hour, [3]compute.Operations{0, 0, 0}},
		{"one unit", 1000, time.Second, [3]compute.Operations{1, 1, 1}},
		{"a quarter", 250, time.Second, [3]compute.Operations{0, 0, 1}},
		{"a half", 500, time.Second, [3]compute.Operations{0, 1, 1}},
		{"least", 1, 1, [3]compute.Operations{0, 0, 1}},
		{"one H100 hour", 989_400_000, time.Hour, [3]compute.Operations{3_561_840_000, 3_561_840_000, 3_561_840_000}},
		{"128 bits", math.MaxInt64, math.MaxInt64, [3]compute.Operations{compute.MaxOperations, compute.MaxOperations, compute.MaxOperations}},
		{"just too many", math.MaxInt64, 1_000_000_000_001, [3]compute.Operations{compute.MaxOperations, compute.MaxOperations, compute.MaxOperations}},
		{"just enough", math.MaxInt64, 1_000_000_000_000, [3]compute.Operations{compute.MaxOperations, compute.MaxOperations, compute.MaxOperations}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := [3]compute.Operations{tt.rate.Over(tt.d, compute.Down), tt.rate.Over(tt.d, compute.Nearest), tt.rate.Over(tt.d, compute.Up)}
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAddSaturates(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.OneOf(rapid.Int64Range(0, math.MaxInt64), rapid.Int64Range(0, 10), rapid.Int64Range(math.MaxInt64-10, math.MaxInt64))
		a, b := count.Draw(t, "a"), count.Draw(t, "b")
		want := compute.MaxOperations
		if sum := new(big.Int).Add(big.NewInt(a), big.NewInt(b)); sum.IsInt64() {
			want = compute.Operations(sum.Int64())
		}
		if got := compute.Operations(a).Add(compute.Operations(b)); got != want {
			t.Fatalf("%d + %d = %d, want %d", a, b, got, want)
		}
	})
}

func TestBoundsStayValid(t *testing.T) {
	bounds := rapid.Custom(func(t *rapid.T) compute.Bounds {
		low := rapid.Int64Range(0, math.MaxInt64).Draw(t, "low")
		best := rapid.Int64Range(low, math.MaxInt64).Draw(t, "best")
		high := rapid.Int64Range(best, math.MaxInt64).Draw(t, "high")
		return compute.Bounds{Low: compute.Operations(low), Best: compute.Operations(best), High: compute.Operations(high)}
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := bounds.Draw(t, "a"), bounds.Draw(t, "b")
		sum := a.Add(b)
		if !sum.Valid() || !sum.Contains(sum.Best) || sum.Low < a.Low || sum.High < a.High {
			t.Fatalf("%v + %v = %v", a, b, sum)
		}
		if diff := cmp.Diff(b.Add(a), sum); diff != "" {
			t.Fatalf("order matters:\n%s", diff)
		}
	})
	for _, b := range []compute.Bounds{{Low: -1}, {Low: 2, Best: 1, High: 3}, {Low: 1, Best: 3, High: 2}} {
		if b.Valid() {
			t.Errorf("%#v is valid", b)
		}
	}
	one := compute.Exactly(7)
	if !one.Valid() || !one.Contains(7) || one.Contains(6) || one.Contains(8) {
		t.Errorf("Exactly(7) = %#v", one)
	}
}

func TestDecimalRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := compute.Operations(rapid.Int64Range(0, math.MaxInt64).Draw(t, "ops"))
		got, err := compute.ParseOperations(want.Decimal())
		if err != nil || got != want {
			t.Fatalf("ParseOperations(%q) = %d, %v; want %d", want.Decimal(), got, err, want)
		}
	})
}

func TestParseOperations(t *testing.T) {
	tests := []struct {
		in   string
		want compute.Operations
	}{
		{"0", 0},
		{"1e9", 1},
		{"1E9", 1},
		{" 1e26\n", 100_000_000_000_000_000},
		{"100000000000000000000000000", 100_000_000_000_000_000},
		{"3.79e25", 37_900_000_000_000_000},
		{"2.5e9", -1}, // half a unit
		{"9223372036854775807000000000", compute.MaxOperations},
		{"9223372036854775808000000000", -1},
		{"1e28", -1},
		{"1", -1},
		{"", -1},
		{" ", -1},
		{"-1e26", -1},
		{"-0.000000001", -1},
		{"1e41", -1},
		{"1e999999999", -1},
		{"1e-999999999", -1},
		{"1e", -1},
		{"e9", -1},
		{"1e9e9", -1},
		{"NaN", -1},
		{"Inf", -1},
		{"10/1", -1},
		{"1_000_000_000", -1},
		{"0x3b9aca00", -1},
		{"0X1P30", -1},
		{"1p30", -1},
		{"0o7346545000", -1},
		{"0b111011100110101100101000000000", -1},
		{"1 000 000 000", -1},
		{"1,000,000,000", -1},
		{strings.Repeat("9", 65), -1},
		{strings.Repeat("0", 55) + "1000000000", -1},
	}
	for _, tt := range tests {
		t.Run(tt.in, func(t *testing.T) {
			got, err := compute.ParseOperations(tt.in)
			if (err != nil) != (tt.want < 0) || err == nil && got != tt.want {
				t.Errorf("got %d, %v; want %d", got, err, tt.want)
			}
		})
	}
}

func TestRates(t *testing.T) {
	if got, want := compute.RateFromTera(989.4), compute.Rate(989_400_000); got != want {
		t.Errorf("RateFromTera(989.4) = %d, want %d", got, want)
	}
	tests := []struct {
		in   float64
		want compute.Rate // -1: an error
	}{
		{0, 0}, {1e6, 1}, {499_999, 0}, {500_000, 1}, {989.4e12, 989_400_000},
		{-1, -1}, {math.NaN(), -1}, {math.Inf(1), -1}, {math.Inf(-1), -1}, {math.MaxInt64 * 1e6, -1}, {1e300, -1},
	}
	for _, tt := range tests {
		got, err := compute.RateFromOpsPerSecond(tt.in)
		if (err != nil) != (tt.want < 0) || err == nil && got != tt.want {
			t.Errorf("RateFromOpsPerSecond(%v) = %d, %v; want %d", tt.in, got, err, tt.want)
		}
	}
	if got := compute.Rate(989_400_000).OpsPerSecond(); got != 989.4e12 {
		t.Errorf("OpsPerSecond = %v", got)
	}
}

func TestStrings(t *testing.T) {
	if got, want := compute.Operations(37_900_000_000_000_000).String(), "3.79e+25"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := (compute.Bounds{Low: 1, Best: 20, High: 300}).String(), "2.00e+10 [1.00e+09, 3.00e+11]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzParseOperations(f *testing.F) {
	for _, s := range []string{"0", "1e26", " 3.79E25 ", "-1", "1/3", "0x1p4", "1e999999999", "9223372036854775807000000000", "+1e9", ".1e10", "1_0e9", "٣e9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := compute.ParseOperations(s)
		if err != nil {
			if n != 0 {
				t.Errorf("ParseOperations(%q) = %d beside error %v", s, n, err)
			}
			return
		}
		if n < 0 {
			t.Fatalf("ParseOperations(%q) = %d", s, n)
		}
		if again, err := compute.ParseOperations(n.Decimal()); err != nil || again != n {
			t.Errorf("ParseOperations(%q) = %d, whose decimal reads back as %d, %v", s, n, again, err)
		}
		// The value is that of the text, by another reader of numbers.
		text := strings.TrimSpace(s)
		value, _, err := big.ParseFloat(text, 10, 400, big.ToNearestEven)
		if err != nil {
			t.Fatalf("ParseOperations(%q) = %d, but %v", s, n, err)
		}
		exact, _ := new(big.Float).SetPrec(400).SetString(n.Decimal())
		diff := new(big.Float).Sub(value, exact)
		if diff.Abs(diff).Cmp(big.NewFloat(1e-6)) > 0 {
			t.Errorf("ParseOperations(%q) = %d", s, n)
		}
	})
}
