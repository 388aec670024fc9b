package httpd_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/desk"
	"github.com/flopwatch/flopwatch/collector/internal/desk/desktest"
	"github.com/flopwatch/flopwatch/collector/internal/httpd"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T) (s *httpd.Server, dir string, stop func()) {
	t.Helper()
	dir = t.TempDir()
	s, err := httpd.New(httpd.Options{Reader: desktest.New(), Listen: "127.0.0.1:0", DataDir: dir, Version: "v0.1.0", Demonstration: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	return s, dir, func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Error("Serve did not end within 30 s")
		}
	}
}

func TestLoginDeskAndAPI(t *testing.T) {
	s, dir, stop := serve(t)
	defer stop()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	person := &http.Client{Jar: jar, Transport: transport}
	ask := func(path string) int {
		answer, err := person.Get(path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	if code := ask(s.URL() + "/"); code != 401 {
		t.Errorf("before login: %d", code)
	}
	if code := ask(s.LoginLink()); code != 200 {
		t.Errorf("login: %d", code)
	}
	for _, path := range []string{"/", "/runs/run_4kq2", "/v1/runs", "/v1/openapi.json", "/assets/desk.js"} {
		if code := ask(s.URL() + path); code != 200 {
			t.Errorf("%s after login: %d", path, code)
		}
	}
	if code := ask(s.URL() + "/docs"); code != 404 {
		t.Errorf("/docs: %d", code)
	}
	path := filepath.Join(dir, apitypes.EndpointFile)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%s: %v, %v", path, info.Mode(), err)
	}
	e, err := apitypes.ReadEndpoint(path)
	if err != nil || e.URL != s.URL() {
		t.Fatalf("%+v %v", e, err)
	}
	request, err := http.NewRequest("POST", e.URL+"/v1/login-links", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+e.Token)
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusCreated {
		t.Errorf("new link: %s", answer.Status)
	}
}

func TestEventsEndWithTheServer(t *testing.T) {
	s, dir, stop := serve(t)
	e, err := apitypes.ReadEndpoint(filepath.Join(dir, apitypes.EndpointFile))
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequest("GET", s.URL()+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+e.Token)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	if !lines.Scan() || lines.Text() != "event: revision" {
		t.Fatalf("first line %q", lines.Text())
	}
	stop()
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream was torn: %v", err)
	}
}

// slow is a ledger whose hosts take for ever to read.
type slow struct{ *desktest.Reader }

func (slow) Hosts(ctx context.Context) ([]desk.Host, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestQuestionsEndInTime(t *testing.T) {
	dir := t.TempDir()
	s, err := httpd.New(httpd.Options{Reader: slow{desktest.New()}, Listen: "127.0.0.1:0", DataDir: dir, QueryTime: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	e, err := apitypes.ReadEndpoint(filepath.Join(dir, apitypes.EndpointFile))
	if err != nil {
		t.Fatal(err)
	}
	signIn := httptest.NewRecorder()
	s.Handler().ServeHTTP(signIn, httptest.NewRequest("GET", s.LoginLink(), nil))
	for _, path := range []string{"/v1/hosts", "/hosts"} {
		r := httptest.NewRequest("GET", s.URL()+path, nil)
		if strings.HasPrefix(path, "/v1/") {
			r.Header.Set("Authorization", "Bearer "+e.Token)
		}
		for _, c := range signIn.Result().Cookies() {
			r.AddCookie(c)
		}
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "sk for less at once") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

func TestRefusedAtStart(t *testing.T) {
	for _, address := range []string{"0.0.0.0:0", ":0", "192.0.2.1:0"} {
		if _, err := httpd.New(httpd.Options{Reader: desktest.New(), Listen: address, DataDir: t.TempDir()}); !errors.Is(err, access.ErrNotLoopback) {
			t.Errorf("%s: %v", address, err)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := httpd.New(httpd.Options{Reader: desktest.New(), Listen: taken.Addr().String(), DataDir: t.TempDir()}); err == nil {
		t.Error("a taken address passed")
	}
	if _, err := httpd.New(httpd.Options{Reader: desktest.New(), Listen: "127.0.0.1:0", DataDir: filepath.Join(t.TempDir(), "none")}); err == nil {
		t.Error("a missing data directory passed")
	}
}

func TestLargeHeadersAreRefused(t *testing.T) {
	s, _, stop := serve(t)
	defer stop()
	request, err := http.NewRequest("GET", s.URL()+"/", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Large", strings.Repeat("a", 32<<10))
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("%s", answer.Status)
	}
}
