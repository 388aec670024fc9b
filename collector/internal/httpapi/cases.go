package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// Caseworker does people's acts on findings and cases. What may not be done is a
// Refusal.
type Caseworker interface {
	OpenCase(ctx context.Context, finding, reason string) (apitypes.Case, error)
	ActOnCase(ctx context.Context, id string, version int64, act apitypes.CaseAct) (apitypes.Case, error)
	NoteOnCase(ctx context.Context, id, text string) (apitypes.Case, error)
	FileOnCase(ctx context.Context, id, name, media string, content []byte) (apitypes.Case, error)
	WorkOnFinding(ctx context.Context, id string, act apitypes.FindingAct) (apitypes.FindingWork, error)
}

// CasePath is exported because the router fills embedded structs only then.
type CasePath struct {
	ID string `path:"id" pattern:"^cas_[a-z0-9]{1,40}$"`
}

type caseActInput struct {
	CasePath
	IfMatch string `header:"If-Match" doc:"The version of the case that you were shown, as \"4\""`
	Body    struct {
		To      string `json:"to,omitempty" maxLength:"60" doc:"usr_…, of an assignment"`
		Finding string `json:"finding,omitempty" maxLength:"60"`
		Outcome string `json:"outcome,omitempty" enum:"reportable,not reportable"`
		Code    string `json:"code,omitempty" maxLength:"100"`
		Reason  string `json:"reason,omitempty" maxLength:"2000"`
		Digest  string `json:"digest,omitempty" maxLength:"64" doc:"Of what is approved"`
		Clock   string `json:"clock,omitempty" maxLength:"100"`
		At      string `json:"at,omitempty" format:"date-time"`
	}
}

type openCaseInput struct {
	Body struct {
		Finding string `json:"finding" maxLength:"60"`
		Reason  string `json:"reason" minLength:"1" maxLength:"2000"`
	}
}

type noteInput struct {
	CasePath
	Body struct {
		Text string `json:"text" minLength:"1" maxLength:"20000"`
	}
}

type fileInput struct {
	CasePath
	Name        string `query:"name" minLength:"1" maxLength:"200"`
	ContentType string `header:"Content-Type"`
	RawBody     []byte `contentType:"application/octet-stream"`
}

type filePath struct {
	CasePath
	File string `path:"file" pattern:"^fil_[a-z0-9]{1,40}$"`
}

type findingActInput struct {
	ID   string `path:"id" pattern:"^fnd_[a-z0-9]{1,40}$"`
	Body apitypes.FindingAct
}

type download struct {
	ContentType        string `header:"Content-Type"`
	ContentDisposition string `header:"Content-Disposition"`
	Body               []byte
}

// caseActs are the sub-resources of a case by which people act, with the act.
var caseActs = []struct{ path, id, act, summary string }{
	{"assignments", "assign-case", "assign", "Give the case to a person"},
	{"findings", "attach-finding", "attach", "Attach a finding; a decision that did not know of it is void"},
	{"proposals", "propose-decision", "propose decision", "Propose what the case is decided to be"},
	{"approvals", "approve-decision", "approve decision", "Approve the proposed decision by its digest, as a second person"},
	{"returns", "return-decision", "return", "Send the proposed decision back"},
	{"closures", "close-case", "close", "Close a decided case whose obligations are met"},
	{"reopenings", "reopen-case", "reopen", "Take a decided case up again"},
	{"knowledge", "determine-knowledge", "know", "Determine since when it was known; later needs a second person"},
	{"knowledge-approvals", "approve-knowledge", "approve knowledge", "Approve that knowledge moves later, by its digest"},
	{"clocks", "start-clock", "start clock", "Start a clock of the case's pack, such as that of a request"},
	{"holds", "hold-case", "hold", "Put the case under legal hold"},
}

