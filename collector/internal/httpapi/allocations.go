package httpapi

import (
	"context"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// Allocator records allocations from a file. Format is "csv" or "ndjson"; for the
// rest it is as an Importer.
type Allocator interface {
	ImportAllocations(ctx context.Context, name, format string, data []byte, dryRun bool) (apitypes.AllocationDiff, error)
}

type allocationsInput struct {
	Name        string `query:"name" maxLength:"100" pattern:"^[A-Za-z0-9._ -]+$" default:"allocations" doc:"What faults call the file"`
	DryRun      bool   `query:"dry_run" doc:"Say what would change and write nothing"`
	ContentType string `header:"Content-Type" doc:"text/csv or application/x-ndjson"`
	RawBody     []byte `contentType:"text/csv"`
}

func (s *server) registerAllocations(api huma.API) {
	get(api, "/v1/allocations", "list-allocations", "Allocations as they stand, by id", func(ctx context.Context, q *PageQuery) (*list[apitypes.Allocation], error) {
		all, err := s.Reader.Allocations(ctx)
		if err != nil {
			return nil, s.failed(ctx, "allocations", err)
		}
		return page(all, *q, apitypes.FromAllocation, func(a apitypes.Allocation) string { return a.ID })
	})
	get(api, "/v1/corrections", "list-corrections", "Correcting entries that allocations made, last made first", func(ctx context.Context, q *PageQuery) (*list[apitypes.Correction], error) {
		var before desk.CorrectionID
		if q.Cursor != "" {
			text, ok := cursorID(q.Cursor)
			id, err := desk.ParseCorrectionID(text)
			if !ok || err != nil {
				return nil, badCursor()
			}
			before = id
		}
		all, err := s.Reader.Corrections(ctx, before, q.Limit+1) // one more says whether there is a next page
		if err != nil {
			return nil, s.failed(ctx, "corrections", err)
		}
		out := &list[apitypes.Correction]{}
		if len(all) > q.Limit {
			all = all[:q.Limit]
			out.Body.Next = cursorAfter(all[q.Limit-1].ID.String())
		}
		out.Body.Items = apitypes.Each(all, apitypes.FromCorrection)
		return out, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "put-allocations", Method: http.MethodPut, Path: "/v1/allocations",
		Summary:      "Record allocations from CSV or NDJSON, whole or not at all",
		Description:  "Allocations that are not named stay in force. One with a known id takes the place of the one before. Time that was counted already goes to whom they name, by correcting entries.",
		MaxBodyBytes: apitypes.MaxImportBytes, BodyReadTimeout: 30 * time.Second,
		RequestBody: &huma.RequestBody{Content: map[string]*huma.MediaType{"application/x-ndjson": {}}},
		Errors:      []int{http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusNotImplemented},
	}, s.putAllocations)
}

func (s *server) putAllocations(ctx context.Context, in *allocationsInput) (*answer[apitypes.AllocationDiff], error) {
	if s.Allocator == nil {
		return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector takes no allocations")
	}
	media, _, err := mime.ParseMediaType(in.ContentType)
	formats := map[string]string{"text/csv": "csv", "application/x-ndjson": "ndjson"}
	if err != nil || formats[media] == "" {
		return nil, apitypes.NewProblem(http.StatusUnsupportedMediaType, "allocations come as text/csv or application/x-ndjson")
	}
	diff, err := s.Allocator.ImportAllocations(ctx, in.Name, formats[media], in.RawBody, in.DryRun)
	if err != nil {
		if faults := importFaults(err); len(faults) > 0 {
			return nil, apitypes.NewProblem(http.StatusUnprocessableEntity, "the file has faults; nothing was changed", faults...)
		}
		s.Log.LogAttrs(ctx, slog.LevelError, "api: import of allocations failed", slog.Int("bytes", len(in.RawBody)), slog.String("error", err.Error()))
		return nil, apitypes.NewProblem(http.StatusInternalServerError, "the allocations could not be stored; the collector's log says why")
	}
	diff.DryRun = in.DryRun
	for _, ids := range []*[]string{&diff.New, &diff.Changed, &diff.Unchanged} {
		if *ids == nil {
			*ids = []string{}
		}
	}
	if diff.Conflicts == nil {
		diff.Conflicts = []apitypes.AllocationConflict{}
	}
	return &answer[apitypes.AllocationDiff]{diff}, nil
}
