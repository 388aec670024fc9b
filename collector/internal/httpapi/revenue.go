package httpapi

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// Revenues takes prices and billed totals of customers, whole or not at all.
// Faults of the file are an error with a line "name:line: column: rule" for each.
type Revenues interface {
	ImportRevenue(ctx context.Context, name string, data []byte) (rows int, err error)
}

type revenueInput struct {
	Name    string `query:"name" maxLength:"100" pattern:"^[A-Za-z0-9._ -]+$" default:"revenue" doc:"What faults call the file"`
	RawBody []byte `contentType:"text/csv"`
}

func (s *server) registerRevenue(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "import-revenue", Method: http.MethodPost, Path: "/v1/revenue/import", Summary: "Import price lists or billed totals of customers from CSV",
		MaxBodyBytes: apitypes.MaxImportBytes,
		Errors:       []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity, http.StatusNotImplemented},
	}, func(ctx context.Context, in *revenueInput) (*answer[apitypes.Imported], error) {
		if s.Revenues == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector takes no revenue")
		}
		n, err := s.Revenues.ImportRevenue(ctx, in.Name, in.RawBody)
		if err != nil {
			if faults := importFaults(err); len(faults) > 0 {
				return nil, apitypes.NewProblem(http.StatusUnprocessableEntity, "the file has faults; nothing was changed", faults...)
			}
			// The text may hold what a customer pays, so it goes to nobody.
			s.Log.LogAttrs(ctx, slog.LevelError, "api: revenue import failed", slog.Int("bytes", len(in.RawBody)))
			return nil, apitypes.NewProblem(http.StatusInternalServerError, "the file could not be stored; nothing was changed")
		}
		return &answer[apitypes.Imported]{apitypes.Imported{Rows: n}}, nil
	})
}
