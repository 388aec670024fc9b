package httpapi

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// keptLists are lists that say the same to all who have the same rights: what was
// made of one state of the ledger is given to the next who asks. Nothing that is a
// person's own, that leaves a trace in the audit log or that changes without a
// commit may be here.
var keptLists = map[string]bool{
	"/v1/tenants": true, "/v1/customers": true, "/v1/runs": true, "/v1/findings": true, "/v1/hosts": true, "/v1/coverage": true, "/v1/cases": true,
	"/v1/parties": true, "/v1/standings": true, "/v1/resellers": true, "/v1/exemptions": true, "/v1/links": true, "/v1/clusters": true, "/v1/reports": true, "/v1/reverifications": true,
	"/v1/programme/gaps": true, "/v1/forecasts": true, "/v1/campaigns": true, "/v1/capabilities": true,
}

// keptQuery is the longest query of which an answer is kept.
const keptQuery = 600

// sentAnswer is what was sent.
type sentAnswer struct {
	status int
	header http.Header
	body   []byte
}

// errNotKept says that an answer is for who asked alone.
var errNotKept = errors.New("the answer is not kept")

// keep gives answers of lists again. It stands before the permissions, which an
// answer that is kept has passed with the same rights.
func keep(reader desk.Reader, next http.Handler) http.Handler {
	keeper, ok := reader.(desk.Keeper)
	if !ok {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !keptLists[r.URL.Path] || len(r.URL.RawQuery) > keptQuery {
			next.ServeHTTP(w, r)
			return
		}
		key := "list " + r.URL.Path + "?" + r.URL.RawQuery + "\x00" + r.Header.Get("Accept") + "\x00" + permission.Of(r.Context()).Rights()
		var own sentAnswer
		kept, err := keeper.Keep(r.Context(), key, func() (any, int, error) {
			own = record(next, r)
			if own.status != http.StatusOK {
				return nil, 0, errNotKept
			}
			return own, len(own.body), nil
		})
		given, ok := kept.(sentAnswer)
		switch {
		case err == nil && ok:
		case errors.Is(err, errNotKept):
			given = own
		case errors.Is(err, context.Canceled): // who asked is gone
			return
		default: // the state could not be told: as if nothing were kept
			given = record(next, r)
		}
		for name, values := range given.header {
			w.Header()[name] = slices.Clip(values) // what others add goes to a copy
		}
		w.WriteHeader(given.status)
		_, _ = w.Write(given.body) // a client that left cannot be told more
	})
}

// recorder takes an answer.
type recorder struct {
	sentAnswer
	buffer bytes.Buffer
}

func record(h http.Handler, r *http.Request) sentAnswer {
	rec := recorder{sentAnswer: sentAnswer{header: http.Header{}}}
	h.ServeHTTP(&rec, r)
	if rec.status == 0 {
		rec.status = http.StatusOK
	}
	rec.body = rec.buffer.Bytes()
	return rec.sentAnswer
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
}

func (r *recorder) Write(b []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	return r.buffer.Write(b)
}
