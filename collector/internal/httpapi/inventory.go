package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// Registrar keeps the inventory of hosts. Faults of what was asked for are a
// Refusal.
type Registrar interface {
	Inventory(ctx context.Context) ([]apitypes.InventoryHost, error)
	Invite(ctx context.Context, in apitypes.Invitation) (apitypes.Invited, error)
	DecideHost(ctx context.Context, host string, d apitypes.HostDecision) (apitypes.InventoryHost, error)
}

type invitationInput struct {
	Body apitypes.Invitation
}

type hostDecisionInput struct {
	ID   string `path:"id" pattern:"^[a-z2-7]{26}$"`
	Body apitypes.HostDecision
}

func noInventory() error {
	return apitypes.NewProblem(http.StatusNotImplemented, "this collector takes no hosts from elsewhere: start it with --agents")
}

func (s *server) registerInventory(api huma.API) {
	get(api, "/v1/inventory", "list-inventory", "Hosts that belong to the fleet, whether they report or not, by id", func(ctx context.Context, q *PageQuery) (*list[apitypes.InventoryHost], error) {
		if s.Registrar == nil {
			return &list[apitypes.InventoryHost]{Body: apitypes.List[apitypes.InventoryHost]{Items: []apitypes.InventoryHost{}}}, nil
		}
		all, err := s.Registrar.Inventory(ctx)
		if err != nil {
			return nil, s.failed(ctx, "inventory", err)
		}
		return page(all, *q, func(h apitypes.InventoryHost) apitypes.InventoryHost { return h }, func(h apitypes.InventoryHost) string { return h.ID })
	})
	act(api, http.MethodPost, "/v1/inventory", "invite-host", "Make a host, or let a known one enrol anew, and show its join token once", func(ctx context.Context, in *invitationInput) (*answer[apitypes.Invited], error) {
		if s.Registrar == nil {
			return nil, noInventory()
		}
		out, err := s.Registrar.Invite(ctx, in.Body)
		if err != nil {
			return nil, s.acted(ctx, "invite host", err)
		}
		return &answer[apitypes.Invited]{out}, nil
	})
	act(api, http.MethodPost, "/v1/inventory/{id}/decisions", "decide-host", "Clear, revoke or retire a host", func(ctx context.Context, in *hostDecisionInput) (*answer[apitypes.InventoryHost], error) {
		if s.Registrar == nil {
			return nil, noInventory()
		}
		out, err := s.Registrar.DecideHost(ctx, in.ID, in.Body)
		if err != nil {
			return nil, s.acted(ctx, "decide on host", err)
		}
		return &answer[apitypes.InventoryHost]{out}, nil
	})
}
