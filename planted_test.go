package flopwatch_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/rogpeppe/go-internal/testscript"
)

// hides fails if one of the words, one a line of the first file, is in what
// follows: a folder with all that is in it, a file, an address to get, or "desk"
// and the data directory of a collector for every page of its desk with every
// address that a page names:
//
//	hides planted.txt data agent http://127.0.0.1:8472/metrics
//	hides planted.txt desk data
func hides(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: hides words what…")
	}
	words := strings.Split(strings.TrimSpace(ts.ReadFile(args[0])), "\n")
	look := func(where string, data []byte) {
		for _, w := range words {
			if bytes.Contains(data, []byte(w)) || bytes.Contains(data, []byte(url.QueryEscape(w))) {
				ts.Fatalf("%s holds %q", where, w)
			}
		}
	}
	if args[1] == "desk" {
		ts.Logf("%d pages", crawl(ts, ts.MkAbs(args[2]), look))
		return
	}
	for _, what := range args[1:] {
		if strings.HasPrefix(what, "http://") {
			look(what, fetch(ts, http.DefaultClient, what))
			continue
		}
		files := 0
		ts.Check(filepath.WalkDir(ts.MkAbs(what), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			files++
			look(path, []byte(path))
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			look(path, data)
			look(path+", unpacked", unpacked(data))
			return nil
		}))
		if files == 0 {
			ts.Fatalf("%s has no file", what)
		}
		ts.Logf("%s: %d files", what, files)
	}
}

// unpacked is what gzip or zstd packed, as far as it can be read; nil for the rest.
func unpacked(data []byte) []byte {
	var r io.Reader
	switch {
	case bytes.HasPrefix(data, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(bytes.NewReader(data))
		if err != nil {
			return nil
		}
		r = z
	case bytes.Contains(data, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		// Evidence files hold frames behind headers of their own.
		z, err := zstd.NewReader(bytes.NewReader(data[bytes.Index(data, []byte{0x28, 0xb5, 0x2f, 0xfd}):]))
		if err != nil {
			return nil
		}
		defer z.Close()
		r = z
	default:
		return nil
	}
	out, _ := io.ReadAll(io.LimitReader(r, 64<<20)) // what a cut-off file still has
	return out
}

func fetch(ts *testscript.TestScript, client *http.Client, address string) []byte {
	answer, err := client.Get(address)
	ts.Check(err)
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	ts.Check(err)
	return body
}

// linked are addresses that a page names: what a click, a form or a script asks for.
var linked = regexp.MustCompile(`(?:href|action|src)="(/[^"#]*)`)

// crawl opens the desk as whoever holds the login link, and goes to every address.
// Events do not end, and who signs out sees nothing more.
func crawl(ts *testscript.TestScript, data string, look func(string, []byte)) int {
	var at struct{ URL, Token string }
	text, err := os.ReadFile(filepath.Join(data, "api.json"))
	ts.Check(err)
	ts.Check(json.Unmarshal(text, &at))
	ask, err := http.NewRequest(http.MethodPost, at.URL+"/v1/login-links", http.NoBody)
	ts.Check(err)
	ask.Header.Set("Authorization", "Bearer "+at.Token)
	answer, err := http.DefaultClient.Do(ask)
	ts.Check(err)
	var link struct{ URL string }
	ts.Check(json.NewDecoder(answer.Body).Decode(&link))
	_ = answer.Body.Close()
	jar, err := cookiejar.New(nil)
	ts.Check(err)
	client := &http.Client{Jar: jar, Timeout: 30 * time.Second}
	first := fetch(ts, client, link.URL)
	look("the first page", first)
	seen := map[string]bool{}
	queue := linked.FindAllSubmatch(first, -1)
	pages := 1
	for len(queue) > 0 && pages < 500 {
		path := strings.ReplaceAll(string(queue[0][1]), "&amp;", "&")
		queue = queue[1:]
		if seen[path] || strings.HasPrefix(path, "/sign-out") || strings.Contains(path, "events/stream") || strings.HasPrefix(path, "/v1/events") {
			continue
		}
		seen[path] = true
		look("an address of the desk", []byte(path))
		body := fetch(ts, client, at.URL+path)
		look("the page "+path, body)
		queue = append(queue, linked.FindAllSubmatch(body, -1)...)
		pages++
	}
	if pages < 10 {
		ts.Fatalf("only %d pages were found", pages)
	}
	return pages
}
