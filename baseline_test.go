package flopwatch_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// attacker speaks to a desk as a person with every right, as nobody, and below HTTP.
type attacker struct {
	*keyDesk
	client *http.Client
	host   string       // and port
	person *http.Cookie // of a session
	token  string       // of programs
	odd    []string     // answers that a server must not give
}

// secretName is of a customer; nobody without an account may read it anywhere.
const secretName = "Quillfeather Holdings"

// The desk against what a scanner of web applications tries: headers and cookies,
// other origins and host names, addresses and bodies that make no sense, raw bytes,
// and clients that never finish. No answer is a fault of the server, none tells of
// the machine, and none changes anything.
func TestBaselineOfAttacks(t *testing.T) {
	a := openAttacker(t)
	t.Run("headers", a.headers)
	t.Run("nobody", a.nobody)
	t.Run("other origins", a.otherOrigins)
	t.Run("other names", a.otherNames)
	t.Run("addresses", a.addresses)
	t.Run("bodies", a.bodies)
	t.Run("raw", a.raw)
	t.Run("slow", a.slow)
	t.Run("guessing", a.guessing)
	for _, o := range a.odd {
		t.Error(o)
	}
	if out := a.ctl("", "users"); strings.Count(out, "usr_") != 1 {
		t.Errorf("an attack made an account:\n%s", out)
	}
	if code, _, _ := a.ask(http.MethodGet, "/", nil, a.signedIn); code != http.StatusOK {
		t.Errorf("after all of it the desk answers %d", code)
	}
}

