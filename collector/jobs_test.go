package collector

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/httpd"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
)

// apiServer is one of two collectors' servers over one PostgreSQL database.
type apiServer struct {
	sessionServer
	url   string // of the database
	store *store.Store
	jobs  *simulator
	web   *httptest.Server
}

func twoServers(t *testing.T) (out [2]apiServer) {
	t.Helper()
	dir := t.TempDir()
	url := storetest.PostgresDatabase(t, dir, func(url string) error { return store.Migrate(t.Context(), url, "") })
	log := slog.New(slog.DiscardHandler)
	for i, name := range []string{"a", "b"} {
		s, err := store.Open(t.Context(), filepath.Join(dir, name, "flopwatch.db"), store.Options{Postgres: url})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		library := store.Library{Shipped: policy.Shipped()}
		reader, jobs := store.NewReader(s, "", false), newSimulator(s, library, log)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = jobs.run(ctx)
		}()
		t.Cleanup(func() {
			stop()
			<-ended
		})
		served, err := httpd.New(httpd.Options{Reader: reader, Users: s, Sessions: s, Tokens: s, Policymaker: policies{s, reader, library, jobs}, Listen: "127.0.0.1:0", DataDir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		web := httptest.NewServer(served.Handler())
		t.Cleanup(func() {
			web.Close()
			if err := served.Close(); err != nil {
				t.Error(err)
			}
		})
		out[i] = apiServer{sessionServer{served, t}, url, s, jobs, web}
	}
	return out
}

func (s apiServer) json(method, path, token, body string, want int, into any) {
	s.t.Helper()
	status, text := s.ask(method, path, token, body)
	if status != want {
		s.t.Fatalf("%s %s: %d %.300s, want %d", method, path, status, text, want)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			s.t.Fatal(err)
		}
	}
}

// events reads the named events of a stream, over a real connection, until stop says
// that there were enough.
func (s apiServer) events(path, token string, stop func(name, data string) bool) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.web.URL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Host = strings.TrimPrefix(s.URL(), "http://")
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(answer.Body)
		s.t.Fatalf("%s: %d %s", path, answer.StatusCode, text)
	}
	name := ""
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = rest
		}
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && stop(name, data) {
			return
		}
	}
	s.t.Errorf("%s ended before what was waited for", path)
}

// Two collectors' servers over one database are one to who uses them: a session, the
// refusal of what another site's page sends, streams of what changes, and simulations
// are the same at either.
func TestServersKeepNothingToThemselves(t *testing.T) {
	s := twoServers(t)
	hash, err := access.HashPassword(testPassword)
	if err != nil {
		t.Fatal(err)
	}
	if err := s[0].store.AddUser(t.Context(), "usr_ana", "ana", []permission.Role{permission.PolicyAuthor}, hash, time.Now()); err != nil {
		t.Fatal(err)
	}
	token := s[0].signIn("ana")
	s[1].holds("at the other", token, http.StatusOK)

	// With the cookie, a page of the desk may act at either, and a page of another site at
	// none.
	for i, server := range s {
		send := func(origin string) int {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, server.URL()+"/v1/policies/checks", strings.NewReader(`{"kind": "pack", "text": "x"}`))
			r.AddCookie(&http.Cookie{Name: "flopwatch_session_" + r.URL.Port(), Value: strings.TrimPrefix(token, "fws_")})
			r.Header.Set("Origin", origin)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			server.Handler().ServeHTTP(w, r)
			return w.Code
		}
		if status := send(server.URL()); status >= 500 || status == http.StatusForbidden || status == http.StatusUnauthorized {
			t.Errorf("server %d refuses its own page: %d", i, status)
		}
		if status := send("https://elsewhere.example"); status != http.StatusForbidden {
			t.Errorf("server %d takes what a page of another site sends: %d", i, status)
		}
	}

	// What is written through one is told by the stream of the other.
	var drafted apitypes.Policy
	begun := false
	s[1].events("/v1/events", token, func(name, data string) bool {
		if name != "revision" {
			return false
		}
		if !begun {
			begun = true
			body, err := json.Marshal(apitypes.PolicyText{Kind: "pack", File: "moved.yaml", Text: simulatedPack})
			if err != nil {
				t.Fatal(err)
			}
			s[0].json(http.MethodPost, "/v1/policies", token, string(body), http.StatusOK, &drafted)
			return false
		}
		return true
	})
	var seen apitypes.Policy
	s[1].json(http.MethodGet, "/v1/policies/"+drafted.ID, token, "", http.StatusOK, &seen)

	// A simulation that one runs is watched at the other until it ends.
	var job, last apitypes.Job
	s[0].json(http.MethodPost, "/v1/policies/"+drafted.ID+"/simulations", token, "{}", http.StatusAccepted, &job)
	s[1].events("/v1/jobs/"+job.ID+"/events", token, func(name, data string) bool {
		if err := json.Unmarshal([]byte(data), &last); err != nil || name != "job" {
			t.Fatalf("%s %s: %v", name, data, err)
		}
		return last.State != "running"
	})
	if last.State != "done" || last.Simulation == "" || last.ID != job.ID {
		t.Fatalf("the simulation ended as %+v", last)
	}
	for _, server := range s {
		server.json(http.MethodGet, "/v1/simulations/"+last.Simulation, token, "", http.StatusOK, nil)
		var again apitypes.Job
		if server.json(http.MethodGet, "/v1/jobs/"+job.ID, token, "", http.StatusOK, &again); again != last {
			t.Errorf("%+v, want %+v", again, last)
		}
	}
	s[1].json(http.MethodGet, "/v1/jobs/job_nobody", token, "", http.StatusNotFound, nil)
}

