package httpapi

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
)

type eventsQuery struct {
	PageQuery
	Host string `query:"host" maxLength:"200" doc:"Only events of the host with this id"`
	Kind string `query:"kind" maxLength:"200" doc:"Only events of this kind"`
}

// registerHostEvents adds the list of what hosts reported. /v1/events is the
// stream of revisions.
func (s *server) registerHostEvents(api huma.API) {
	get(api, "/v1/host-events", "list-host-events", "What hosts reported beside figures, last come first", func(ctx context.Context, q *eventsQuery) (*list[apitypes.Event], error) {
		filter := desk.EventFilter{Host: q.Host, Kind: q.Kind, Limit: q.Limit + 1} // one more says whether there is a next page
		if q.Cursor != "" {
			text, ok := cursorID(q.Cursor)
			after, err := desk.ParseEventID(text)
			if !ok || err != nil {
				return nil, badCursor()
			}
			filter.AfterID = int64(after)
		}
		events, err := s.Reader.Events(ctx, filter)
		if err != nil {
			return nil, s.failed(ctx, "events", err)
		}
		out := &list[apitypes.Event]{}
		if len(events) > q.Limit {
			events = events[:q.Limit]
			out.Body.Next = cursorAfter(events[q.Limit-1].ID.String())
		}
		out.Body.Items = apitypes.Each(events, apitypes.FromEvent)
		return out, nil
	})
}
