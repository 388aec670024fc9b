package access_test

import (
	"bytes"
	"context"
	"encoding/base32"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/access"
	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/totp"
	"github.com/flopwatch/flopwatch/pkg/audit"
)

// keeper keeps second factors in memory, with the acts that wrote them.
type keeper struct {
	mu   sync.Mutex
	all  map[string]permission.SecondFactor
	acts []string
	took time.Duration // reading one, as of a database

	voided []bool // by enrolment that was begun: the audit log says that it voids another one
}

func (k *keeper) SecondFactor(_ context.Context, id string) (permission.SecondFactor, bool, error) {
	time.Sleep(k.took)
	k.mu.Lock()
	defer k.mu.Unlock()
	f, ok := k.all[id]
	return f, ok, nil
}

func (k *keeper) PutSecondFactor(ctx context.Context, id string, f permission.SecondFactor) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.all[id] = f
	k.acts = append(k.acts, audit.Of(ctx).Actor.ID+" "+audit.Of(ctx).Action)
	return nil
}

func (k *keeper) AddSecondFactor(ctx context.Context, id string, f permission.SecondFactor) (bool, error) {
	if _, has, err := k.SecondFactor(ctx, id); has || err != nil {
		return false, err
	}
	return true, k.PutSecondFactor(ctx, id, f)
}

func (k *keeper) NoteEnrolment(ctx context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	act := audit.Of(ctx)
	k.acts = append(k.acts, act.Actor.ID+" "+act.Action)
	k.voided = append(k.voided, strings.Contains(act.Reason, "is void"))
	return nil
}

func (k *keeper) UseStep(ctx context.Context, id string, step int64) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.all[id]
	if f.Step >= step {
		return false, nil
	}
	f.Step = step
	k.all[id] = f
	k.acts = append(k.acts, audit.Of(ctx).Actor.ID+" "+audit.Of(ctx).Action)
	return true, nil
}

func (k *keeper) UseRecovery(_ context.Context, id, hash string) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f := k.all[id]
	at := slices.Index(f.Recovery, hash)
	if at < 0 {
		return false, nil
	}
	f.Recovery = slices.Delete(slices.Clone(f.Recovery), at, at+1)
	k.all[id] = f
	return true, nil
}

var factorKey = bytes.Repeat([]byte{7}, access.FactorKeySize)

// withFactors is a bench whose people need a second factor.
func withFactors(t *testing.T) (*bench, *keeper) {
	b := &bench{T: t, users: &people{}, now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	k := &keeper{all: map[string]permission.SecondFactor{}}
	g, err := access.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8080}, access.Options{Now: func() time.Time { return b.now }, Users: b.users, Factors: k, FactorKey: factorKey})
	if err != nil {
		t.Fatal(err)
	}
	b.guard = g
	b.h = g.Wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	b.withUser()
	return b, k
}

// form posts a form of this desk.
func (b *bench) form(path, cookie string, pairs ...string) *httptest.ResponseRecorder {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return b.send("POST", path, v.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Origin", b.guard.URL(), "Cookie", cookie)
}

func cookieOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	all := w.Result().Cookies()
	if len(all) != 1 {
		t.Fatalf("%d: %d cookies: %s", w.Code, len(all), w.Body)
	}
	return all[0].Name + "=" + all[0].Value
}

