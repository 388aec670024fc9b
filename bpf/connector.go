package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of the process connector.
const (
	connectorBuffer   = 4 << 20     // bytes that wait in the kernel
	connectorPatience = time.Second // for the answer to the request to listen
)

// connector is the process connector of netlink.
type connector struct {
	socket  *os.File
	lost    atomic.Uint64 // times that the buffer was full
	running sync.Mutex
}

// openConnector asks the kernel to tell of processes. Without CAP_NET_ADMIN in
// the initial namespaces it refuses, in another pid namespace it is silent.
func openConnector() (*connector, error) {
	c, err := listenConnector()
	if err != nil {
		return nil, fmt.Errorf("listen to the process connector: %w", err)
	}
	return c, nil
}

func listenConnector() (*connector, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return nil, fmt.Errorf("open a netlink socket: %w", err)
	}
	c := &connector{socket: os.NewFile(uintptr(fd), "process connector")}
	if err := c.subscribe(fd); err != nil {
		return nil, errors.Join(err, c.socket.Close())
	}
	return c, nil
}

func (c *connector) subscribe(fd int) error {
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: connectorProcesses}); err != nil {
		return fmt.Errorf("join its group: %w", err)
	}
	// More than the limit needs CAP_NET_ADMIN, as listening does.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, connectorBuffer); err != nil {
		return fmt.Errorf("enlarge its buffer: %w", err)
	}
	mark := uint32(os.Getpid())
	if err := unix.Sendto(fd, listenRequest(mark), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send the request: %w", err)
	}
	if err := c.socket.SetReadDeadline(time.Now().Add(connectorPatience)); err != nil {
		return fmt.Errorf("bound the wait for its answer: %w", err)
	}
	buf := make([]byte, connectorMessage)
	for {
		n, err := c.socket.Read(buf)
		if errors.Is(err, unix.ENOBUFS) {
			continue // before the answer nothing is promised
		}
		if err != nil {
			return fmt.Errorf("wait for its answer, which does not come in another pid namespace: %w", err)
		}
		answer, err := decodeAnswer(buf[:n])
		if err != nil {
			return err
		}
		if answer.mine(mark) {
			if answer.errno != 0 {
				return fmt.Errorf("it refuses: %w", unix.Errno(answer.errno))
			}
			return nil
		}
	}
}

func (c *connector) run(ctx context.Context, interval time.Duration, handle func(Event)) error {
	if !c.running.TryLock() {
		return errRunning
	}
	defer c.running.Unlock()
	buf := make([]byte, connectorMessage)
	var event Event
	for ctx.Err() == nil {
		if err := c.socket.SetReadDeadline(time.Now().Add(interval)); err != nil {
			return fmt.Errorf("read the process connector: %w", err)
		}
		suspended, err := timeSuspended()
		if err != nil {
			return err
		}
		for ctx.Err() == nil {
			n, err := c.socket.Read(buf)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
			if errors.Is(err, unix.ENOBUFS) {
				c.lost.Add(1)
				continue
			}
			if err != nil {
				return fmt.Errorf("read the process connector: %w", err)
			}
			told, err := decodeConnector(&event, buf[:n], suspended)
			if err != nil {
				return err
			}
			if told {
				handle(event)
			}
		}
	}
	return nil
}

// timeSuspended is how far the clock of events is ahead of the monotonic clock,
// which the connector uses.
func timeSuspended() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read the monotonic clock: %w", err)
	}
	boot, err := SinceBoot()
	return boot - time.Duration(ts.Nano()), err
}

func (c *connector) readDrops() Drops { return Drops{Processes: c.lost.Load()} }

func (c *connector) close() error {
	if err := c.socket.Close(); err != nil {
		return fmt.Errorf("close the process connector: %w", err)
	}
	return nil
}
