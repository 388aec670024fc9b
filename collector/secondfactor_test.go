package collector

import (
	"encoding/base32"
	"net/http"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/totp"
)

// authenticator is the app of a person.
type authenticator struct {
	secret   []byte
	used     int64
	recovery []string
}

// code is one that was not used before.
func (a *authenticator) code(step int64) string {
	if step <= a.used {
		code := a.recovery[0]
		a.recovery = a.recovery[1:]
		return code
	}
	a.used = step
	return totp.Code(a.secret, step)
}

// session signs a person in whose login is their role, and returns the token. The
// first time they enrol their app.
func (o *office) session(login string) (token string) {
	o.Helper()
	return o.enrolled(login, permission.Role(login).ChangesState())
}

func (o *office) enrolled(login string, needs bool) (token string) {
	o.Helper()
	body := map[string]any{"login": login, "password": testPassword}
	if !needs {
		return done[apitypes.Session](o, "", http.MethodPost, "/v1/sessions", "", body).Token
	}
	app := o.apps[login]
	if app == nil {
		body["enrol"] = true
		offered := done[apitypes.Enrolment](o, "", http.MethodPost, "/v1/sessions", "", body)
		secret, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(offered.Secret, " ", ""))
		if err != nil {
			o.Fatal(err)
		}
		app = &authenticator{secret: secret}
		o.apps[login] = app
	}
	body["code"] = app.code(totp.Step(o.clock.now()))
	s := done[apitypes.Session](o, "", http.MethodPost, "/v1/sessions", "", body)
	app.recovery = append(app.recovery, s.Recovery...)
	return s.Token
}
