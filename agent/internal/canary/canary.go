// Package canary finds out whether what watches the processes of a host still sees
// them: it starts one of its own from time to time and looks for it there. Whoever
// empties the tables in the kernel, or blinds what reads them, is told of that way.
package canary

import (
	"fmt"
	"os/exec"
	"time"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

// When a canary is sent, and how long none may have come back before that is told.
const (
	every    = time.Minute
	patience = 30 * time.Second // for events, which come some seconds late
	missing  = 2 * time.Minute
	quiet    = time.Hour // until the same is told again
)

// Canary sends canaries. It belongs to one goroutine.
type Canary struct {
	// Seen reports whether a process that has ended was seen by the watcher.
	Seen func(pid int) bool

	start func() (pid int, ended <-chan struct{}, err error)

	sent  time.Time
	pid   int // of the one that is out, 0 if none is
	ended <-chan struct{}
	seen  time.Time // when one was last seen, or watching began
	told  time.Time
}

// New returns a canary that starts the command, which must end at once.
func New(seen func(pid int) bool, command ...string) *Canary {
	return &Canary{Seen: seen, start: func() (int, <-chan struct{}, error) {
		cmd := exec.Command(command[0], command[1:]...)
		if err := cmd.Start(); err != nil {
			return 0, nil, fmt.Errorf("start canary: %w", err)
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait() // how it ended says nothing
			close(ended)
		}()
		return cmd.Process.Pid, ended, nil
	}}
}

// Step does what is due at an instant and returns what is to be told: that no canary
// was seen for two minutes. An error says that none could be started.
func (c *Canary) Step(now time.Time) ([]measure.Event, error) {
	if c.seen.IsZero() {
		c.seen = now
	}
	if c.pid != 0 && closed(c.ended) {
		switch {
		case c.Seen(c.pid):
			c.seen, c.told, c.pid = now, time.Time{}, 0
		case now.Sub(c.sent) > patience:
			c.pid = 0
		}
	}
	var err error
	if c.pid == 0 && now.Sub(c.sent) >= every {
		c.sent = now
		c.pid, c.ended, err = c.start()
	}
	away := now.Sub(c.seen)
	if away <= missing || !c.told.IsZero() && now.Sub(c.told) < quiet {
		return nil, err
	}
	c.told = now
	return []measure.Event{{TimeNS: now.UnixNano(), Kind: measure.EventCanary, Code: int64(away / time.Second), Detail: "a process of the agent's own was not seen"}}, err
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
