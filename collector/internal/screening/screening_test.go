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

	"github.com/flopwatch/flopwatch/collector/internal/screening"
)

var violet = screening.Subject{Person: true, Names: []string{"Violet Planted", "Виолетта"}, BirthDate: "1980-02-29", Countries: []string{"RU"}}

// recorded is a question and its answer, as the servers' documentation has them.
type recorded struct {
	Method, Path string
	Query        map[string][]string
	Body         any
	Answer       any
}

// contract serves what was recorded, and holds the question against it.
func contract(t *testing.T, file string) *httptest.Server {
	t.Helper()
	data, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	var want recorded
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got := recorded{Method: r.Method, Path: r.URL.Path, Query: r.URL.Query(), Answer: want.Answer}
		if body, _ := io.ReadAll(r.Body); len(body) > 0 {
			if err := json.Unmarshal(body, &got.Body); err != nil {
				t.Error(err)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("the question is not the recorded one:\n%s", d)
		}
		if r.Header.Get("Authorization") != "Bearer tok" {
			t.Error("the token is missing")
		}
		_ = json.NewEncoder(w).Encode(want.Answer)
	}))
	t.Cleanup(server.Close)
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
	for _, c := range []struct {
		kind screening.Kind
		want []screening.Hit
	}{
		{screening.Yente, []screening.Hit{{List: "us_ofac_sdn us_bis_entity", Version: "2026-10-02T00:00:00", Entry: "Q1841", Score: 0.91, Explanation: "country_match 1.00, name_jarowinkler 0.93"}}},
		{screening.Watchman, []screening.Hit{{List: "us_ofac", Entry: "12345", Score: 0.88, Explanation: "match 0.88"}}},
	} {
		got, err := client(t, c.kind, contract(t, string(c.kind)+".json").URL).Search(t.Context(), violet)
		if d := cmp.Diff(c.want, got); err != nil || d != "" {
			t.Errorf("%s: %v\n%s", c.kind, err, d)
		}
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
