package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/httpapi"
)

// caseworker notes what it was asked.
type caseworker struct {
	asked string
	err   error
}

func (w *caseworker) OpenCase(_ context.Context, finding, reason string) (apitypes.Case, error) {
	w.asked = "open " + finding + " " + reason
	return apitypes.Case{ID: "cas_new"}, w.err
}

func (w *caseworker) ActOnCase(_ context.Context, id string, version int64, a apitypes.CaseAct) (apitypes.Case, error) {
	w.asked = strings.TrimSpace(fmt.Sprint(id, " ", version, " ", a.Act, " ", a.To, a.Finding, a.Outcome, a.Digest, a.Clock))
	return apitypes.Case{ID: id}, w.err
}

func (w *caseworker) NoteOnCase(_ context.Context, id, text string) (apitypes.Case, error) {
	w.asked = "note " + id + " " + text
	return apitypes.Case{ID: id}, w.err
}

func (w *caseworker) FileOnCase(_ context.Context, id, name, media string, content []byte) (apitypes.Case, error) {
	w.asked = fmt.Sprintf("file %s %s %s %s", id, name, media, content)
	return apitypes.Case{ID: id}, w.err
}

func (w *caseworker) WorkOnFinding(_ context.Context, id string, a apitypes.FindingAct) (apitypes.FindingWork, error) {
	w.asked = "work " + id + " " + a.State
	return apitypes.FindingWork{State: a.State}, w.err
}

func TestActsOnCases(t *testing.T) {
	w := &caseworker{}
	h := httpapi.New(httpapi.Deps{Reader: desktest.New(), Caseworker: w})
	ask := func(path, match, media, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(trusted(t.Context()), "POST", path, strings.NewReader(body))
		r.Header.Set("Content-Type", media)
		if match != "" {
			r.Header.Set("If-Match", match)
		}
		out := httptest.NewRecorder()
		w.asked = ""
		h.ServeHTTP(out, r)
		return out
	}
	const form = "application/json"
	for _, c := range []struct {
		path, match, media, body string
		code                     int
		asked                    string
	}{
		{"/v1/cases", "", form, `{"finding":"fnd_1","reason":"r"}`, 200, "open fnd_1 r"},
		{"/v1/cases/cas_1/assignments", `"4"`, form, `{"to":"usr_a"}`, 200, "cas_1 4 assign usr_a"},
		{"/v1/cases/cas_1/approvals", "4", form, `{"digest":"ab"}`, 200, "cas_1 4 approve decision ab"},
		{"/v1/cases/cas_1/knowledge", "4", form, `{"clock":"c","at":"2026-01-01T00:00:00Z","reason":"r"}`, 200, "cas_1 4 know c"},
		{"/v1/cases/cas_1/knowledge", "4", form, `{"clock":"c","at":"yesterday"}`, 422, ""},
		{"/v1/cases/cas_1/closures", "", form, `{}`, 428, ""},
		{"/v1/cases/cas_1/closures", "x", form, `{}`, 400, ""},
		{"/v1/cases/CAS-1/closures", "4", form, `{}`, 422, ""},
		{"/v1/cases/cas_1/proposals", "4", form, `{"outcome":"perhaps"}`, 422, ""},
		{"/v1/cases/cas_1/notes", "", form, `{"text":"hello"}`, 200, "note cas_1 hello"},
		{"/v1/cases/cas_1/files?name=a.txt", "", "text/plain", "content", 200, "file cas_1 a.txt text/plain content"},
		{"/v1/findings/fnd_1/work", "", form, `{"state":"triaged"}`, 200, "work fnd_1 triaged"},
		{"/v1/findings/fnd_1/work", "", form, `{"state":"deleted"}`, 422, ""},
	} {
		if got := ask(c.path, c.match, c.media, c.body); got.Code != c.code || w.asked != c.asked {
			t.Errorf("%s %s: %d, asked %q, want %d %q: %s", c.path, c.body, got.Code, w.asked, c.code, c.asked, got.Body)
		}
	}
	w.err = &httpapi.Refusal{Status: http.StatusPreconditionFailed, Why: "it was changed"}
	if got := ask("/v1/cases/cas_1/closures", "4", form, `{}`); got.Code != 412 || !strings.Contains(got.Body.String(), "it was changed") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	w.err = errors.New("no disk at /secret")
	if got := ask("/v1/cases/cas_1/closures", "4", form, `{}`); got.Code != 500 || strings.Contains(got.Body.String(), "secret") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := call(t, h, "GET", "/v1/cases/cas_0001", "", ""); got.Code != 200 || !strings.Contains(got.Body.String(), "decision proposed") {
		t.Errorf("%d %s", got.Code, got.Body)
	}
	if got := call(t, h, "GET", "/v1/cases/cas_none", "", ""); got.Code != 404 {
		t.Errorf("%d", got.Code)
	}
	got := call(t, h, "GET", "/v1/cases/cas_0001/files/fil_1", "", "")
	if got.Code != 200 || got.Header().Get("Content-Disposition") != `attachment; filename="fil_1"` || got.Header().Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%d %v", got.Code, got.Header())
	}
	if d := decode[apitypes.List[apitypes.Finding]](t, call(t, h, "GET", "/v1/findings?state=dismissed", "", "")); len(d.Items) != 1 || d.Items[0].ID != "fnd_0000" {
		t.Errorf("%+v", d)
	}
}
