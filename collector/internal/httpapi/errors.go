package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// The router offers only package variables for its error model, whose default
// echoes rejected values; init keeps that out of every handler and of any race.
func init() {
	huma.NewError = newProblem
	huma.NewErrorWithContext = func(_ huma.Context, status int, detail string, errs ...error) huma.StatusError {
		return newProblem(status, detail, errs...)
	}
}

// newProblem keeps the place and the rule of a fault and drops the value. Names
// that the client made up are values too.
func newProblem(status int, detail string, errs ...error) huma.StatusError {
	if status >= http.StatusInternalServerError {
		return apitypes.NewProblem(status, "the request could not be answered; the collector's log says why")
	}
	var faults []string
	for _, err := range errs {
		var d huma.ErrorDetailer
		if !errors.As(err, &d) {
			continue
		}
		switch e := d.ErrorDetail(); {
		case e.Message == "unknown query parameter":
			faults = append(faults, "query: a parameter that this route does not take")
		default:
			faults = append(faults, strings.TrimPrefix(e.Location, "query.")+": "+withoutQuotes(e.Message))
		}
	}
	return apitypes.NewProblem(status, detail, faults...)
}

// failed logs why a view could not be read and tells the client only that.
func (s *server) failed(ctx context.Context, what string, err error) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		s.Log.LogAttrs(ctx, slog.LevelWarn, "api: read took too long", slog.String("view", what))
		return apitypes.NewProblem(http.StatusServiceUnavailable, "the "+what+" took too long to read; ask for less at once")
	}
	if ctx.Err() == nil {
		s.Log.LogAttrs(ctx, slog.LevelError, "api: read failed", slog.String("view", what), slog.String("error", err.Error()))
	}
	return apitypes.NewProblem(http.StatusInternalServerError, "the "+what+" could not be read; the collector's log says why")
}

// WriteProblem answers with a problem.
func WriteProblem(w http.ResponseWriter, p *apitypes.Problem) {
	w.Header().Set("Content-Type", apitypes.ProblemMedia)
	w.WriteHeader(p.Status)
	// The status is sent; a client that left cannot be told more.
	_ = json.NewEncoder(w).Encode(p)
}

var (
	quoted  = regexp.MustCompile("\"(?:[^\"\\\\]|\\\\.)*\"|'[^']*'|`[^`]*`|“[^”]*”")
	aFault  = regexp.MustCompile(`^[^:\s][^:]*:\d+:.`)
	control = regexp.MustCompile(`[\p{Cc}\p{Cf}]`)
)

func withoutQuotes(s string) string { return quoted.ReplaceAllString(s, "…") }

const (
	maxFaults     = 200
	maxFaultBytes = 300
)

// importFaults finds the lines "file:line: column: rule" of an import's error.
// A line that is not one is left out: it may hold a person's details. So is
// anything in quotation marks.
func importFaults(err error) []string {
	var faults []string
	for line := range strings.Lines(err.Error()) {
		line = control.ReplaceAllString(strings.TrimSpace(line), "")
		if line = withoutQuotes(line); !aFault.MatchString(line) {
			continue
		}
		if len(faults) == maxFaults {
			return append(faults, fmt.Sprintf("more than %d faults; the others are not listed", maxFaults))
		}
		if len(line) > maxFaultBytes {
			line = strings.ToValidUTF8(line[:maxFaultBytes], "") + "…"
		}
		faults = append(faults, line)
	}
	return slices.Clip(faults)
}

// aliasQuantities tells the schema what the JSON of our types is.
func aliasQuantities(r huma.Registry) {
	r.RegisterTypeAlias(reflect.TypeFor[apitypes.Seconds](), reflect.TypeFor[float64]())
}
