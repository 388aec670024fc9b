// Package systemd tells the service manager that a program is ready, alive and
// stopping, where it runs under one (Type=notify, WatchdogSec).
package systemd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"time"
)

// Notifier speaks to the service manager; the zero value to nobody. It is for one
// goroutine at a time.
type Notifier struct {
	socket   string
	watchdog time.Duration // 0 without one
	told     time.Time
}

// New takes from the environment what the service manager put there.
func New(getenv func(string) string) Notifier {
	n := Notifier{socket: getenv("NOTIFY_SOCKET")}
	if n.socket != "" && n.socket[0] == '@' {
		n.socket = "\x00" + n.socket[1:] // an abstract name
	}
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return n // meant for another process
	}
	if us, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && us > 0 {
		n.watchdog = time.Duration(us) * time.Microsecond
	}
	return n
}

// Ready says that the program does its work.
func (n *Notifier) Ready() error { return n.send("READY=1") }

// Stopping says that the program ends by itself.
func (n *Notifier) Stopping() error { return n.send("STOPPING=1") }

// Alive is called by the loop whose health the watchdog guards. It says so as
// often as the manager wants it, with room to spare.
func (n *Notifier) Alive(now time.Time) error {
	if n.watchdog == 0 || now.Sub(n.told) < n.watchdog/3 {
		return nil
	}
	n.told = now
	return n.send("WATCHDOG=1")
}

func (n *Notifier) send(state string) (err error) {
	if n.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", state, err)
	}
	return nil
}

// Service is a Notifier that logs what the manager could not be told, because
// the program works without one. It may be used from many goroutines.
type Service struct {
	mu       sync.Mutex
	notifier Notifier
	log      *slog.Logger
}

// NewService returns a service under the manager that the environment names.
func NewService(log *slog.Logger) *Service { return &Service{notifier: New(os.Getenv), log: log} }

// Ready says that the program does its work.
func (s *Service) Ready(ctx context.Context) {
	s.tell(ctx, func(n *Notifier) error { return n.Ready() })
}

// Alive is called after finished work, never by a timer: a program that hangs
// must not look well.
func (s *Service) Alive(ctx context.Context) {
	s.tell(ctx, func(n *Notifier) error { return n.Alive(time.Now()) })
}

// Stopping says that the program ends by itself.
func (s *Service) Stopping(ctx context.Context) {
	s.tell(ctx, func(n *Notifier) error { return n.Stopping() })
}

func (s *Service) tell(ctx context.Context, what func(*Notifier) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := what(&s.notifier); err != nil {
		s.log.WarnContext(ctx, "service manager", slog.Any("error", err))
	}
}