func openAttacker(t *testing.T) *attacker {
	t.Helper()
	a := &attacker{keyDesk: startDesk(t), client: &http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	customers := filepath.Join(a.dir, "customers.csv")
	if err := os.WriteFile(customers, []byte("customer_id,name,country,foreign_status,status_reason,demonstration,tenant_id\ncus_quill,"+secretName+",CA,foreign,by its papers,false,ten_quill\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.ctl("", "customers", "import", customers)
	a.ctl("a long password\n", "users", "add", "root", "--role", "admin")
	u, err := url.Parse(a.url)
	if err != nil {
		t.Fatal(err)
	}
	a.host = u.Host
	data, err := os.ReadFile(filepath.Join(a.dir, "data", "api.json"))
	if err != nil {
		t.Fatal(err)
	}
	var endpoint struct{ Token string }
	if err := json.Unmarshal(data, &endpoint); err != nil || endpoint.Token == "" {
		t.Fatalf("api.json: %v", err)
	}
	a.token = endpoint.Token
	_, header, _ := a.ask(http.MethodPost, "/sign-in", strings.NewReader("login=root&password=a+long+password"), a.form)
	a.take(header)
	_, _, text := a.ask(http.MethodGet, "/sign-in/enrol", nil, a.signedIn)
	mine := appOf(a.dir, "root")
	if err := mine.scan(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(text, "")); err != nil {
		t.Fatal(err)
	}
	half := *a.person
	_, header, _ = a.ask(http.MethodPost, "/sign-in/enrol", strings.NewReader("code="+mine.code()), a.form, a.signedIn)
	a.take(header)
	if half.Value == a.person.Value {
		t.Fatal("the session has the secret of the step before")
	}
	if a.person == nil {
		t.Fatalf("no session: %v", header)
	}
	return a
}

// take keeps the cookie that an answer sets.
func (a *attacker) take(header http.Header) {
	for _, c := range (&http.Response{Header: header}).Cookies() {
		a.person = c
	}
}

func (a *attacker) form(r *http.Request) {
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", a.url)
}

func (a *attacker) signedIn(r *http.Request) {
	r.AddCookie(a.person)
	r.Header.Set("Origin", a.url)
}

func (a *attacker) program(r *http.Request) { r.Header.Set("Authorization", "Bearer "+a.token) }

// telling is what no answer may hold: where the program runs, how it was made, and
// what went wrong inside.
var telling = regexp.MustCompile(`goroutine \d+|runtime error|\.go:\d+|SQLITE|sqlite3|database is|/tmp/|/proc/|panic`)

// ask sends a request and notes an answer that no server should give.
func (a *attacker) ask(method, path string, body io.Reader, with ...func(*http.Request)) (code int, header http.Header, answer string) {
	a.Helper()
	r, err := http.NewRequestWithContext(a.Context(), method, a.url+path, body)
	if err != nil {
		a.Fatalf("%s %q: %v", method, path, err)
	}
	for _, f := range with {
		f(r)
	}
	// A connection that the server closes behind a body that it did not read is not
	// to be used again.
	r.Close = method != http.MethodGet
	w, err := a.client.Do(r)
	if err != nil {
		if hungUp := strings.Contains(err.Error(), "reset") || strings.Contains(err.Error(), "broken pipe"); method != http.MethodGet && hungUp {
			return 0, nil, "" // before it had read a body that it does not take
		}
		a.odd = append(a.odd, fmt.Sprintf("%s %.200q: %v", method, path, err))
		return 0, nil, ""
	}
	data, err := io.ReadAll(io.LimitReader(w.Body, 4<<20))
	if closing := w.Body.Close(); err == nil {
		err = closing
	}
	if err != nil && !strings.Contains(err.Error(), "reset") {
		a.odd = append(a.odd, fmt.Sprintf("%s %.200q: %v", method, path, err))
	}
	answer = string(data)
	switch {
	case w.StatusCode >= 500:
		a.odd = append(a.odd, fmt.Sprintf("%s %.200q: %d %.300s", method, path, w.StatusCode, answer))
	case telling.MatchString(answer):
		a.odd = append(a.odd, fmt.Sprintf("%s %.200q tells %q", method, path, telling.FindString(answer)))
	}
	return w.StatusCode, w.Header, answer
}

var deskPages = []string{"/", "/account", "/sign-in/code", "/sign-in/enrol", "/runs", "/customers", "/findings", "/hosts", "/coverage", "/links", "/cases", "/reports", "/policies", "/audit", "/fleet", "/resellers", "/exemptions", "/programme", "/sign-in", "/nowhere", "/assets/desk.css", "/v1/customers", "/v1/nowhere"}

func (a *attacker) headers(t *testing.T) {
	want := map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		"Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
	}
	for _, path := range deskPages {
		for _, who := range []func(*http.Request){a.signedIn, a.program, func(*http.Request) {}} {
			_, header, _ := a.ask(http.MethodGet, path, nil, who)
			for name, value := range want {
				if header.Get(name) != value {
					t.Errorf("%s: %s is %q", path, name, header.Get(name))
				}
			}
			policy := header.Get("Content-Security-Policy")
			for _, part := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"} {
				if !strings.Contains(policy, part) {
					t.Errorf("%s: policy %q lacks %s", path, policy, part)
				}
			}
			if strings.Contains(policy, "unsafe") || header.Get("Server") != "" || header.Get("X-Powered-By") != "" || header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s: %v", path, header)
			}
			if cache := header.Get("Cache-Control"); !strings.Contains(cache, "no-store") && !strings.HasPrefix(path, "/assets/") {
				t.Errorf("%s may be kept: %q", path, cache)
			}
		}
	}
	if c := a.person; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || len(c.Value) < 32 {
		t.Errorf("cookie %+v", c)
	}
}

// nobody without an account reads anything, whatever they call themselves.
func (a *attacker) nobody(t *testing.T) {
	for _, who := range []func(*http.Request){
		func(*http.Request) {},
		func(r *http.Request) { r.AddCookie(&http.Cookie{Name: a.person.Name, Value: "x" + a.person.Value[1:]}) },
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer ") },
		func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+a.token[1:]) },
		func(r *http.Request) {
			r.Header.Set("X-Forwarded-For", "127.0.0.1")
			r.Header.Set("X-Remote-User", "root")
		},
	} {
		for _, path := range deskPages {
			code, _, answer := a.ask(http.MethodGet, path, nil, who)
			if strings.Contains(answer, secretName) || strings.Contains(answer, "cus_quill") {
				t.Errorf("%s is told to nobody", path)
			}
			if open := strings.HasPrefix(path, "/assets/") || strings.HasPrefix(path, "/sign-in"); code == http.StatusOK && !open {
				t.Errorf("%s: %d to nobody", path, code)
			}
		}
	}
}

