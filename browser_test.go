package flopwatch_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// browser is a real one, steered over pipes by the DevTools protocol.
type browser struct {
	*testing.T
	in      io.Writer
	answers chan reply
	events  chan reply
	next    int
}

// reply is an answer to a command, or an event.
type reply struct {
	ID        int             `json:"id"`
	Method    string          `json:"method"`
	SessionID string          `json:"sessionId"`
	Result    json.RawMessage `json:"result"`
	Params    json.RawMessage `json:"params"`
	Error     *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// openBrowser starts chromium, or skips the test where there is none.
func openBrowser(t *testing.T) *browser {
	t.Helper()
	path := os.Getenv("CHROMIUM")
	if path == "" {
		var err error
		if path, err = exec.LookPath("chromium"); err != nil {
			t.Skip("chromium is not installed: nothing here can press keys")
		}
	}
	commandsRead, commands, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	answers, answersWrite, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
		"--disable-sync", "--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{commandsRead, answersWrite} // 3 and 4
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = commandsRead.Close(), answersWrite.Close()
	b := &browser{T: t, in: commands, answers: make(chan reply, 100), events: make(chan reply, 10_000)}
	go func() {
		in := bufio.NewReaderSize(answers, 1<<20)
		for {
			text, err := in.ReadBytes(0)
			if err != nil {
				close(b.answers)
				return
			}
			var r reply
			if json.Unmarshal(text[:len(text)-1], &r) != nil {
				continue
			}
			if r.ID != 0 {
				b.answers <- r
			} else {
				select {
				case b.events <- r:
				default: // more than anybody waits for
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = commands.Close() // it ends when nobody can steer it any more
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait()
			close(ended)
		}()
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		_ = answers.Close()
	})
	return b
}

// do sends a command and decodes what it answers.
func (b *browser) do(session, method string, params, into any) {
	b.Helper()
	b.next++
	message := map[string]any{"id": b.next, "method": method, "params": params}
	if session != "" {
		message["sessionId"] = session
	}
	data, err := json.Marshal(message)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.in.Write(append(data, 0)); err != nil {
		b.Fatalf("browser: %s: %v", method, err)
	}
	for {
		select {
		case r, ok := <-b.answers:
			if !ok {
				b.Fatalf("browser: it ended at %s", method)
			}
			if r.ID != b.next {
				continue
			}
			if r.Error != nil && method == "Runtime.evaluate" && strings.Contains(r.Error.Message, "navigated") {
				b.do(session, method, params, into) // the page went away under the question: the next one is asked
				return
			}
			if r.Error != nil {
				b.Fatalf("browser: %s: %s", method, r.Error.Message)
			}
			if into != nil {
				if err := json.Unmarshal(r.Result, into); err != nil {
					b.Fatalf("browser: %s: %v", method, err)
				}
			}
			return
		case <-time.After(2 * time.Minute):
			b.Fatalf("browser: no answer to %s", method)
		}
	}
}

// page is one tab of a person of their own, with scripts disabled.
type page struct {
	*browser
	session string
	pressed int
	context string // of the browser, with cookies of its own
}

func (b *browser) person() *page {
	b.Helper()
	p := b.scripted()
	p.do(p.session, "Emulation.setScriptExecutionDisabled", map[string]any{"value": true}, nil)
	return p
}

// scripted is a person whose browser runs the desk's script.
func (b *browser) scripted() *page {
	b.Helper()
	var context struct{ BrowserContextID string }
	b.do("", "Target.createBrowserContext", map[string]any{}, &context)
	var target struct{ TargetID string }
	b.do("", "Target.createTarget", map[string]any{"url": "about:blank", "browserContextId": context.BrowserContextID}, &target)
	var session struct{ SessionID string }
	b.do("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	p := &page{browser: b, session: session.SessionID, context: context.BrowserContextID}
	p.do(p.session, "Page.enable", map[string]any{}, nil)
	// As wide as a desk's screen: on a narrow one the script folds the menu.
	p.do(p.session, "Emulation.setDeviceMetricsOverride", map[string]any{"width": 1440, "height": 900, "deviceScaleFactor": 1, "mobile": false}, nil)
	return p
}

// open goes to an address, as a person who types it.
func (p *page) open(url string) {
	p.Helper()
	p.forget()
	p.do(p.session, "Page.navigate", map[string]any{"url": url}, nil)
	p.loaded()
}

// forget drops what happened before.
func (p *page) forget() {
	for {
		select {
		case <-p.events:
		default:
			return
		}
	}
}

// loaded waits until a page was loaded.
func (p *page) loaded() {
	p.Helper()
	for deadline := time.After(2 * time.Minute); ; {
		select {
		case e := <-p.events:
			if e.SessionID == p.session && e.Method == "Page.loadEventFired" {
				return
			}
		case <-deadline:
			p.Fatalf("no page was loaded; there is: %.2000s", p.text())
		}
	}
}

// says waits until the page says something: some pages go on to another one.
func (p *page) says(text string) {
	p.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(p.text(), text); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.Fatalf("the page does not say %q, but: %.3000s", text, p.text())
		}
	}
}

// see evaluates an expression in the page, which runs no script of its own.
func (p *page) see(expression string, into any) {
	p.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	p.do(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true}, &r)
	if r.ExceptionDetails != nil {
		p.Fatalf("%s: %s", expression, r.ExceptionDetails.Text)
	}
	if err := json.Unmarshal(r.Result.Value, into); err != nil {
		p.Fatalf("%s: %v", expression, err)
	}
}

