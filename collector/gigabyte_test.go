package collector

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"syscall"
	"testing"
)

// rowsWithoutEnd is a body of n bytes of rows that are right.
type rowsWithoutEnd struct {
	row      []byte
	left, at int
	taken    int
}

func (r *rowsWithoutEnd) Read(p []byte) (n int, err error) {
	if r.left <= 0 {
		return 0, io.EOF
	}
	for n < len(p) && r.left > 0 {
		c := copy(p[n:], r.row[r.at:])
		n, r.left, r.at = n+c, r.left-c, (r.at+c)%len(r.row)
	}
	r.taken += n
	return n, nil
}

// A body of one gigabyte is refused after what an import may have, in bounded
// memory, and nothing of it is kept.
func TestGigabyteBodyIsRefused(t *testing.T) {
	b := openBureau(t)
	b.load()
	url := b.listen()
	count := func() int {
		s, err := b.parties.store.Parties(t.Context(), b.now, b.now)
		if err != nil {
			t.Fatal(err)
		}
		return len(s.Parties)
	}
	before := count()
	for path, row := range map[string]string{
		"/v1/parties/import": `{"kind":"party","party_id":"pty_x","form":"organisation"}` + "\n",
		"/v1/accesses":       `{"account":"acc_1","time":"2026-10-30T10:00:00Z","ip":"203.0.113.78","action":"api"}` + "\n",
	} {
		body := &rowsWithoutEnd{row: []byte(row), left: 1 << 30}
		var start, end runtime.MemStats
		runtime.ReadMemStats(&start)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+path, body)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-ndjson")
		answer, err := http.DefaultClient.Do(request)
		runtime.ReadMemStats(&end)
		switch {
		case err != nil && !cutOff(err):
			t.Errorf("%s: %v", path, err)
		case err == nil:
			text, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			if answer.StatusCode != http.StatusRequestEntityTooLarge || bytes.Contains(text, []byte("203.0.113")) {
				t.Errorf("%s: %s %s", path, answer.Status, text)
			}
		}
		if used := end.TotalAlloc - start.TotalAlloc; used > 256<<20 || body.taken > 64<<20 {
			t.Errorf("%s: %d MiB were allocated and %d MiB read", path, used>>20, body.taken>>20)
		}
	}
	if n := count(); n != before {
		t.Errorf("%d parties more", n-before)
	}
	seen, err := b.parties.vault.Seen(t.Context())
	if err != nil || len(seen) != 0 {
		t.Errorf("accesses of a file that was refused: %v, %v", seen, err)
	}
}

// cutOff reports whether the server closed the connection while more was sent,
// which a client may see before the answer.
func cutOff(err error) bool {
	var network *net.OpError
	return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.As(err, &network)
}
