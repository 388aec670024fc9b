package collector

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// askOnce sends a request with a key, and returns the whole answer.
func (o *office) askOnce(who, key, path, version string, body any) (*http.Response, string) {
	o.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		o.Fatal(err)
	}
	r, err := http.NewRequestWithContext(o.Context(), http.MethodPost, o.url+path, bytes.NewReader(data))
	if err != nil {
		o.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+o.token[who])
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	if version != "" {
		r.Header.Set("If-Match", version)
	}
	w, err := deskClient.Do(r)
	if err != nil {
		o.Fatal(err)
	}
	text, err := io.ReadAll(w.Body)
	if err = errorsOf(err, w.Body.Close()); err != nil {
		o.Fatal(err)
	}
	return w, string(text)
}

// A request that is sent again with its key is done once and answered as it was.
func TestTheSameIsDoneOnce(t *testing.T) {
	if storetest.Postgres() {
		t.Skip("the store's own test asks both engines")
	}
	o := openOffice(t, time.Now().Truncate(time.Second))
	o.signal("fnd_00000001")
	o.hire("analyst", "senior-reviewer")
	o.signIn("analyst", "senior-reviewer")
	want := func(what string, w *http.Response, text string, status int, says string) {
		t.Helper()
		if w.StatusCode != status || !strings.Contains(text, says) {
			t.Errorf("%s: %d %s, want %d with %q", what, w.StatusCode, text, status, says)
		}
	}
	open := map[string]string{"finding": "fnd_00000001", "reason": "to look"}
	w, first := o.askOnce("analyst", "open-1", "/v1/cases", "", open)
	want("the first", w, first, http.StatusOK, `"cas_`)
	if w.Header.Get("ETag") != `"1"` || w.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%v", w.Header)
	}
	w, again := o.askOnce("analyst", "open-1", "/v1/cases", "", open)
	want("the second", w, again, http.StatusOK, `"cas_`)
	if again != first || w.Header.Get("ETag") != `"1"` || w.Header.Get("Idempotency-Replayed") != "true" || w.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s, not %s; %v", again, first, w.Header)
	}
	var c apitypes.Case
	if err := json.Unmarshal([]byte(first), &c); err != nil {
		t.Fatal(err)
	}
	notes := "/v1/cases/" + c.ID + "/notes"
	w, text := o.askOnce("analyst", "open-1", notes, "", map[string]string{"text": "x"})
	want("another request", w, text, http.StatusUnprocessableEntity, "another request")
	w, text = o.askOnce("senior-reviewer", "open-1", notes, "", map[string]string{"text": "the reviewer's"})
	want("another person's key", w, text, http.StatusOK, "the reviewer's")
	w, text = o.askOnce("analyst", strings.Repeat("k", 256), notes, "", map[string]string{"text": "x"})
	want("a long key", w, text, http.StatusBadRequest, "Idempotency-Key")

	// What was refused did nothing: with the same key it is done later.
	assign, to := "/v1/cases/"+c.ID+"/assignments", map[string]string{"to": c.Assignee}
	for _, u := range done[apitypes.List[apitypes.User]](o, "", http.MethodGet, "/v1/users", "", nil).Items {
		if u.Login == "analyst" {
			to["to"] = u.ID
		}
	}
	w, text = o.askOnce("analyst", "assign", assign, `"7"`, to)
	want("a stale version", w, text, http.StatusPreconditionFailed, "")
	now := done[apitypes.Case](o, "analyst", http.MethodGet, "/v1/cases/"+c.ID, "", nil)
	version := strconv.Quote(strconv.FormatInt(now.Version, 10))
	w, text = o.askOnce("analyst", "assign", assign, version, to)
	want("the version that is there", w, text, http.StatusOK, to["to"])
	w, text = o.askOnce("analyst", "assign", assign, version, to)
	want("again", w, text, http.StatusOK, to["to"])

	// Many at once: one is done.
	var wait sync.WaitGroup
	for range 6 {
		wait.Go(func() {
			w, text := o.askOnce("analyst", "at-once", notes, "", map[string]string{"text": "only once"})
			if w.StatusCode != http.StatusOK && w.StatusCode != http.StatusConflict {
				t.Errorf("%d %s", w.StatusCode, text)
			}
		})
	}
	wait.Wait()
	count := 0
	for _, n := range done[apitypes.Case](o, "analyst", http.MethodGet, "/v1/cases/"+c.ID, "", nil).Notes {
		if n.Text == "only once" {
			count++
		}
	}
	if count != 1 {
		t.Errorf("noted %d times", count)
	}

	// A secret is shown once, and kept nowhere.
	token := apitypes.NewToken{Name: "nightly", Scope: []string{"read-cases"}, Days: 1}
	w, text = o.askOnce("analyst", "token", "/v1/tokens", "", token)
	want("a token", w, text, http.StatusOK, `"fwt_`)
	w, text = o.askOnce("analyst", "token", "/v1/tokens", "", token)
	want("the token again", w, text, http.StatusConflict, "given once")
	if n := len(done[apitypes.List[apitypes.Token]](o, "analyst", http.MethodGet, "/v1/tokens", "", nil).Items); n != 1 {
		t.Errorf("%d tokens", n)
	}

	// After a day the key is free.
	o.clock.set(o.clock.now().Add(onceFor + time.Second))
	o.signIn("analyst")
	w, text = o.askOnce("analyst", "at-once", notes, "", map[string]string{"text": "a day later"})
	want("a day later", w, text, http.StatusOK, "a day later")
}