// A simulation is ended from any collector, and one whose collector is gone has failed.
func TestSimulationsEndFromAnywhere(t *testing.T) {
	s := twoServers(t)
	work, stop := context.WithCancel(t.Context())
	defer stop()
	// One that runs at the first for as long as nobody ends it.
	j := &simulation{Job: apitypes.Job{ID: "job_long", Policy: "pol_a", State: "running", Phase: "reading", Of: 1}, stop: stop}
	if err := s[0].store.BeginJob(t.Context(), keptJob(j.Job), keptJobs); err != nil {
		t.Fatal(err)
	}
	s[0].jobs.mu.Lock()
	s[0].jobs.jobs[j.ID] = j
	s[0].jobs.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s[0].jobs.follow(work, stop, j, func() (store.SavedSimulation, error) {
			<-work.Done()
			return store.SavedSimulation{}, work.Err()
		})
	}()
	if got, ok := s[1].jobs.job(t.Context(), j.ID); !ok || got.State != "running" {
		t.Errorf("at the other collector: %+v %v", got, ok)
	}
	if _, ok := s[1].jobs.cancel(t.Context(), j.ID); !ok {
		t.Error("it cannot be ended at the other collector")
	}
	select {
	case <-ended:
	case <-time.After(2 * time.Minute):
		t.Fatal("it goes on")
	}
	for i := range s {
		if got, ok := s[i].jobs.job(t.Context(), j.ID); !ok || got.State != "cancelled" {
			t.Errorf("collector %d: %+v %v", i, got, ok)
		}
	}
	// The beat of this one stands still.
	if err := s[0].store.BeginJob(t.Context(), store.Job{ID: "job_gone", Policy: "pol_a", State: "running", Phase: "reading", Of: 1}, keptJobs); err != nil {
		t.Fatal(err)
	}
	db, err := storetest.RawPostgres(s[0].url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("UPDATE job SET beat_ns = beat_ns - 60000000000 WHERE id = 'job_gone'"); err != nil {
		t.Fatal(err)
	}
	if got, ok := s[1].jobs.job(t.Context(), "job_gone"); !ok || got.State != "failed" || !strings.Contains(got.Error, "gone") {
		t.Errorf("of a collector that is gone: %+v %v", got, ok)
	}
}

const simulatedPack = `id: moved
version: 1
title: Moved
effective: always
citation: made up
status: internal
rules:
  - {id: run, title: Run, citation: line 1, measure: run_operations, threshold: "1e20", warn_percent: [80], applies_to: [foreign, undetermined]}
`