// otherOrigins change nothing, also with the cookie of somebody who may.
func (a *attacker) otherOrigins(t *testing.T) {
	posts := map[string]string{
		"/cases/cas_x/note": "text=x", "/findings/fnd_x/work": "state=triaged&reason=x", "/links/lnk_x/accept": "reason=x", "/sign-out": "",
		"/v1/users": `{"login":"eve","password":"a long password","roles":["admin"]}`, "/v1/customers/imports": "{}", "/sign-in": "login=root&password=a+long+password",
	}
	for path, body := range posts {
		for _, origin := range []string{"http://evil.example", "null", "http://" + a.host + ".evil.example", "https://" + a.host, "http://127.0.0.1:1", "file://"} {
			code, _, _ := a.ask(http.MethodPost, path, strings.NewReader(body), func(r *http.Request) {
				r.AddCookie(a.person)
				r.Header.Set("Origin", origin)
				r.Header.Set("Content-Type", map[bool]string{true: "application/json", false: "application/x-www-form-urlencoded"}[strings.HasPrefix(path, "/v1/")])
			})
			if code != http.StatusForbidden {
				t.Errorf("POST %s from %s: %d", path, origin, code)
			}
		}
		if code, _, _ := a.ask(http.MethodPost, path, strings.NewReader(body), func(r *http.Request) { r.AddCookie(a.person); r.Header.Set("Sec-Fetch-Site", "cross-site") }); code != http.StatusForbidden {
			t.Errorf("POST %s from another site: %d", path, code)
		}
	}
	// A form cannot be a program's request: it has no token, and the API takes JSON.
	if code, _, _ := a.ask(http.MethodPost, "/v1/users", strings.NewReader(posts["/v1/users"]), a.signedIn, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }); code < 400 {
		t.Errorf("a body of text/plain made an account: %d", code)
	}
}

// otherNames are how a page elsewhere would reach this desk by a name of its own.
func (a *attacker) otherNames(t *testing.T) {
	_, port, _ := net.SplitHostPort(a.host)
	for _, name := range []string{"evil.example", "evil.example:" + port, "127.0.0.1.evil.example:" + port, "0.0.0.0:" + port, "2130706433:" + port, "0x7f.1:" + port, "127.1:" + port, "[::ffff:127.0.0.1]:" + port, a.host + "@evil.example"} {
		code, _, answer := a.ask(http.MethodGet, "/", nil, a.signedIn, func(r *http.Request) { r.Host = name })
		if code < 400 || strings.Contains(answer, "evil") {
			t.Errorf("as %s: %d", name, code)
		}
	}
}

// hostile is what nothing in an address is.
var hostile = []string{
	"'", `"`, "' OR 1=1 --", "x'; DROP TABLE finding; --", "<script>alert(1)</script>", "{{.}}", "${7*7}", "../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%00", "a\x00b", "\xff\xfe", "\u202eevil", "-1", "0", "99999999999999999999", "1e309", "NaN",
	"file:///etc/passwd", "http://169.254.169.254/latest/meta-data/", "http://[::ffff:169.254.169.254]/", "//evil.example", "javascript:alert(1)", "\r\nSet-Cookie: x=y", strings.Repeat("A", 5000), "=cmd|' /C calc'!A0",
}

