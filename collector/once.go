package collector

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
	"github.com/flopwatch/flopwatch/collector/internal/sealing"
	"github.com/flopwatch/flopwatch/collector/internal/store"
)

// onceFor is how long a request with a key is done once.
const onceFor = 24 * time.Hour

// once keeps what programs asked with a key. Answers may say who somebody is, so they
// are sealed.
type once struct {
	store *store.Store
	key   []byte
	now   func() time.Time
}

// Begin notes that a request is begun.
func (o once) Begin(ctx context.Context, key, request string) (httpapi.Answered, bool, error) {
	now := o.now()
	asked, first, err := o.store.BeginOnce(ctx, key, request, now, now.Add(-onceFor))
	if err != nil || first {
		return httpapi.Answered{}, first, err
	}
	a := httpapi.Answered{}
	if len(asked.Sealed) > 0 {
		text, err := sealing.Open(o.key, asked.Sealed, "answer", key)
		if err == nil {
			err = json.Unmarshal(text, &a)
		}
		if err != nil {
			return httpapi.Answered{}, false, fmt.Errorf("open the answer to a request that is done once: %w", err)
		}
	}
	a.Request, a.Status = asked.Request, asked.Status
	return a, false, nil
}

// End keeps an answer.
func (o once) End(ctx context.Context, key string, a httpapi.Answered) error {
	if a.Body == nil {
		return o.store.EndOnce(ctx, key, a.Status, nil)
	}
	text, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("keep the answer to a request that is done once: %w", err)
	}
	sealed, err := sealing.Seal(o.key, text, "answer", key)
	if err != nil {
		return fmt.Errorf("keep the answer to a request that is done once: %w", err)
	}
	return o.store.EndOnce(ctx, key, a.Status, sealed)
}

// Forget forgets a request that did nothing.
func (o once) Forget(ctx context.Context, key string) error { return o.store.ForgetOnce(ctx, key) }

var _ httpapi.Once = once{}
