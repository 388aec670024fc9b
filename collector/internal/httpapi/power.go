package httpapi

import (
	"context"
	"log/slog"
	"math"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Metering takes readings of meters that hosts do not control. Format is "csv" or
// "ndjson"; faults are an error with a line "name:line: column: rule" for each.
type Metering interface {
	ImportPower(ctx context.Context, name, format string, data []byte, dryRun bool) (apitypes.PowerDiff, error)
}

type powerQuery struct {
	Host  string `query:"host" maxLength:"26" doc:"Only of this host"`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"200" doc:"At most so many"`
}

type powerInput struct {
	Name        string `query:"name" maxLength:"100" pattern:"^[A-Za-z0-9._ -]+$" default:"power" doc:"What faults call the file"`
	DryRun      bool   `query:"dry_run" doc:"Say what would change and write nothing"`
	ContentType string `header:"Content-Type" doc:"text/csv or application/x-ndjson"`
	RawBody     []byte `contentType:"text/csv"`
}

type evidenceQuery struct {
	Tenant string    `query:"tenant" required:"true" minLength:"1" maxLength:"256" doc:"Whose attributed time"`
	From   time.Time `query:"from" doc:"Start, RFC 3339; the beginning of the ledger when absent"`
	To     time.Time `query:"to" doc:"End (excluded), RFC 3339; the newest committed window when absent"`
}

func (s *server) registerPower(api huma.API) {
	get(api, "/v1/power", "list-power", "How meters compare with what hosts report, newest quarter of an hour first", func(ctx context.Context, q *powerQuery) (*list[apitypes.PowerSlot], error) {
		all, err := s.Reader.Power(ctx, q.Host, q.Limit)
		if err != nil {
			return nil, s.failed(ctx, "power", err)
		}
		out := &list[apitypes.PowerSlot]{}
		out.Body.Items = apitypes.Each(all, apitypes.FromPower)
		return out, nil
	})
	get(api, "/v1/evidence", "show-evidence", "On what the attributed time of a tenant rests", s.evidence)
	huma.Register(api, huma.Operation{
		OperationID: "put-power", Method: http.MethodPut, Path: "/v1/power",
		Summary:      "Record readings of meters from CSV or NDJSON, whole or not at all",
		Description:  "A reading that is there already changes nothing; one that differs from it is refused. Time in which meters and hosts agree is corroborated; where they do not, that is a finding.",
		MaxBodyBytes: apitypes.MaxImportBytes, BodyReadTimeout: 30 * time.Second,
		RequestBody: &huma.RequestBody{Content: map[string]*huma.MediaType{"application/x-ndjson": {}}},
		Errors:      []int{http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusNotImplemented},
	}, s.putPower)
}

func (s *server) evidence(ctx context.Context, q *evidenceQuery) (*answer[apitypes.Evidence], error) {
	from, to := int64(0), int64(math.MaxInt64)
	for _, p := range []struct {
		name string
		at   time.Time
		ns   *int64
	}{{"from", q.From, &from}, {"to", q.To, &to}} {
		if p.at.IsZero() {
			continue
		}
		if p.at.Before(earliest) || p.at.After(latest) {
			return nil, apitypes.NewProblem(http.StatusUnprocessableEntity, "the span makes no sense", p.name+": must be between 1970 and 2200")
		}
		*p.ns = p.at.UnixNano()
	}
	e, err := s.Reader.Evidence(ctx, measure.TenantID(q.Tenant), from, to)
	if err != nil {
		return nil, s.failed(ctx, "evidence", err)
	}
	return &answer[apitypes.Evidence]{apitypes.FromEvidence(e)}, nil
}

func (s *server) putPower(ctx context.Context, in *powerInput) (*answer[apitypes.PowerDiff], error) {
	if s.Metering == nil {
		return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector takes no readings of meters")
	}
	media, _, err := mime.ParseMediaType(in.ContentType)
	formats := map[string]string{"text/csv": "csv", "application/x-ndjson": "ndjson"}
	if err != nil || formats[media] == "" {
		return nil, apitypes.NewProblem(http.StatusUnsupportedMediaType, "readings come as text/csv or application/x-ndjson")
	}
	diff, err := s.Metering.ImportPower(ctx, in.Name, formats[media], in.RawBody, in.DryRun)
	if err != nil {
		if faults := importFaults(err); len(faults) > 0 {
			return nil, apitypes.NewProblem(http.StatusUnprocessableEntity, "the file has faults; nothing was changed", faults...)
		}
		s.Log.LogAttrs(ctx, slog.LevelError, "api: import of readings of power failed", slog.Int("bytes", len(in.RawBody)), slog.String("error", err.Error()))
		return nil, apitypes.NewProblem(http.StatusInternalServerError, "the readings could not be stored; the collector's log says why")
	}
	diff.DryRun = in.DryRun
	return &answer[apitypes.PowerDiff]{diff}, nil
}
