package screening_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/flopwatch/flopwatch/collector/internal/screening"
)

var violet = screening.Subject{Person: true, Names: []string{"Violet Planted", "Виолетта"}, BirthDate: "1980-02-29", Countries: []string{"RU"}}

// recorded is a question and its answer. The questions and answers follow the
// published sources of moov-io/watchman at d299005 and opensanctions/yente at
// 916a474, and yente 4 before it.
type recorded struct {
	Method, Path string
	Query        map[string][]string
	Body         any
	Answer       any
}

// contract serves what was recorded, in this order, and holds each question
// against it.
func contract(t *testing.T, file string) *httptest.Server {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var all []recorded
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked >= len(all) {
			t.Errorf("one question too many: %s", r.URL.Path)
			return
		}
		want := all[asked]
		asked++
		got := recorded{Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Answer: want.Answer}
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			if err := json.Unmarshal(body, &got.Body); err != nil {
				t.Error(err)
			}
		}
		if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("the question is not the recorded one:\n%s", d)
		}
		if r.Header.Get("Authorization") != "Bearer tok" {
			t.Error("the token is missing")
		}
		_ = json.NewEncoder(w).Encode(want.Answer)
	}))
	t.Cleanup(func() {
		server.Close()
		if asked != len(all) {
			t.Errorf("%s: %d of %d questions were asked", file, asked, len(all))
		}
	})
	return server
}

func client(t *testing.T, kind screening.Kind, url string) *screening.Client {
	t.Helper()
	c, err := screening.New(screening.Options{Kind: kind, URL: url, Token: "tok"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestContracts(t *testing.T) {
	shell := screening.Subject{Names: []string{"Planted Shell Ltd", "Planted"}, BirthDate: "ignored", Countries: []string{"HK"}}
	for _, c := range []struct {
		file  string
		kind  screening.Kind
		about screening.Subject
		want  []screening.Hit
	}{
		{"yente4.json", screening.Yente, violet, []screening.Hit{{List: "us_ofac_sdn us_bis_entity", Version: "2026-10-02T00:00:00", Entry: "Q1841", Score: 0.91, Explanation: "country_match 1.00, name_jarowinkler 0.93"}}},
		{"yente.json", screening.Yente, violet, []screening.Hit{{List: "us_ofac_sdn", Version: "2026-10-02T00:00:00", Entry: "Q1841", Score: 0.91, Explanation: "dob_day_disjoint 0.50, name_match 0.93"}}},
		{"watchman.json", screening.Watchman, violet, []screening.Hit{{List: "us_ofac", Version: "0123456789abcdef", Entry: "12345", Score: 0.88, Explanation: "match 0.88"}}},
		{"watchman-organisation.json", screening.Watchman, shell, []screening.Hit{
			{List: "us_csl", Entry: "77", Score: 0.97, Explanation: "match 0.97"},
			{List: "us_ofac", Version: "abc", Entry: "12345", Score: 0.75, Explanation: "match 0.75"},
		}},
	} {
		got, err := client(t, c.kind, contract(t, c.file).URL).Search(t.Context(), c.about)
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", c.file, err, d)
		}
	}
}

// The public service of OpenSanctions wants another scheme than bearer.
func TestTokenNamesItsScheme(t *testing.T) {
	for token, want := range map[string]string{"tok": "Bearer tok", "ApiKey tok": "ApiKey tok"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != want {
				t.Errorf("%q is sent as %q", token, got)
			}
			_, _ = io.WriteString(w, `{"responses":{"q":{"status":200,"results":[]}}}`)
		}))
		c, err := screening.New(screening.Options{Kind: screening.Yente, URL: server.URL, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Search(t.Context(), violet); err != nil {
			t.Error(err)
		}
		server.Close()
	}
}

func TestGuard(t *testing.T) {
	for _, bad := range []string{"", "ftp://h", "https://", "https://u:p@h", "http://h?x=1", "file:///etc/passwd"} {
		if _, err := screening.New(screening.Options{Kind: screening.Yente, URL: bad}); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, bad := range []string{"http://169.254.169.254", "https://169.254.169.254", "http://0.0.0.0:1", "http://192.0.2.1", "https://[fe80::1]", "http://[::ffff:169.254.169.254]"} {
		_, err := client(t, screening.Watchman, bad).Search(t.Context(), violet)
		if !errors.Is(err, screening.ErrNotAllowed) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// What goes wrong repeats nothing of whom was looked for.
func TestBadServers(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
		},
		"error":        func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"not JSON":     func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") },
		"too much":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 5<<20)) },
		"hangs up":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"other answer": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"responses":{"x":{}}}`) },
	} {
		server := httptest.NewServer(answer)
		_, err := client(t, screening.Yente, server.URL).Search(t.Context(), violet)
		if err == nil || strings.Contains(err.Error(), "Violet") || strings.Contains(err.Error(), "Planted") {
			t.Errorf("%s: %v", name, err)
		}
		_, err = client(t, screening.Watchman, server.URL).Search(t.Context(), violet)
		if name != "other answer" && (err == nil || strings.Contains(err.Error(), "Violet")) {
			t.Errorf("%s: %v", name, err)
		}
		server.Close()
	}
	if _, err := client(t, screening.Yente, "http://127.0.0.1:1").Search(t.Context(), screening.Subject{}); err == nil {
		t.Error("nobody is looked for")
	}
}