func (s *server) registerCases(api huma.API) {
	get(api, "/v1/cases", "list-cases", "Cases, the one that falls due first first", func(ctx context.Context, q *PageQuery) (*list[apitypes.Case], error) {
		all, err := s.Reader.Cases(ctx)
		if err != nil {
			return nil, s.failed(ctx, "cases", err)
		}
		return page(all, *q, apitypes.FromCase, func(c apitypes.Case) string { return c.ID })
	})
	get(api, "/v1/cases/{id}", "show-case", "One case with its history, notes and files", func(ctx context.Context, q *CasePath) (*answer[apitypes.Case], error) {
		c, ok, err := s.Reader.Case(ctx, q.ID)
		if err != nil {
			return nil, s.failed(ctx, "case", err)
		}
		if !ok {
			return nil, apitypes.NewProblem(http.StatusNotFound, "there is no such case")
		}
		return &answer[apitypes.Case]{apitypes.FromCase(c)}, nil
	})
	get(api, "/v1/cases/{id}/files/{file}", "show-case-file", "A file of a case", func(ctx context.Context, q *filePath) (*download, error) {
		f, content, ok, err := s.Reader.CaseFileContent(ctx, q.ID, q.File)
		if err != nil {
			return nil, s.failed(ctx, "file of a case", err)
		}
		if !ok {
			return nil, apitypes.NewProblem(http.StatusNotFound, "there is no such file")
		}
		// Whatever it says that it is, a browser only saves it.
		return &download{ContentType: "application/octet-stream", ContentDisposition: `attachment; filename="` + f.ID + `"`, Body: content}, nil
	})
	act(api, http.MethodPost, "/v1/cases", "open-case", "Open a case on a finding, or attach it to the open one of the same subject and pack", caseworker(s, func(ctx context.Context, in *openCaseInput) (apitypes.Case, error) {
		return s.Caseworker.OpenCase(ctx, in.Body.Finding, in.Body.Reason)
	}))
	for _, a := range caseActs {
		act(api, http.MethodPost, "/v1/cases/{id}/"+a.path, a.id, a.summary, caseworker(s, func(ctx context.Context, in *caseActInput) (apitypes.Case, error) {
			return s.actOnCase(ctx, a.act, in)
		}))
	}
	act(api, http.MethodPost, "/v1/cases/{id}/notes", "note-on-case", "Add a note", caseworker(s, func(ctx context.Context, in *noteInput) (apitypes.Case, error) {
		return s.Caseworker.NoteOnCase(ctx, in.ID, in.Body.Text)
	}))
	huma.Register(api, huma.Operation{
		OperationID: "file-on-case", Method: http.MethodPost, Path: "/v1/cases/{id}/files", Summary: "Add a file, at most 10 MiB", MaxBodyBytes: 10<<20 + 1,
		Errors: []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity},
	}, caseworker(s, func(ctx context.Context, in *fileInput) (apitypes.Case, error) {
		return s.Caseworker.FileOnCase(ctx, in.ID, in.Name, in.ContentType, in.RawBody)
	}))
	act(api, http.MethodPost, "/v1/findings/{id}/work", "work-on-finding", "Triage, dismiss, suppress or reopen a finding", caseworker(s, func(ctx context.Context, in *findingActInput) (apitypes.FindingWork, error) {
		return s.Caseworker.WorkOnFinding(ctx, in.ID, in.Body)
	}))
}

// caseworker answers with what an act returns.
func caseworker[I, O any](s *server, do func(context.Context, *I) (O, error)) func(context.Context, *I) (*answer[O], error) {
	return func(ctx context.Context, in *I) (*answer[O], error) {
		if s.Caseworker == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector keeps no cases")
		}
		out, err := do(ctx, in)
		if err != nil {
			return nil, s.acted(ctx, "case", err)
		}
		return &answer[O]{out}, nil
	}
}

func (s *server) actOnCase(ctx context.Context, act string, in *caseActInput) (apitypes.Case, error) {
	version, err := versionOf(in.IfMatch)
	if err != nil {
		return apitypes.Case{}, err
	}
	b := in.Body
	out := apitypes.CaseAct{Act: act, To: b.To, Finding: b.Finding, Outcome: b.Outcome, Code: b.Code, Reason: b.Reason, Digest: b.Digest, Clock: b.Clock}
	if b.At != "" {
		if out.At, err = apitypes.ParseTime(b.At); err != nil {
			return apitypes.Case{}, &Refusal{Status: http.StatusUnprocessableEntity, Why: "at: must be a time such as 2026-11-23T12:00:00Z"}
		}
	}
	return s.Caseworker.ActOnCase(ctx, in.ID, version, out)
}

// etagOf is the version of an object as HTTP says it.
func etagOf(version int64) string { return strconv.Quote(strconv.FormatInt(version, 10)) }

// versionOf reads an If-Match. It is asked for, so that nobody acts on what they
// were not shown.
func versionOf(match string) (int64, error) {
	if match == "" {
		return 0, &Refusal{Status: http.StatusPreconditionRequired, Why: "send the version that you were shown as If-Match"}
	}
	n, err := strconv.ParseInt(strings.Trim(match, `"`), 10, 64)
	if err != nil || n < 1 {
		return 0, &Refusal{Status: http.StatusBadRequest, Why: `If-Match: must be a version such as "4"`}
	}
	return n, nil
}
