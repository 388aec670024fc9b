package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// Storekeeper tells of backups and of the check of what is stored.
type Storekeeper interface {
	Storage(ctx context.Context) (apitypes.Storage, error)
}

func (s *server) registerStorage(api huma.API) {
	get(api, "/v1/storage", "show-storage", "Backups, and the check of every stored batch", func(ctx context.Context, _ *struct{}) (*answer[apitypes.Storage], error) {
		if s.Storekeeper == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector tells nothing of its storage")
		}
		state, err := s.Storekeeper.Storage(ctx)
		if err != nil {
			return nil, s.failed(ctx, "storage", err)
		}
		return &answer[apitypes.Storage]{state}, nil
	})
}