func (p *page) text() (text string) {
	p.Helper()
	p.see(`document.body ? document.body.innerText : ""`, &text)
	return text
}

// key presses and releases a key.
func (p *page) key(name string, code int, text string) {
	p.Helper()
	p.pressed++
	down := map[string]any{"type": "keyDown", "key": name, "code": name, "windowsVirtualKeyCode": code}
	if text == "" {
		down["type"] = "rawKeyDown"
	} else {
		down["text"] = text
	}
	p.do(p.session, "Input.dispatchKeyEvent", down, nil)
	p.do(p.session, "Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": name, "code": name, "windowsVirtualKeyCode": code}, nil)
}

// write types a text, a key for each character.
func (p *page) write(text string) {
	p.Helper()
	for _, r := range text {
		if r == '\n' {
			p.key("Enter", 13, "\r")
			continue
		}
		p.pressed++
		p.do(p.session, "Input.dispatchKeyEvent", map[string]any{"type": "keyDown", "key": string(r), "text": string(r)}, nil)
		p.do(p.session, "Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": string(r)}, nil)
	}
}

// focused is what has the focus.
type focused struct{ Tag, Name, Value, Text, Action, Href string }

func (p *page) focus() (f focused) {
	p.Helper()
	p.see(`(() => { const e = document.activeElement; if (!e) return {}; return {Tag: e.tagName, Name: e.name || "", Value: e.value || "", Text: e === document.body ? "" : (e.innerText || "").trim(), Action: e.form ? e.form.getAttribute("action") : "", Href: e.getAttribute ? e.getAttribute("href") || "" : ""} })()`, &f)
	return f
}

// reach presses Tab until what has the focus is the right thing.
func (p *page) reach(what string, is func(focused) bool) {
	p.Helper()
	for range 600 {
		if is(p.focus()) {
			return
		}
		p.key("Tab", 9, "")
	}
	p.Fatalf("the keyboard does not reach %s; the page says: %.3000s", what, p.text())
}

// follow goes along a link or presses a button by Enter, and waits for the page.
func (p *page) follow(what string, is func(focused) bool) {
	p.Helper()
	p.reach(what, is)
	p.forget()
	p.key("Enter", 13, "\r")
	p.loaded()
}

// save goes along a link by Enter to what is downloaded, and returns the file.
func (p *page) save(what string, is func(focused) bool) string {
	p.Helper()
	folder := p.TempDir()
	p.do("", "Browser.setDownloadBehavior", map[string]any{"behavior": "allowAndName", "downloadPath": folder, "browserContextId": p.context, "eventsEnabled": true}, nil)
	p.reach(what, is)
	p.forget()
	p.key("Enter", 13, "\r")
	for deadline := time.After(5 * time.Minute); ; {
		select {
		case e := <-p.events:
			var got struct{ GUID, State string }
			if e.Method != "Browser.downloadProgress" || json.Unmarshal(e.Params, &got) != nil {
				continue
			}
			switch got.State {
			case "completed":
				return filepath.Join(folder, got.GUID)
			case "canceled":
				p.Fatalf("the download of %s was cancelled", what)
			}
		case <-deadline:
			p.Fatalf("%s was not downloaded", what)
		}
	}
}

// choose reaches a list of choices and writes the beginning of one, as people do.
func (p *page) choose(action, name, begin, value string) {
	p.Helper()
	p.reach(fmt.Sprintf("choice %s of %s", name, action), field(action, name))
	p.write(begin)
	if got := p.focus().Value; got != value {
		p.Fatalf("choice %s of %s is %q, want %q", name, action, got, value)
	}
}

func link(text string) func(focused) bool {
	return func(f focused) bool { return f.Tag == "A" && f.Text == text }
}

func button(text string) func(focused) bool {
	return func(f focused) bool { return f.Tag == "BUTTON" && f.Text == text }
}

func field(action, name string) func(focused) bool {
	return func(f focused) bool { return f.Name == name && f.Action == action && f.Tag != "BUTTON" }
}

// fill reaches a field and types into it.
func (p *page) fill(action, name, text string) {
	p.Helper()
	p.reach(fmt.Sprintf("field %s of %s", name, action), field(action, name))
	p.write(text)
}

// signIn signs a person in on the desk with key presses alone: password, then the code
// of their app, or the enrolment of one.
func (p *page) signIn(d *keyDesk, login, password string) {
	p.Helper()
	p.open(d.url + "/")
	p.signInHere(d, login, password)
}

// signInHere is signIn from the page of the password on.
func (p *page) signInHere(d *keyDesk, login, password string) {
	p.Helper()
	p.fill("/sign-in", "login", login)
	p.fill("/sign-in", "password", password)
	p.follow("the button to sign in", button("Sign in"))
	a := appOf(d.dir, login)
	switch text := p.text(); {
	case strings.Contains(text, "Set up your second factor"):
		if err := a.scan(text); err != nil {
			p.Fatal(err)
		}
		p.fill("/sign-in/enrol", "code", a.code())
		p.follow("the button to confirm", button("Confirm"))
		p.says("Your recovery codes")
		a.keep(p.text())
		p.follow("the way to the desk", link("I have kept them: open the desk"))
	case strings.Contains(text, "Code of your authenticator app"):
		p.fill("/sign-in/code", "code", a.code())
		p.follow("the button to go on", button("Go on"))
	}
}