// secretOn is the secret that a page shows.
func secretOn(t *testing.T, page string) []byte {
	t.Helper()
	shown := regexp.MustCompile(`<code>([A-Z2-7 ]{39})</code>`).FindStringSubmatch(page)
	if shown == nil {
		t.Fatalf("no secret: %s", page)
	}
	secret, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(shown[1], " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func TestWhoMayChangeThingsEnrolsASecondFactor(t *testing.T) {
	b, k := withFactors(t)
	w := b.form("/sign-in", "", "login", "ana", "password", password, "next", "/cases")
	half := cookieOf(t, w)
	if w.Code != 303 || w.Header().Get("Location") != "/sign-in/enrol" {
		t.Fatalf("%d %s", w.Code, w.Header().Get("Location"))
	}
	// A password alone opens nothing.
	for _, path := range []string{"/", "/v1/me", "/account"} {
		if w := b.ask("GET", path, "Cookie", half); w.Code == 418 {
			t.Errorf("%s opens with a password alone", path)
		}
	}
	page := b.ask("GET", "/sign-in/enrol", "Cookie", half).Body.String()
	secret := secretOn(t, page)
	if !strings.Contains(page, "<svg") || strings.Contains(page, "<script") || strings.Contains(page, "style=") {
		t.Error("the picture is not there, or the page needs what the content policy refuses")
	}
	if w := b.form("/sign-in/enrol", half, "code", "000000"); w.Code != 403 || len(k.all) != 0 {
		t.Errorf("a wrong first code: %d", w.Code)
	}
	w = b.form("/sign-in/enrol", half, "code", totp.Code(secret, totp.Step(b.now)))
	full := cookieOf(t, w)
	codes := regexp.MustCompile(`<code>([a-z2-7-]{14})</code>`).FindAllStringSubmatch(w.Body.String(), -1)
	if w.Code != 200 || len(codes) != 10 || full == half || !strings.Contains(w.Body.String(), `href="/cases"`) {
		t.Fatalf("%d, %d codes: %s", w.Code, len(codes), w.Body)
	}
	if w := b.ask("GET", "/", "Cookie", full); w.Code != 418 {
		t.Errorf("enrolled and not signed in: %d", w.Code)
	}
	if w := b.ask("GET", "/", "Cookie", half); w.Code != 303 {
		t.Errorf("the secret of the step before opens the desk: %d", w.Code)
	}
	kept := k.all["usr_ana"]
	if bytes.Contains(kept.Sealed, secret) || len(kept.Recovery) != 10 || slices.Contains(kept.Recovery, codes[0][1]) {
		t.Errorf("kept in clear: %+v", kept)
	}
	if !slices.Equal(k.acts, []string{"usr_ana user.enrol_begin", "usr_ana user.enrol"}) {
		t.Errorf("acts %q", k.acts)
	}

	// From now on each sign-in takes a code, and each code once.
	try := func(code string) int {
		half := cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
		if w := b.ask("GET", "/sign-in/enrol", "Cookie", half); w.Code != 303 {
			t.Errorf("a second enrolment is offered: %d", w.Code)
		}
		return b.form("/sign-in/code", half, "code", code).Code
	}
	if code := try(totp.Code(secret, totp.Step(b.now))); code != 403 {
		t.Errorf("the code of the enrolment again: %d", code)
	}
	b.now = b.now.Add(time.Minute)
	good := totp.Code(secret, totp.Step(b.now))
	if code := try(good[:3] + " " + good[3:]); code != 200 {
		t.Errorf("a good code with a space: %d", code)
	}
	if code := try(good); code != 403 {
		t.Errorf("the same code again: %d", code)
	}
	if code := try(totp.Code(secret, totp.Step(b.now)-1)); code != 403 {
		t.Errorf("the code before one that was used: %d", code)
	}
	if code := try(strings.ToUpper(codes[3][1])); code != 200 {
		t.Errorf("a recovery code: %d", code)
	}
	if code := try(codes[3][1]); code != 403 {
		t.Errorf("a recovery code again: %d", code)
	}
	// What is sealed for one account opens for no other.
	k.all["usr_eve"], b.users.user.ID = k.all["usr_ana"], "usr_eve"
	half = cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
	if w := b.form("/sign-in/code", half, "code", totp.Code(secret, totp.Step(b.now)+1)); w.Code != 500 {
		t.Errorf("another account's secret: %d", w.Code)
	}
}

func TestCodesCannotBeGuessed(t *testing.T) {
	b, _ := withFactors(t)
	half := cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
	secret := secretOn(t, b.ask("GET", "/sign-in/enrol", "Cookie", half).Body.String())
	b.form("/sign-in/enrol", half, "code", totp.Code(secret, totp.Step(b.now)))
	b.now = b.now.Add(time.Minute)
	wrong := 0
	for i := range 12 { // each with a password that is right
		half := cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
		if w := b.form("/sign-in/code", half, "code", "00000"+string(rune('0'+i%10))); w.Code == 429 {
			wrong++
		}
	}
	if wrong < 5 {
		t.Errorf("%d of 12 guesses had to wait", wrong)
	}
	if w := b.form("/sign-in/code", cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password)), "code", totp.Code(secret, totp.Step(b.now))); w.Code != 429 {
		t.Errorf("the right code while one has to wait: %d", w.Code)
	}
	// What was begun ends by itself.
	half = cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
	b.now = b.now.Add(20 * time.Minute)
	if w := b.form("/sign-in/code", half, "code", totp.Code(secret, totp.Step(b.now))); w.Code != 303 || w.Header().Get("Location") != "/sign-in" {
		t.Errorf("a sign-in that was left: %d", w.Code)
	}
}