func (a *attacker) addresses(t *testing.T) {
	_, _, document := a.ask(http.MethodGet, "/v1/openapi.json", nil, a.program)
	var api struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
		}
	}
	if err := json.Unmarshal([]byte(document), &api); err != nil || len(api.Paths) < 50 {
		t.Fatalf("%d paths: %v", len(api.Paths), err)
	}
	in := regexp.MustCompile(`\{[^}]+\}`)
	reflected := func(path, answer string, header http.Header) {
		if strings.Contains(answer, "<script>alert") && strings.Contains(header.Get("Content-Type"), "html") {
			t.Errorf("%s gives a script back", path)
		}
		if header.Get("Set-Cookie") != "" && strings.Contains(header.Get("Set-Cookie"), "x=y") {
			t.Errorf("%s sets a cookie of the address", path)
		}
	}
	get := func(path string) {
		for _, who := range []func(*http.Request){a.program, a.signedIn} {
			_, header, answer := a.ask(http.MethodGet, path, nil, who)
			reflected(path, answer, header)
		}
	}
	for i, value := range hostile {
		escaped := url.PathEscape(value)
		k := 0
		for path, operations := range api.Paths {
			get1, ok := operations["get"]
			if !ok || path == "/v1/events" || strings.HasSuffix(path, "/events") {
				continue
			}
			if k++; (k+i)%3 != 0 { // each value meets a third of the paths, each path a third of the values
				continue
			}
			target := in.ReplaceAllString(path, escaped)
			if len(get1.Parameters) > 0 {
				q := url.Values{}
				for _, p := range get1.Parameters {
					if p.In == "query" {
						q.Set(p.Name, value)
					}
				}
				target += "?" + q.Encode()
			}
			_, header, answer := a.ask(http.MethodGet, target, nil, a.program)
			reflected(target, answer, header)
		}
		for _, path := range []string{"/runs/" + escaped, "/runs?after=" + url.QueryEscape(value), "/customers/" + escaped, "/cases/" + escaped, "/reports/" + escaped, "/policies/" + escaped, "/assets/" + escaped, "/audit?before=" + url.QueryEscape(value), "/" + escaped, "/login?t=" + url.QueryEscape(value)} {
			get(path)
		}
	}
	for _, path := range []string{"/assets/../../../../etc/passwd", "/assets/..%2f..%2f..%2fetc/passwd", "//evil.example/", "/.git/config", "/debug/pprof/", "/metrics", "/server-status", "/v1", "/v1/", "/v1/../audit"} {
		code, header, answer := a.ask(http.MethodGet, path, nil, a.signedIn)
		if strings.Contains(answer, "root:") || strings.HasPrefix(header.Get("Location"), "//") || strings.Contains(header.Get("Location"), ":") || path == "/debug/pprof/" && code == http.StatusOK {
			t.Errorf("%s: %d %v", path, code, header)
		}
	}
	for _, method := range []string{"TRACE", "OPTIONS", "CONNECT", "PROPFIND", "DELETE", "PUT", "PATCH", "XYZZY"} {
		if method == "CONNECT" {
			continue // is of proxies; its address is no path
		}
		if code, header, _ := a.ask(method, "/runs", nil, a.signedIn); code < 400 || header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s /runs: %d", method, code)
		}
	}
}

