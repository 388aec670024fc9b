package httpapi

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// registerSettings shows how agents work and how far a change has come. Texts are
// drafted, proposed and approved as policies of the kind settings.
func (s *server) registerSettings(api huma.API) {
	get(api, "/v1/settings", "show-settings", "Settings of the fleet's agents, and how far they have come", func(ctx context.Context, _ *none) (*answer[apitypes.Settings], error) {
		v, err := s.Reader.Settings(ctx)
		if err != nil {
			return nil, s.failed(ctx, "settings", err)
		}
		return &answer[apitypes.Settings]{apitypes.FromSettings(v)}, nil
	})
	get(api, "/v1/settings/hosts", "list-settings-hosts", "What each host should run and says it runs, by name", func(ctx context.Context, q *PageQuery) (*list[apitypes.SettingsHost], error) {
		v, err := s.Reader.Settings(ctx)
		if err != nil {
			return nil, s.failed(ctx, "settings", err)
		}
		return page(v.Hosts, *q, apitypes.FromSettingsHost, func(h apitypes.SettingsHost) string { return h.Host })
	})
}