func TestCodesCannotBeGuessedSideBySide(t *testing.T) {
	b, keep := withFactors(t)
	half := cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
	secret := secretOn(t, b.ask("GET", "/sign-in/enrol", "Cookie", half).Body.String())
	b.form("/sign-in/enrol", half, "code", totp.Code(secret, totp.Step(b.now)))
	b.now = b.now.Add(time.Minute)
	half = cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
	keep.took = 5 * time.Millisecond
	codes := make(chan int)
	const guesses = 64
	for range guesses {
		go func() { codes <- b.form("/sign-in/code", half, "code", "12345x").Code }()
	}
	looked := 0
	for range guesses {
		if <-codes == 403 {
			looked++
		}
	}
	if looked != 5 {
		t.Errorf("%d of %d guesses were looked at", looked, guesses)
	}
}

// A secret that waits to be confirmed is of the sign-in that it was shown to: another
// one with the same password never sees it, voids it, and the audit log says so.
func TestAnEnrolmentIsOfWhoBeganIt(t *testing.T) {
	b, k := withFactors(t)
	begin := func() (half string, secret []byte) {
		half = cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
		return half, secretOn(t, b.ask("GET", "/sign-in/enrol", "Cookie", half).Body.String())
	}
	code := func(secret []byte) string { return totp.Code(secret, totp.Step(b.now)) }
	ask := func(code string) (int, apitypes.Enrolment) {
		t.Helper()
		w := b.send("POST", "/v1/sessions", `{"login":"ana","password":"`+password+`","enrol":true,"code":"`+code+`"}`, "Content-Type", "application/json")
		var offered apitypes.Enrolment
		if err := json.Unmarshal(w.Body.Bytes(), &offered); err != nil {
			t.Fatal(err)
		}
		return w.Code, offered
	}
	first, one := begin()
	if again := secretOn(t, b.ask("GET", "/sign-in/enrol", "Cookie", first).Body.String()); !bytes.Equal(again, one) {
		t.Error("the page shown again offers another secret")
	}
	second, two := begin()
	if bytes.Equal(one, two) {
		t.Error("two sign-ins share a secret")
	}
	for what, w := range map[string]*httptest.ResponseRecorder{
		"shows":    b.ask("GET", "/sign-in/enrol", "Cookie", first),
		"confirms": b.form("/sign-in/enrol", first, "code", code(one)),
	} {
		if w.Code != 403 || strings.Contains(w.Body.String(), totp.Text(one)) || !strings.Contains(w.Body.String(), "another sign-in") {
			t.Errorf("the former sign-in %s: %d %s", what, w.Code, w.Body)
		}
	}
	_, three := ask("")
	_, four := ask("")
	if three.Secret == four.Secret || three.Secret == totp.Text(two) {
		t.Error("a program was shown the secret of another sign-in")
	}
	if w := b.form("/sign-in/enrol", second, "code", code(two)); w.Code != 403 || len(k.all) != 0 {
		t.Errorf("a voided secret was confirmed: %d", w.Code)
	}
	if want := []bool{false, true, true, true}; !slices.Equal(k.voided, want) {
		t.Errorf("the audit log says %v of what was voided, want %v", k.voided, want)
	}
	// What was begun before and is confirmed after another one never takes its place.
	third, five := begin()
	k.all["usr_ana"] = permission.SecondFactor{Sealed: []byte("of another collector")}
	if w := b.form("/sign-in/enrol", third, "code", code(five)); w.Code != 403 || string(k.all["usr_ana"].Sealed) != "of another collector" {
		t.Errorf("a second factor that is there was replaced: %d", w.Code)
	}
	delete(k.all, "usr_ana")
	b.now = b.now.Add(20 * time.Minute)
	if status, _ := ask("123456"); status != 403 {
		t.Errorf("a code without a secret: %d", status)
	}
}

