package ctl

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// Between two readings of a command that is watched: at least watchRest, and askEvery
// where the collector does not tell of changes.
const (
	watchRest = time.Second
	askEvery  = 5 * time.Second
)

// clearScreen is what makes a terminal empty, its cursor at the top.
const clearScreen = "\x1b[H\x1b[2J"

// errWatchReads says that a command which changes something is not watched.
var errWatchReads = errors.New("--watch is for what only reads: this command changes something")

// watch runs a command anew each time the collector has committed something, until
// ctx ends, and prints what it says where that is not what it said before. On a
// terminal that takes the place of what stood there. That the first run fails is an
// error; later ones may, as while a collector starts again.
func watch(ctx context.Context, stdout, stderr io.Writer, run func(io.Writer) error, open func() (*client, error)) error {
	clear := ""
	if f, ok := stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		clear = clearScreen
	}
	var last []byte
	seen := "" // the state of the collector that was told last
	for first := true; ; first = false {
		var said bytes.Buffer
		err := run(&said)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && (first || errors.Is(err, errWatchReads)) && !answered(err):
			return err
		case err != nil && !answered(err):
			complain(stderr, err, exitFailed)
		case first || !bytes.Equal(said.Bytes(), last):
			last = said.Bytes()
			if _, err := io.WriteString(stdout, clear+said.String()); err != nil {
				return fmt.Errorf("write: %w", err)
			}
		}
		if !pause(ctx, watchRest) {
			return nil
		}
		if err := untilChanged(ctx, open, &seen); err != nil && !pause(ctx, askEvery) || ctx.Err() != nil {
			return nil
		}
	}
}

// answered reports whether a check was printed that does not hold, which is an answer.
func answered(err error) bool { return errors.Is(err, errUnbalanced) || errors.Is(err, errBroken) }

// pause waits, and reports whether ctx goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// untilChanged waits until the collector tells of another state than was seen, or for
// a minute: what is said of time alone moves too.
func untilChanged(ctx context.Context, open func() (*client, error), seen *string) error {
	c, err := open()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/events", nil)
	if err != nil {
		return fmt.Errorf("ask %s for changes: %w", c.base, err)
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	stream := *c.http
	stream.Timeout = 0 // it ends with ctx
	answer, err := stream.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s for changes: %w", c.base, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("ask %s for changes: %s", c.base, answer.Status)
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if revision, ok := strings.CutPrefix(lines.Text(), "data: "); ok && revision != *seen {
			*seen = revision
			return nil
		}
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil
	}
	return errors.New("the collector ended the stream of changes")
}
