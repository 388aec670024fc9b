package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

// AuditLog hands the audit log on in files, as C2SP tlog-tiles names them.
type AuditLog interface {
	// AuditFile returns the content of a file; ok is false where there is none.
	AuditFile(ctx context.Context, path string) (content []byte, ok bool, err error)
}

type auditFileQuery struct {
	Path string `path:"path" maxLength:"100" doc:"checkpoint, log.vkey, or tile/LEVEL/NUMBER with its slashes"`
}

func (s *server) registerAudit(api huma.API) {
	get(api, "/v1/audit/entries", "list-audit-entries", "The audit log, last made first", func(ctx context.Context, q *PageQuery) (*list[apitypes.AuditEntry], error) {
		var before desk.AuditID
		if q.Cursor != "" {
			text, ok := cursorID(q.Cursor)
			id, err := desk.ParseAuditID(text)
			if !ok || err != nil {
				return nil, badCursor()
			}
			before = id
		}
		all, err := s.Reader.AuditEntries(ctx, before, q.Limit+1) // one more says whether there is a next page
		if err != nil {
			return nil, s.failed(ctx, "audit log", err)
		}
		out := &list[apitypes.AuditEntry]{}
		if len(all) > q.Limit {
			all = all[:q.Limit]
			out.Body.Next = cursorAfter(all[q.Limit-1].ID.String())
		}
		out.Body.Items = apitypes.Each(all, apitypes.FromAuditEntry)
		return out, nil
	})
	get(api, "/v1/audit/check", "check-audit", "Hold the audit log against its checkpoints and against what it protects", func(ctx context.Context, _ *struct{}) (*answer[apitypes.AuditCheck], error) {
		check, err := s.Reader.CheckAudit(ctx)
		if err != nil {
			return nil, s.failed(ctx, "audit check", err)
		}
		return &answer[apitypes.AuditCheck]{apitypes.FromAuditCheck(check)}, nil
	})
	get(api, "/v1/audit/log/{path...}", "show-audit-file", "The audit log as C2SP tlog-tiles, to be checked elsewhere: checkpoint, log.vkey and tiles", func(ctx context.Context, q *auditFileQuery) (*download, error) {
		if s.AuditLog == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector hands on no audit log")
		}
		content, ok, err := s.AuditLog.AuditFile(ctx, q.Path)
		if err != nil {
			return nil, s.failed(ctx, "audit log", err)
		}
		if !ok {
			return nil, apitypes.NewProblem(http.StatusNotFound, "the log has no such file")
		}
		return &download{ContentType: "application/octet-stream", ContentDisposition: "attachment", Body: content}, nil
	})
}