// bodies that make no sense, to everything that takes one.
func (a *attacker) bodies(t *testing.T) {
	_, _, document := a.ask(http.MethodGet, "/v1/openapi.json", nil, a.program)
	var api struct {
		Paths map[string]map[string]struct{ RequestBody json.RawMessage }
	}
	if err := json.Unmarshal([]byte(document), &api); err != nil {
		t.Fatal(err)
	}
	in := regexp.MustCompile(`\{[^}]+\}`)
	odd := []string{"", "{", "[]", "null", `"x"`, "1e999", `{"a":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}", "\xff\xfe\x00", `{"login":"` + strings.Repeat("x", 1<<20) + `"}`,
		`{"reason":null,"state":1,"roles":{"a":1},"text":[1],"version":"x","valid_from":"9999-99-99"}`, "id,name\n\"unclosed", "PK\x03\x04", "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>"}
	for path, operations := range api.Paths {
		for method, operation := range operations {
			if method == "get" || operation.RequestBody == nil {
				continue // looks at no body
			}
			for _, body := range odd {
				for _, media := range []string{"application/json", "text/csv"} {
					if media == "text/csv" && len(body) > 10_000 {
						continue
					}
					code, _, _ := a.ask(strings.ToUpper(method), in.ReplaceAllString(path, "x"), strings.NewReader(body), a.signedIn, func(r *http.Request) { r.Header.Set("Content-Type", media) })
					if code == http.StatusCreated {
						t.Errorf("%s %s made something of %.40q", method, path, body)
					}
				}
			}
		}
	}
	for _, path := range []string{"/v1/customers/imports", "/v1/users", "/sign-in", "/findings/fnd_x/work"} {
		r := io.LimitReader(zeros{}, 300<<20)
		if code, _, _ := a.ask(http.MethodPost, path, r, a.signedIn); code != 0 && code < 400 {
			t.Errorf("300 MB to %s: %d", path, code)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// raw bytes that are no request, or two.
func (a *attacker) raw(t *testing.T) {
	for _, text := range []string{
		"\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/0.9\r\n\r\n", "GET / HTTP/3.0\r\nHost: " + a.host + "\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: " + a.host + "\r\nHost: evil.example\r\n\r\n", "GET http://evil.example/ HTTP/1.1\r\nHost: " + a.host + "\r\n\r\n",
		"POST /sign-in HTTP/1.1\r\nHost: " + a.host + "\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: " + a.host + "\r\n\r\n",
		"POST /sign-in HTTP/1.1\r\nHost: " + a.host + "\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n12345", "POST /sign-in HTTP/1.1\r\nHost: " + a.host + "\r\nContent-Length: -1\r\n\r\n",
		"POST /sign-in HTTP/1.1\r\nHost: " + a.host + "\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n", "GET / HTTP/1.1\r\nHost: " + a.host + "\r\nX: " + strings.Repeat("y", 1<<20) + "\r\n\r\n",
		"GET /" + strings.Repeat("z", 1<<20) + " HTTP/1.1\r\nHost: " + a.host + "\r\n\r\n", "GET / HTTP/1.1\r\nHost: " + a.host + "\r\n" + strings.Repeat("A: b\r\n", 100_000) + "\r\n",
		"GET /\x00 HTTP/1.1\r\nHost: " + a.host + "\r\n\r\n", "GET / HTTP/1.1\r\nHost : " + a.host + "\r\n\r\n", "GET / HTTP/1.1\r\nHost: " + a.host + "\r\nCookie: \x00\x01\r\n\r\n", "GET / HTTP/1.1\nHost: " + a.host + "\n\n",
	} {
		c, err := net.DialTimeout("tcp", a.host, 10*time.Second)
		if err != nil {
			t.Fatalf("after %.60q: %v", text, err)
		}
		if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, text) // it may hang up before it has read all
		if half, ok := c.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
		got, _ := io.ReadAll(c) // a reset is an answer
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, line := range bytes.Split(got, []byte("\r\n")) {
			if bytes.HasPrefix(line, []byte("HTTP/1.1 5")) && !bytes.Contains(line, []byte("505")) && !bytes.Contains(line, []byte("501")) {
				t.Errorf("%.60q: %s", text, line)
			}
		}
		if telling.Match(got) {
			t.Errorf("%.60q: %.300s", text, got)
		}
	}
}

// slow clients hold their connections open and nothing else.
func (a *attacker) slow(t *testing.T) {
	var clients sync.WaitGroup
	cut := make(chan bool, 100)
	for i := range 100 {
		clients.Go(func() {
			c, err := net.DialTimeout("tcp", a.host, 10*time.Second)
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }() // the other side has closed it
			if _, err := fmt.Fprintf(c, "POST /sign-in HTTP/1.1\r\nHost: %s\r\nX-%d: ", a.host, i); err != nil {
				return
			}
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				_, _ = bufio.NewReader(c).ReadString('\n') // until it is cut off
			}()
			for {
				select {
				case <-ended:
					cut <- true
					return
				case <-time.After(500 * time.Millisecond):
					_, _ = io.WriteString(c, "y")
				case <-time.After(2 * time.Minute):
					return
				}
			}
		})
	}
	if code, _, _ := a.ask(http.MethodGet, "/", nil, a.signedIn); code != http.StatusOK {
		t.Errorf("with 100 slow clients the desk answers %d", code)
	}
	clients.Wait()
	if len(cut) != 100 {
		t.Errorf("%d of 100 slow clients were cut off", len(cut))
	}
}

// guessing a password gets slower; it tells nothing of who has an account.
func (a *attacker) guessing(t *testing.T) {
	for _, login := range []string{"root", "nobody-here"} {
		var last int
		var said string
		for range 12 {
			last, _, said = a.ask(http.MethodPost, "/sign-in", strings.NewReader("login="+login+"&password=wrong+password"), a.form)
		}
		if last != http.StatusTooManyRequests {
			t.Errorf("%s: the twelfth wrong password is answered %d %.200s", login, last, said)
		}
	}
}
