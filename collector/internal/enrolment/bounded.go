package enrolment

import (
	"net"
	"sync"
)

// bounded is a listener that has at most so many connections at a time; what
// comes beyond waits in the kernel.
type bounded struct {
	net.Listener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newBounded(l net.Listener, most int) *bounded {
	return &bounded{Listener: l, places: make(chan struct{}, most), closed: make(chan struct{})}
}

// Accept waits for a place, then for a connection.
func (b *bounded) Accept() (net.Conn, error) {
	select {
	case b.places <- struct{}{}:
	case <-b.closed:
		return nil, net.ErrClosed
	}
	c, err := b.Listener.Accept()
	if err != nil {
		<-b.places
		return nil, err
	}
	return &place{Conn: c, leave: func() { <-b.places }}, nil
}

// Close closes the listener; connections stay.
func (b *bounded) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Listener.Close()
}

type place struct {
	net.Conn
	leave func()
	once  sync.Once
}

func (p *place) Close() error {
	defer p.once.Do(p.leave)
	return p.Conn.Close()
}
