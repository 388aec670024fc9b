package probe

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// watch knows which processes live on without reading them again: a process
// descriptor becomes readable when its process ends, and until then no other
// process can have its id.
type watch struct {
	epoll  int
	tick   int
	events []unix.EpollEvent
}

// recheckAfter is how many ticks a process that lives on is taken as it was: it
// may still be moved to another cgroup. The first look comes after one tick,
// since schedulers move processes when they start.
const recheckAfter = 10

// Watch lets lookups of processes that live on cost nothing. It is for the /proc
// of the running kernel only, and the caller calls Tick once a period and Close
// in the end. Where the kernel has no process descriptors (before 5.3) the error
// says so, and lookups go on as without.
func (p *Prober) Watch() error {
	fd, err := unix.PidfdOpen(unix.Getpid(), 0)
	if err != nil {
		return fmt.Errorf("open a process descriptor: %w", err)
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err := errors.Join(err, unix.Close(fd)); err != nil {
		return fmt.Errorf("watch processes: %w", err)
	}
	p.watch = &watch{epoll: epoll, events: make([]unix.EpollEvent, 256)}
	return nil
}

// Tick takes note of the processes that have ended since the last call.
func (p *Prober) Tick() {
	w := p.watch
	if w == nil {
		return
	}
	w.tick++
	for {
		n, err := unix.EpollWait(w.epoll, w.events, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			n = 0 // what has ended shows when it is looked at again
		}
		for _, e := range w.events[:n] {
			if known := p.known[int(e.Pad)]; known != nil && known.descriptor == int(e.Fd) {
				p.forget(known)
			}
		}
		if n < len(w.events) {
			return
		}
	}
}

// Close lets go of all processes.
func (p *Prober) Close() error {
	if p.watch == nil {
		return nil
	}
	for _, e := range p.known {
		p.forget(e)
	}
	err := unix.Close(p.watch.epoll)
	p.watch = nil
	if err != nil {
		return fmt.Errorf("end watching processes: %w", err)
	}
	return nil
}

// pin opens a descriptor of a process before it is read, so that what is read is
// of the process that the descriptor stands for if it has not ended after. It
// returns -1 without a watch and where there is no descriptor to be had.
func (p *Prober) pin(pid int) int {
	if p.watch == nil {
		return -1
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1
	}
	return fd
}

// follow watches the process of an entry.
func (p *Prober) follow(e *entry, descriptor int) {
	e.descriptor = -1
	if descriptor < 0 {
		return
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(descriptor), Pad: int32(e.process.PID)}
	if err := unix.EpollCtl(p.watch.epoll, unix.EPOLL_CTL_ADD, descriptor, &event); err != nil {
		_ = unix.Close(descriptor) // it was only opened for this
		return
	}
	e.descriptor = descriptor
	e.next = p.watch.tick + 1
}

// forget stops watching the process of an entry.
func (p *Prober) forget(e *entry) {
	if e.descriptor >= 0 {
		_ = unix.Close(e.descriptor) // closing takes it out of the epoll set
		e.descriptor = -1
	}
}

// current reports whether an entry holds without a look at the process.
func (p *Prober) current(e *entry) bool {
	return p.watch != nil && e.descriptor >= 0 && p.watch.tick < e.next
}