func TestAProgramSignsInWithACode(t *testing.T) {
	b, _ := withFactors(t)
	ask := b.signInBy
	who := map[string]any{"login": "ana", "password": password}
	if code, kind, _ := ask(who); code != 403 || kind != apitypes.ProblemEnrolment {
		t.Fatalf("%d %s", code, kind)
	}
	who["enrol"] = true
	_, _, offered := ask(who)
	secret, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(offered["secret"].(string), " ", ""))
	if err != nil || !strings.HasPrefix(offered["uri"].(string), "otpauth://totp/flopwatch:ana?") {
		t.Fatal(err, offered)
	}
	who["code"] = totp.Code(secret, totp.Step(b.now))
	if code, _, s := ask(who); code != 201 || len(s["recovery_codes"].([]any)) != 10 {
		t.Fatalf("%d %v", code, s)
	}
	if code, _, _ := ask(who); code != 403 {
		t.Errorf("the same code again: %d", code)
	}
	if code, kind, _ := ask(map[string]any{"login": "ana", "password": password}); code != 403 || kind != apitypes.ProblemSecondFactor {
		t.Errorf("without a code: %d %s", code, kind)
	}
	b.now = b.now.Add(time.Minute)
	if code, _, s := ask(map[string]any{"login": "ana", "password": password, "code": totp.Code(secret, totp.Step(b.now))}); code != 201 || s["recovery_codes"] != nil {
		t.Errorf("%d %v", code, s)
	}
	if code, _, _ := ask(map[string]any{"login": "ana", "password": "wrong password", "code": totp.Code(secret, totp.Step(b.now)+1)}); code != 403 {
		t.Errorf("a code without the password: %d", code)
	}
}

// Who only looks needs none, until their roles are others.
func TestLookingNeedsNoSecondFactor(t *testing.T) {
	b, _ := withFactors(t)
	b.users.user.Roles = []permission.Role{permission.Viewer}
	if w := b.signIn("ana", password); w.Code != 201 {
		t.Errorf("a viewer: %d", w.Code)
	}
	for _, r := range permission.People {
		b.users.user.Roles = []permission.Role{permission.Viewer, r}
		if w := b.signIn("ana", password); (w.Code == 201) != (r == permission.Viewer) {
			t.Errorf("%s: %d", r, w.Code)
		}
	}
}

// A role that needs a second factor does not come to a session that was opened without one.
func TestANewRoleWaitsForASecondFactor(t *testing.T) {
	b, _ := withFactors(t)
	b.users.user.Roles = []permission.Role{permission.Viewer}
	s := cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
	if w := b.ask("GET", "/", "Cookie", s); w.Code != 418 {
		t.Fatalf("a viewer: %d", w.Code)
	}
	b.users.user.Roles = []permission.Role{permission.Viewer, permission.SeniorReviewer}
	if w := b.ask("GET", "/", "Cookie", s); w.Code != 303 {
		t.Errorf("a reviewer without a second factor: %d", w.Code)
	}
	half := cookieOf(t, b.form("/sign-in", s, "login", "ana", "password", password))
	secret := secretOn(t, b.ask("GET", "/sign-in/enrol", "Cookie", half).Body.String())
	s = cookieOf(t, b.form("/sign-in/enrol", half, "code", totp.Code(secret, totp.Step(b.now))))
	if w := b.ask("GET", "/", "Cookie", s); w.Code != 418 {
		t.Errorf("a reviewer with one: %d", w.Code)
	}
}

