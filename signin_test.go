package flopwatch_test

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// app is the authenticator app of one person, written from RFC 6238 and not from the
// program, with the recovery codes that they were given.
type app struct {
	secret   []byte
	used     int64 // step of the last code
	recovery []string
}

// apps are the apps of everybody in every test, by folder and login.
var apps = struct {
	sync.Mutex
	of map[string]*app
}{of: map[string]*app{}}

func appOf(folder, login string) *app {
	apps.Lock()
	defer apps.Unlock()
	key := folder + "\x00" + login
	if apps.of[key] == nil {
		apps.of[key] = &app{}
	}
	return apps.of[key]
}

// scan gives the app the secret that a page or a program shows.
func (a *app) scan(text string) error {
	shown := regexp.MustCompile(`(?i)secret: ([A-Z2-7 ]{39})`).FindStringSubmatch(text)
	if shown == nil {
		return fmt.Errorf("no secret in %q", text)
	}
	secret, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(shown[1], " ", ""))
	a.secret, a.used = secret, 0
	return err
}

// keep keeps the recovery codes that are shown.
func (a *app) keep(text string) {
	a.recovery = regexp.MustCompile(`\b[a-z2-7]{4}-[a-z2-7]{4}-[a-z2-7]{4}\b`).FindAllString(text, -1)
}

// code is a code that was not used before: of the app, or a recovery code while the
// app has no new one.
func (a *app) code() string {
	step := max(time.Now().Unix()/30, a.used+1)
	if step > time.Now().Unix()/30+1 && len(a.recovery) > 0 {
		code := a.recovery[0]
		a.recovery = a.recovery[1:]
		return code
	}
	a.used = step
	mac := hmac.New(sha1.New, a.secret)
	_ = binary.Write(mac, binary.BigEndian, step) // a hash takes everything
	sum := mac.Sum(nil)
	at := sum[19] & 15
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:])&0x7fffffff)%1_000_000)
}

// signInProgram runs flopwatchctl as somebody who has an app in the folder: it enrols
// where that is asked for, and types codes.
func signInProgram(cmd *exec.Cmd, a *app, password string) (out string, err error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	var said, faults bytes.Buffer
	cmd.Stderr = &faults
	if err := cmd.Start(); err != nil {
		return "", err
	}
	if _, err := io.WriteString(in, password+"\n"); err != nil {
		return "", errors.Join(err, cmd.Wait())
	}
	if len(a.secret) > 0 {
		if _, err := io.WriteString(in, a.code()+"\n"); err != nil && !strings.Contains(err.Error(), "broken pipe") {
			return "", errors.Join(err, cmd.Wait())
		}
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		if strings.HasPrefix(lines.Text(), "secret: ") {
			if err := a.scan(lines.Text()); err != nil {
				return said.String(), errors.Join(err, cmd.Wait())
			}
			if _, err := io.WriteString(in, a.code()+"\n"); err != nil {
				return said.String(), errors.Join(err, cmd.Wait())
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		return said.String(), fmt.Errorf("%v: %w: %s%s", cmd.Args, err, said.String(), faults.String())
	}
	if codes := regexp.MustCompile(`Recovery codes`).FindStringIndex(said.String()); codes != nil {
		a.keep(said.String()[codes[0]:])
	}
	return said.String(), nil
}

// signInScript signs a person in whose roles need a second factor. The password is in
// a file; the session is kept in another:
//
//	sign-in ana.json ana password
func signInScript(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: sign-in session login password-file")
	}
	work := ts.Getenv("WORK")
	cmd := exec.Command(filepath.Join(programs, "flopwatchctl"), "--session", args[0], "sign-in", args[1])
	cmd.Dir = work
	cmd.Env = append(cmd.Environ(), "FLOPWATCH_DATA="+ts.Getenv("FLOPWATCH_DATA"), "HOME="+ts.Getenv("HOME"))
	out, err := signInProgram(cmd, appOf(work, args[1]), strings.TrimSpace(ts.ReadFile(args[2])))
	ts.Logf("%s", out)
	ts.Check(err)
}
