package collector

import (
	"encoding/base32"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/flopwatch/flopwatch/collector/internal/apitypes"
	"github.com/flopwatch/flopwatch/collector/internal/permission"
	"github.com/flopwatch/flopwatch/collector/internal/store/storetest"
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

// signal puts findings about customers beside those that the collector makes itself.
func (o *office) signal(ids ...string) {
	o.Helper()
	var rows [][]any
	for i, id := range ids {
		rows = append(rows, []any{id, fmt.Sprint("cus_00000", i), fmt.Sprint("cus_00000", i), 100000 + i, i + 1, i + 1})
	}
	storetest.Edit(o, filepath.Join(o.data, "flopwatch.db"), `INSERT INTO finding (id, pack, pack_version, pack_digest, pack_status, rule, citation, level, severity, subject, tenant, customer, customer_name, foreign_status,
		threshold, ops_low, ops_best, ops_high, reason, occurred_ns, signalled_ns)
		VALUES (?, 'us-bis-2024', 1, x'00', 'proposed', 'run', '15 CFR 7', '80', 'warning', ?, 'ten_1', ?, 'A customer', 'foreign', ?, 1, 2, 3, 'because', ?, ?)`, rows...)
}