func TestWhereToGoAfterSigningIn(t *testing.T) {
	b, _ := withFactors(t)
	b.users.user.Roles = []permission.Role{permission.Viewer}
	if w := b.ask("GET", "/cases?after=x"); w.Header().Get("Location") != "/sign-in?next="+url.QueryEscape("/cases?after=x") {
		t.Error(w.Header().Get("Location"))
	}
	for next, want := range map[string]string{"/cases?x=1": "/cases?x=1", "//evil.example": "/", "https://evil.example": "/", `/\evil.example`: "/", "/%5cevil": "/%5cevil", "javascript:alert(1)": "/", "/sign-out": "/",
		"/a\r\nSet-Cookie: x": "/", "/" + strings.Repeat("a", 400): "/", "/v1/me": "/", "/x\"><script>": "/x&#34;&gt;&lt;script&gt;"} {
		w := b.form("/sign-in", "", "login", "ana", "password", password, "next", next)
		if body := w.Body.String(); w.Code != 200 || !strings.Contains(body, `url=`+want+`"`) || strings.Contains(body, "<script>") {
			t.Errorf("%q goes to: %s", next, body)
		}
	}
}

func TestSessionsOfAPersonAreBoundedAndEnded(t *testing.T) {
	b, _ := withFactors(t)
	b.users.user.Roles = []permission.Role{permission.Viewer}
	var all []string
	for range 20 {
		b.now = b.now.Add(time.Second)
		all = append(all, cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password)))
	}
	open := func() (n int) {
		for _, c := range all {
			if b.ask("GET", "/", "Cookie", c).Code == 418 {
				n++
			}
		}
		return n
	}
	if n := open(); n != 16 {
		t.Errorf("%d sessions of one person", n)
	}
	named, err := b.guard.Sessions(t.Context(), "usr_ana")
	if err != nil {
		t.Fatal(err)
	}
	if len(named) != 16 || strings.Contains(strings.Join(all, " "), named[0].Name) {
		t.Errorf("%d named", len(named))
	}
	if n, err := b.guard.EndSessions(t.Context(), "usr_ana", named[0].Name); err != nil || n != 15 || open() != 1 {
		t.Errorf("%d ended, %d are left", n, open())
	}
}

func TestAKeyOfTheWrongLengthIsRefused(t *testing.T) {
	_, err := access.New(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1}, access.Options{Factors: &keeper{}, FactorKey: []byte("short")})
	if err == nil {
		t.Error("taken")
	}
}

// The gallery of the pages on which people sign in: GALLERY is the folder.
func TestGalleryOfSignIn(t *testing.T) {
	b, _ := withFactors(t)
	keep := func(name string, w *httptest.ResponseRecorder) {
		t.Helper()
		page := w.Body.String()
		for _, want := range []string{"<!DOCTYPE html>", `<html lang="en">`, "<title>", "<h1>", "<main>"} {
			if !strings.Contains(page, want) {
				t.Errorf("%s lacks %s", name, want)
			}
		}
		if strings.Contains(page, "<script") || strings.Contains(page, " style=") || strings.Contains(page, " onclick") {
			t.Errorf("%s needs what the content policy refuses", name)
		}
		if dir := os.Getenv("GALLERY"); dir != "" {
			dir = filepath.Join(dir, "signin")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name+".html"), w.Body.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	keep("password", b.ask("GET", "/sign-in?next=/cases"))
	keep("wrong-password", b.form("/sign-in", "", "login", "ana", "password", "not the password"))
	half := cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
	page := b.ask("GET", "/sign-in/enrol", "Cookie", half)
	secret := secretOn(t, page.Body.String())
	keep("enrol", page)
	keep("wrong-first-code", b.form("/sign-in/enrol", half, "code", "0"))
	w := b.form("/sign-in/enrol", half, "code", totp.Code(secret, totp.Step(b.now)))
	keep("recovery", w)
	keep("again", b.ask("GET", "/sign-in", "Cookie", cookieOf(t, w)))
	half = cookieOf(t, b.form("/sign-in", "", "login", "ana", "password", password))
	keep("code", b.ask("GET", "/sign-in/code", "Cookie", half))
	keep("wrong-code", b.form("/sign-in/code", half, "code", "000000"))
	out := withProvider(t)
	keep("provider", out.ask("GET", "/sign-in"))
	s, _, _ := out.round("/sign-in/provider")
	keep("signed-out", out.send("POST", "/sign-out", "", "Cookie", out.session(s), "Origin", out.guard.URL()))
	keep("begun-elsewhere", out.ask("GET", "/sign-in/callback?state=x&code=y"))
}
