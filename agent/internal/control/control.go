// Package control lets commands on a host speak to the agent that runs there,
// through a socket in the agent's data folder that only its owner can open.
//
// A conversation is one request and one reply, each a line of JSON.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// socketName is the socket's name in the data folder.
const socketName = "control.sock"

// patience bounds a conversation, so that a caller that says nothing holds
// nothing up.
const patience = 10 * time.Second

// maxLine bounds a request and a reply, in bytes.
const maxLine = 64 << 10

// Request asks the agent for something. Exactly one field is set.
type Request struct {
	Release []string      `json:"release,omitempty"` // device UUIDs, or "all"
	For     time.Duration `json:"for,omitempty"`     // with Release: how long, 0 until resumed
	Resume  bool          `json:"resume,omitempty"`
	Status  bool          `json:"status,omitempty"`
}

// Reply is what became of it.
type Reply struct {
	Error    string   `json:"error,omitempty"`
	Released []string `json:"released"` // what is let go now
	Until    string   `json:"until,omitempty"`
}

// call is a request that waits for the agent's loop.
type call struct {
	request Request
	reply   chan Reply
}

// Server takes requests until it is closed.
type Server struct {
	listener net.Listener
	calls    chan call
	done     chan struct{}
	wait     sync.WaitGroup
}

// Listen opens the socket in the folder. Another agent that runs on the same
// folder is an error; a socket that one left behind is replaced.
func Listen(folder string) (*Server, error) {
	path := filepath.Join(folder, socketName)
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: an agent runs on this folder already", path), conn.Close())
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	// The socket must not be open to others for even a moment.
	mask := unix.Umask(0o077)
	listener, err := net.Listen("unix", path)
	unix.Umask(mask)
	if err != nil {
		return nil, fmt.Errorf("listen for commands: %w", err)
	}
	s := &Server{listener: listener, calls: make(chan call), done: make(chan struct{})}
	s.wait.Go(s.accept)
	return s, nil
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return // closed
		}
		s.wait.Go(func() { s.converse(conn) })
	}
}

// converse serves one caller. What goes wrong is the caller's to see.
func (s *Server) converse(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if conn.SetDeadline(time.Now().Add(patience)) != nil {
		return
	}
	var request Request
	if err := receive(conn, &request); err != nil {
		_ = send(conn, Reply{Error: err.Error()})
		return
	}
	c := call{request: request, reply: make(chan Reply, 1)}
	select {
	case s.calls <- c:
	case <-s.done:
		return
	case <-time.After(patience):
		return
	}
	select {
	case reply := <-c.reply:
		_ = send(conn, reply)
	case <-s.done:
	}
}

// Answer lets handle answer one request, if one waits; it never blocks.
func (s *Server) Answer(handle func(Request) Reply) {
	select {
	case c := <-s.calls:
		c.reply <- handle(c.request)
	default:
	}
}

// Close ends all conversations and removes the socket.
func (s *Server) Close() error {
	close(s.done)
	err := s.listener.Close()
	s.wait.Wait()
	return err
}

// Ask sends a request to the agent that runs on the folder.
func Ask(ctx context.Context, folder string, request Request) (Reply, error) {
	path := filepath.Join(folder, socketName)
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", path)
	if err != nil {
		return Reply{}, fmt.Errorf("reach the agent (is one running on this folder?): %w", err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		return Reply{}, fmt.Errorf("bound the conversation with the agent: %w", err)
	}
	if err := send(conn, request); err != nil {
		return Reply{}, err
	}
	var reply Reply
	if err := receive(conn, &reply); err != nil {
		return Reply{}, err
	}
	if reply.Error != "" {
		return reply, errors.New(reply.Error)
	}
	return reply, nil
}

func send(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode message: %w", err)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("speak with the agent: %w", err)
	}
	return nil
}

func receive(r io.Reader, v any) error {
	line, err := bufio.NewReader(io.LimitReader(r, maxLine)).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("speak with the agent: %w", err)
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("speak with the agent: not a message: %w", err)
	}
	return nil
}
