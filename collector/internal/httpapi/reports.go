package httpapi

import (
	"context"
	"io"
	"log/slog"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// Reporter writes reports for people. What may not be done is a Refusal.
type Reporter interface {
	OpenReport(ctx context.Context, n apitypes.NewReport) (apitypes.Report, error)
	ActOnReport(ctx context.Context, id string, version int64, act apitypes.ReportAct) (apitypes.Report, error)
	FileOnReport(ctx context.Context, id, name, media string, content []byte) (apitypes.Report, error)
	// Output returns a version of a report, the newest for 0, in a format.
	Output(ctx context.Context, id string, version int64, format string) (media string, content []byte, err error)
	// Bundle writes the sealed bundle of a version of a report, the newest for 0.
	Bundle(ctx context.Context, id string, version int64, w io.Writer) error
	// NoteRead notes that a report is read, before it is.
	NoteRead(ctx context.Context, id string) error
	Filer(ctx context.Context) (apitypes.Filer, error)
	SetFiler(ctx context.Context, f apitypes.Filer) (apitypes.Filer, error)
}

// ReportPath is exported because the router fills embedded structs only then.
type ReportPath struct {
	ID string `path:"id" pattern:"^rep_[a-z0-9]{1,40}$"`
}

type newReportInput struct {
	Body apitypes.NewReport
}

type reportActInput struct {
	ReportPath
	IfMatch string `header:"If-Match" doc:"The version of the report that you were shown, as \"4\""`
	Body    apitypes.ReportAct
}

type reportFileInput struct {
	ReportPath
	Name        string `query:"name" minLength:"1" maxLength:"200"`
	ContentType string `header:"Content-Type"`
	RawBody     []byte `contentType:"application/octet-stream"`
}

type reportFilePath struct {
	ReportPath
	File string `path:"file" pattern:"^fil_[a-z0-9]{1,40}$"`
}

type outputQuery struct {
	ReportPath
	Format  string `path:"format" enum:"json,html,pdf,xlsx,csv"`
	Version int64  `query:"version" minimum:"0" doc:"The newest if 0"`
}

type bundleQuery struct {
	ReportPath
	Version int64 `query:"version" minimum:"0" doc:"The newest if 0"`
}

type filerInput struct {
	Body apitypes.Filer
}

// reportActs are the sub-resources of a report by which people act, with the act.
var reportActs = []struct{ path, id, act, summary string }{
	{"fields", "set-report-fields", "set", "Say something in fields; an approval of what the report said before is void"},
	{"fills", "fill-report", "fill", "Fill in from ledger, runs, case and customer what no person said"},
	{"proposals", "propose-report", "propose", "Ask a second person to approve; required fields must not be missing"},
	{"returns", "return-report", "return", "Ask for changes"},
	{"approvals", "approve-report", "approve", "Approve what the report says by its digest, as a second person"},
	{"completions", "complete-report", "complete", "End an approved internal report"},
	{"filings", "file-report", "file", "Record that the approved report was submitted; its clock is met"},
	{"answers", "answer-report", "answered", "Record what the authority made of the filing"},
	{"amendments", "amend-report", "amend", "Begin a correction or a supplement of what was filed"},
	{"requests", "ask-report", "ask", "Record a request for information, and begin the answer"},
}

func (s *server) registerReports(api huma.API) {
	get(api, "/v1/reports", "list-reports", "Reports, last changed first", func(ctx context.Context, q *PageQuery) (*list[apitypes.Report], error) {
		all, err := s.Reader.Reports(ctx)
		if err != nil {
			return nil, s.failed(ctx, "reports", err)
		}
		return page(all, *q, apitypes.FromReport, func(r apitypes.Report) string { return r.ID })
	})
	get(api, "/v1/reports/{id}", "show-report", "One report with what it says and what is missing", func(ctx context.Context, q *ReportPath) (*answer[apitypes.Report], error) {
		r, ok, err := s.Reader.Report(ctx, q.ID)
		if err != nil {
			return nil, s.failed(ctx, "report", err)
		}
		if !ok {
			return nil, apitypes.NewProblem(http.StatusNotFound, "there is no such report")
		}
		if s.Reporter != nil {
			if err := s.Reporter.NoteRead(ctx, q.ID); err != nil {
				return nil, s.failed(ctx, "report", err)
			}
		}
		return &answer[apitypes.Report]{apitypes.FromReport(r)}, nil
	})
	get(api, "/v1/reports/{id}/files/{file}", "show-report-file", "A receipt or attachment of a report", func(ctx context.Context, q *reportFilePath) (*download, error) {
		f, content, ok, err := s.Reader.ReportFileContent(ctx, q.ID, q.File)
		if err != nil {
			return nil, s.failed(ctx, "file of a report", err)
		}
		if !ok {
			return nil, apitypes.NewProblem(http.StatusNotFound, "there is no such file")
		}
		return &download{ContentType: "application/octet-stream", ContentDisposition: `attachment; filename="` + f.ID + `"`, Body: content}, nil
	})
	get(api, "/v1/reports/{id}/outputs/{format}", "show-report-output", "A version of a report as canonical JSON, HTML, PDF, XLSX or CSV", func(ctx context.Context, q *outputQuery) (*download, error) {
		if s.Reporter == nil {
			return nil, noReports()
		}
		media, content, err := s.Reporter.Output(ctx, q.ID, q.Version, q.Format)
		if err != nil {
			return nil, s.refusedOrFailed(ctx, "report", err)
		}
		return &download{ContentType: media, ContentDisposition: `attachment; filename="` + q.ID + "." + q.Format + `"`, Body: content}, nil
	})
	get(api, "/v1/reports/{id}/bundle", "show-report-bundle", "The sealed bundle: report, pack, form, the hosts' signed batches, and proofs of the audit log", func(ctx context.Context, q *bundleQuery) (*huma.StreamResponse, error) {
		if s.Reporter == nil {
			return nil, noReports()
		}
		if _, ok, err := s.Reader.Report(ctx, q.ID); err != nil {
			return nil, s.failed(ctx, "report", err)
		} else if !ok {
			return nil, apitypes.NewProblem(http.StatusNotFound, "there is no such report")
		}
		return &huma.StreamResponse{Body: func(out huma.Context) {
			out.SetHeader("Content-Type", "application/zip")
			out.SetHeader("Content-Disposition", `attachment; filename="`+q.ID+`.zip"`)
			if err := s.Reporter.Bundle(ctx, q.ID, q.Version, out.BodyWriter()); err != nil {
				// What came so far is no bundle; whoever verifies it is told.
				s.Log.LogAttrs(ctx, slog.LevelError, "api: bundle failed", slog.String("error", err.Error()))
				panic(http.ErrAbortHandler)
			}
		}}, nil
	})
	act(api, http.MethodPost, "/v1/reports", "open-report", "Open a report, filled in as far as it is known", reporter(s, func(ctx context.Context, in *newReportInput) (apitypes.Report, error) {
		return s.Reporter.OpenReport(ctx, in.Body)
	}))
	for _, a := range reportActs {
		act(api, http.MethodPost, "/v1/reports/{id}/"+a.path, a.id, a.summary, reporter(s, func(ctx context.Context, in *reportActInput) (apitypes.Report, error) {
			version, err := versionOf(in.IfMatch)
			if err != nil {
				return apitypes.Report{}, err
			}
			in.Body.Act = a.act
			return s.Reporter.ActOnReport(ctx, in.ID, version, in.Body)
		}))
	}
	huma.Register(api, huma.Operation{
		OperationID: "file-on-report", Method: http.MethodPost, Path: "/v1/reports/{id}/files", Summary: "Add a receipt or an attachment, at most 10 MiB", MaxBodyBytes: 10<<20 + 1,
		Errors: []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity},
	}, reporter(s, func(ctx context.Context, in *reportFileInput) (apitypes.Report, error) {
		return s.Reporter.FileOnReport(ctx, in.ID, in.Name, in.ContentType, in.RawBody)
	}))
	get(api, "/v1/filer", "show-filer", "What the provider says of itself on reports", reporter(s, func(ctx context.Context, _ *struct{}) (apitypes.Filer, error) {
		return s.Reporter.Filer(ctx)
	}))
	act(api, http.MethodPut, "/v1/filer", "set-filer", "Say what stands of the provider on reports", reporter(s, func(ctx context.Context, in *filerInput) (apitypes.Filer, error) {
		return s.Reporter.SetFiler(ctx, in.Body)
	}))
}

func noReports() error {
	return apitypes.NewProblem(http.StatusNotImplemented, "this collector keeps no reports")
}

// reporter answers with what an act returns.
func reporter[I, O any](s *server, do func(context.Context, *I) (O, error)) func(context.Context, *I) (*answer[O], error) {
	return func(ctx context.Context, in *I) (*answer[O], error) {
		if s.Reporter == nil {
			return nil, noReports()
		}
		out, err := do(ctx, in)
		if err != nil {
			return nil, s.acted(ctx, "report", err)
		}
		return &answer[O]{out}, nil
	}
}
