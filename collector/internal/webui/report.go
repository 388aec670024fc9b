package webui

import (
	"context"
	"net/http"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

func (s *site) reports(ctx context.Context, _ *http.Request) (any, error) {
	all, err := s.Reader.Reports(ctx)
	rows, more := cut(all, maxRows)
	return listView[desk.Report]{rows, more}, err
}

func (s *site) report(ctx context.Context, r *http.Request) (any, error) {
	report, ok, err := s.Reader.Report(ctx, r.PathValue("id"))
	if err == nil && !ok {
		err = notFound("There is no such report.")
	}
	return report, err
}
