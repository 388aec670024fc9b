package httpapi

import (
	"context"
	"log/slog"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/strictjson"
)

// Diff is what an import changes, or would change.
type Diff = apitypes.Diff

// Importer reads customers from a file. Format is "csv" or "json", name is what
// faults call the file. The whole file is taken or nothing is. Faults of the
// file are an error whose text has a line "name:line: column: rule" for each;
// lines of other shape and quoted text are not shown to the client. data is
// valid only during the call.
type Importer interface {
	ImportCustomers(ctx context.Context, name, format string, data []byte, dryRun bool) (Diff, error)
}

type importInput struct {
	Name        string `query:"name" maxLength:"100" pattern:"^[A-Za-z0-9._ -]+$" default:"customers" doc:"What faults call the file"`
	DryRun      bool   `query:"dry_run" doc:"Say what would change and write nothing"`
	ContentType string `header:"Content-Type" doc:"text/csv or application/json"`
	RawBody     []byte `contentType:"text/csv"`
}

func (s *server) registerImport(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "import-customers", Method: http.MethodPost, Path: "/v1/customers/import",
		Summary:      "Import customers from CSV or JSON, whole or not at all",
		MaxBodyBytes: apitypes.MaxImportBytes, BodyReadTimeout: 30 * time.Second,
		RequestBody: &huma.RequestBody{Content: map[string]*huma.MediaType{"application/json": {}}},
		Errors:      []int{http.StatusUnauthorized, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity, http.StatusNotImplemented},
	}, s.importCustomers)
	huma.Register(api, huma.Operation{
		OperationID: "create-login-link", Method: http.MethodPost, Path: "/v1/login-links",
		Summary: "Make a one-time link to the desk", DefaultStatus: http.StatusCreated,
		Errors: []int{http.StatusUnauthorized, http.StatusNotImplemented},
	}, func(context.Context, *none) (*answer[apitypes.LoginLink], error) {
		if s.NewLink == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector has no desk to log in to")
		}
		url, expires := s.NewLink()
		return &answer[apitypes.LoginLink]{apitypes.LoginLink{URL: url, Expires: expires.UTC()}}, nil
	})
}

func (s *server) importCustomers(ctx context.Context, in *importInput) (*answer[Diff], error) {
	if s.Importer == nil {
		return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector takes no customers")
	}
	media, _, err := mime.ParseMediaType(in.ContentType)
	formats := map[string]string{"text/csv": "csv", "application/json": "json"}
	if err != nil || formats[media] == "" {
		return nil, apitypes.NewProblem(http.StatusUnsupportedMediaType, "customers come as text/csv or application/json")
	}
	if formats[media] == "json" {
		if err := strictjson.Check(in.RawBody); err != nil {
			return nil, apitypes.NewProblem(http.StatusBadRequest, "the file is not JSON as this API takes it: "+err.Error())
		}
	}
	diff, err := s.Importer.ImportCustomers(ctx, in.Name, formats[media], in.RawBody, in.DryRun)
	if err != nil {
		if faults := importFaults(err); len(faults) > 0 {
			return nil, apitypes.NewProblem(http.StatusUnprocessableEntity, "the file has faults; nothing was changed", faults...)
		}
		// The text may hold a person's details, so it goes to nobody.
		s.Log.LogAttrs(ctx, slog.LevelError, "api: customer import failed", slog.Int("bytes", len(in.RawBody)))
		return nil, apitypes.NewProblem(http.StatusInternalServerError, "the customers could not be stored; nothing was changed")
	}
	diff.DryRun = in.DryRun
	for _, ids := range []*[]string{&diff.New, &diff.Changed, &diff.Unchanged} {
		if *ids == nil {
			*ids = []string{}
		}
	}
	return &answer[Diff]{diff}, nil
}
