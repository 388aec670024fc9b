package httpapi

import (
	"context"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// Foreseer looks ahead and keeps what is reserved. What an import file has for
// faults is as for an Importer.
type Foreseer interface {
	Forecasts(ctx context.Context) ([]apitypes.Forecast, error)
	Campaigns(ctx context.Context) ([]apitypes.Campaign, error)
	Capabilities(ctx context.Context) ([]apitypes.Capability, error)
	Reservations(ctx context.Context) ([]apitypes.Reservation, error)
	ImportReservations(ctx context.Context, name string, data []byte, dryRun bool) (apitypes.Diff, error)
}

type reservationsInput struct {
	Name        string `query:"name" maxLength:"100" pattern:"^[A-Za-z0-9._ -]+$" default:"reservations" doc:"What faults call the file"`
	DryRun      bool   `query:"dry_run" doc:"Say what would change and write nothing"`
	ContentType string `header:"Content-Type" doc:"text/csv"`
	RawBody     []byte `contentType:"text/csv"`
}

// foreseen registers a list of what a Foreseer sees.
func foreseen[T any](s *server, api huma.API, path, id, summary string, read func(Foreseer, context.Context) ([]T, error), name func(T) string) {
	get(api, path, id, summary, func(ctx context.Context, q *PageQuery) (*list[T], error) {
		if s.Foreseer == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector does not look ahead")
		}
		all, err := read(s.Foreseer, ctx)
		if err != nil {
			return nil, s.failed(ctx, id, err)
		}
		return page(all, *q, func(t T) T { return t }, name)
	})
}

func (s *server) registerForesight(api huma.API) {
	foreseen(s, api, "/v1/forecasts", "list-forecasts", "When which threshold will be crossed, most done first", Foreseer.Forecasts, func(f apitypes.Forecast) string { return f.Subject })
	foreseen(s, api, "/v1/campaigns", "list-campaigns", "Runs of one customer that follow each other", Foreseer.Campaigns, func(c apitypes.Campaign) string { return c.ID })
	foreseen(s, api, "/v1/capabilities", "list-capabilities", "Peak of connected devices by customer and network speed", Foreseer.Capabilities, func(c apitypes.Capability) string {
		return fmt.Sprintf("%s %d", c.Subject, c.NetworkGbitS)
	})
	foreseen(s, api, "/v1/reservations", "list-reservations", "Reservations as they stand, by id", Foreseer.Reservations, func(r apitypes.Reservation) string { return r.ID })
	huma.Register(api, huma.Operation{
		OperationID: "put-reservations", Method: http.MethodPut, Path: "/v1/reservations",
		Summary:      "Record reservations from CSV, whole or not at all",
		Description:  "Reservations that are not named stay. One with a known id takes the place of the one before; one that ends where it begins withdraws it.",
		MaxBodyBytes: apitypes.MaxImportBytes, BodyReadTimeout: 30 * time.Second,
		Errors: []int{http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusNotImplemented},
	}, s.putReservations)
}

func (s *server) putReservations(ctx context.Context, in *reservationsInput) (*answer[Diff], error) {
	if s.Foreseer == nil {
		return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector takes no reservations")
	}
	if media, _, err := mime.ParseMediaType(in.ContentType); err != nil || media != "text/csv" {
		return nil, apitypes.NewProblem(http.StatusUnsupportedMediaType, "reservations come as text/csv")
	}
	diff, err := s.Foreseer.ImportReservations(ctx, in.Name, in.RawBody, in.DryRun)
	if err != nil {
		if faults := importFaults(err); len(faults) > 0 {
			return nil, apitypes.NewProblem(http.StatusUnprocessableEntity, "the file has faults; nothing was changed", faults...)
		}
		s.Log.LogAttrs(ctx, slog.LevelError, "api: import of reservations failed", slog.Int("bytes", len(in.RawBody)), slog.String("error", err.Error()))
		return nil, apitypes.NewProblem(http.StatusInternalServerError, "the reservations could not be stored; nothing was changed")
	}
	diff.DryRun = in.DryRun
	for _, ids := range []*[]string{&diff.New, &diff.Changed, &diff.Unchanged} {
		if *ids == nil {
			*ids = []string{}
		}
	}
	return &answer[Diff]{diff}, nil
}
