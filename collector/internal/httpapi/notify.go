package httpapi

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
)

// Messenger tells people outside the desk. What may not be done is a Refusal.
type Messenger interface {
	// Channels returns the channels with how they fare, by name.
	Channels(ctx context.Context) ([]apitypes.Channel, error)
	// MakeCalendarLink makes the one link of who asks.
	MakeCalendarLink(ctx context.Context) (apitypes.CalendarLink, error)
	EndCalendarLink(ctx context.Context) error
}

func (s *server) registerNotify(api huma.API) {
	get(api, "/v1/channels", "list-channels", "Channels by which people are told, and how they fare", func(ctx context.Context, _ *struct{}) (*list[apitypes.Channel], error) {
		out := &list[apitypes.Channel]{Body: apitypes.List[apitypes.Channel]{Items: []apitypes.Channel{}}}
		if s.Messenger == nil {
			return out, nil
		}
		all, err := s.Messenger.Channels(ctx)
		if err != nil {
			return nil, s.failed(ctx, "channels", err)
		}
		out.Body.Items = append(out.Body.Items, all...)
		return out, nil
	})
	act(api, http.MethodPost, "/v1/calendar-links", "make-calendar-link", "Make your link to the calendar of deadlines; the one before ends", func(ctx context.Context, _ *none) (*answer[apitypes.CalendarLink], error) {
		if s.Messenger == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector has no calendar")
		}
		link, err := s.Messenger.MakeCalendarLink(ctx)
		if err != nil {
			return nil, s.acted(ctx, "calendar link", err)
		}
		return &answer[apitypes.CalendarLink]{link}, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "end-calendar-link", Method: http.MethodDelete, Path: "/v1/calendar-links", Summary: "End your link to the calendar of deadlines", DefaultStatus: http.StatusNoContent,
		Errors: []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotImplemented},
	}, func(ctx context.Context, _ *none) (*struct{}, error) {
		if s.Messenger == nil {
			return nil, apitypes.NewProblem(http.StatusNotImplemented, "this collector has no calendar")
		}
		if err := s.Messenger.EndCalendarLink(ctx); err != nil {
			return nil, s.acted(ctx, "calendar link", err)
		}
		return &struct{}{}, nil
	})
}
