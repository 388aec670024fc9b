package flopwatch_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// answer asks with somebody's session, and fails unless the answer has the status:
//
//	answer 412 fay.json POST /v1/reports/rep_1/fields '"4"' '{"fields": []}'
//
// The fifth word is the version in If-Match, which may be empty, the sixth the body.
func answer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || len(args) > 6 {
		ts.Fatalf("usage: answer status session method path [if-match [body]]")
	}
	var session struct{ URL, Token string }
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[1])), &session))
	args = append(args, "", "")[:max(len(args), 6)]
	request, err := http.NewRequest(args[2], session.URL+args[3], strings.NewReader(args[5]))
	ts.Check(err)
	request.Header.Set("Authorization", "Bearer "+session.Token)
	if args[5] != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if args[4] != "" {
		request.Header.Set("If-Match", args[4])
	}
	client := http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	got, err := client.Do(request)
	ts.Check(err)
	body, err := io.ReadAll(got.Body)
	ts.Check(err)
	ts.Check(got.Body.Close())
	ts.Logf("%s %s: %s\n%s", args[2], args[3], got.Status, body)
	if strconv.Itoa(got.StatusCode) != args[0] {
		ts.Fatalf("%s %s answered %s, not %s", args[2], args[3], got.Status, args[0])
	}
}
