package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
)

// OnceHeader is the header with a key of the client's own: the same request with the
// same key is done once, and answered again as it was.
const OnceHeader = "Idempotency-Key"

// body reads what was read before, and then what is left.
type body struct {
	io.Reader
	io.Closer
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// maxOnceKey is the longest key, in bytes.
const maxOnceKey = 255

// Answered is how a request that is done once stands.
type Answered struct {
	Request string // digest of what was asked
	Status  int    // 0: it was begun, and how it ended is not known
	Media   string
	ETag    string
	Body    []byte // nil where the answer is given once alone
}

// Once keeps for a day which requests were done, so that one that is sent again is
// not done again. Keys are digests.
type Once interface {
	// Begin notes that a request is begun. First is false where one with the key was
	// begun before, which stands as before says.
	Begin(ctx context.Context, key, request string) (before Answered, first bool, err error)
	// End keeps the answer of one that did something.
	End(ctx context.Context, key string, a Answered) error
	// Forget forgets one that did nothing.
	Forget(ctx context.Context, key string) error
}

// givenOnce reports whether an answer of the path holds what is shown once: secrets
// and personal data, which are kept nowhere else either.
func givenOnce(path string) bool {
	switch path {
	case "/v1/tokens", "/v1/login-links", "/v1/calendar-links", "/v1/inventory":
		return true
	}
	return strings.HasSuffix(path, "/reveals") || strings.HasSuffix(path, "/secrets")
}

// once does a POST that carries a key once. What was refused did nothing and may be
// sent again with the same key, as after signing in anew.
func (s *server) once(next http.Handler) http.Handler {
	if s.Once == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := strings.Trim(r.Header.Get(OnceHeader), `"`)
		who := permission.Of(r.Context())
		if r.Method != http.MethodPost || r.Header.Get(OnceHeader) == "" || who.ID == "" {
			next.ServeHTTP(w, r)
			return
		}
		if len(text) < 1 || len(text) > maxOnceKey || strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
			WriteProblem(w, apitypes.NewProblem(http.StatusBadRequest, OnceHeader+": must be 1 to 255 visible ASCII characters"))
			return
		}
		// Files take longer than a request without a body may; a writer without deadlines
		// (a test's) has none to move.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(30 * time.Second))
		data, err := io.ReadAll(r.Body)
		if err != nil { // too long, or the client went away: as for a request without a key
			r.Body = body{io.MultiReader(bytes.NewReader(data), failing{err}), r.Body}
			next.ServeHTTP(w, r)
			return
		}
		r.Body = body{bytes.NewReader(data), r.Body}
		request := digestOf(r.Method, r.URL.Path, r.URL.RawQuery, r.Header.Get("If-Match"), r.Header.Get("Content-Type"), string(data))
		s.doOnce(w, r, digestOf(who.ID, text), request, next)
	})
}

func (s *server) doOnce(w http.ResponseWriter, r *http.Request, key, request string, next http.Handler) {
	// Whoever went away meanwhile comes back with the same key, so what was done is noted.
	ctx := context.WithoutCancel(r.Context())
	before, first, err := s.Once.Begin(ctx, key, request)
	if err != nil {
		s.Log.LogAttrs(ctx, slog.LevelError, "api: request that is done once could not be noted", slog.String("error", err.Error()))
		WriteProblem(w, apitypes.NewProblem(http.StatusInternalServerError, "the key could not be noted, and nothing was done; the collector's log says why"))
		return
	}
	if !first {
		again(w, before, request)
		return
	}
	done := false
	defer func() {
		if done {
			return
		}
		if err := s.Once.Forget(ctx, key); err != nil {
			s.Log.LogAttrs(ctx, slog.LevelWarn, "api: request that did nothing could not be forgotten", slog.String("error", err.Error()))
		}
	}()
	given := record(next, r)
	if done = given.status/100 == 2; done {
		a := Answered{Request: request, Status: given.status, Media: given.header.Get("Content-Type"), ETag: given.header.Get("ETag")}
		if !givenOnce(r.URL.Path) {
			a.Body = append([]byte{}, given.body...)
		}
		if err := s.Once.End(ctx, key, a); err != nil {
			s.Log.LogAttrs(ctx, slog.LevelWarn, "api: answer to a request that is done once could not be kept", slog.String("error", err.Error()))
		}
	}
	for name, values := range given.header {
		w.Header()[name] = values
	}
	w.WriteHeader(given.status)
	_, _ = w.Write(given.body) // a client that left cannot be told more
}

// again answers a request whose key was used before.
func again(w http.ResponseWriter, before Answered, request string) {
	switch {
	case before.Request != request:
		WriteProblem(w, apitypes.NewProblem(http.StatusUnprocessableEntity, OnceHeader+": was used for another request within the last day"))
	case before.Status == 0:
		w.Header().Set("Retry-After", "1")
		WriteProblem(w, apitypes.NewProblem(http.StatusConflict, "this request was begun and has not ended, or how it ended is not known: if that stays so, look at what is there before you ask with another key"))
	case before.Body == nil:
		WriteProblem(w, apitypes.NewProblem(http.StatusConflict, "this was done; its answer is given once and is not kept"))
	default:
		w.Header().Set("Idempotency-Replayed", "true")
		if before.Media != "" {
			w.Header().Set("Content-Type", before.Media)
		}
		if before.ETag != "" {
			w.Header().Set("ETag", before.ETag)
		}
		w.WriteHeader(before.Status)
		_, _ = w.Write(before.Body) // a client that left cannot be told more
	}
}

// digestOf is of the parts and of where each ends.
func digestOf(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		sum := sha256.Sum256([]byte(p))
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// describeOnce puts the header into the document of every operation that takes it.
func describeOnce(api huma.API) {
	for _, item := range api.OpenAPI().Paths {
		if item.Post == nil {
			continue
		}
		most := maxOnceKey
		item.Post.Parameters = append(item.Post.Parameters, &huma.Param{Name: OnceHeader, In: "header",
			Description: "A key of your own. Within a day the same request with the same key is done once and answered as it was; another request with it is refused with 422. What was refused may be sent again.",
			Schema:      &huma.Schema{Type: "string", MaxLength: &most}})
	}
}

// tagged says the version of what an answer shows as its ETag, which is what an
// If-Match of the next act names.
func tagged(ctx huma.Context, _ string, v any) (any, error) {
	version := int64(0)
	switch v := v.(type) {
	case apitypes.Case:
		version = v.Version
	case apitypes.Report:
		version = v.Version
	case apitypes.Policy:
		version = v.Version
	}
	if version > 0 {
		ctx.SetHeader("ETag", etagOf(version))
	}
	return v, nil
}
