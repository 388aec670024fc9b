package reader

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
)

// child is one process that reads the devices.
type child struct {
	command   *exec.Cmd
	questions *os.File
	answers   *os.File
	stderr    *tail
	host      Host
	question  []byte
	buf       []byte
	answer    answer
	gone      chan struct{} // closed when the process was reaped
}

// spawn starts a child and waits until it has opened the devices, all but those
// at the indices in without. An error wraps nvml.ErrNoDriver on a host without a
// driver and ErrReader where the child does not come up.
func spawn(ctx context.Context, o Options, without []int) (*child, error) {
	questionEnd, questions, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open pipe to the device reader: %w", err)
	}
	answers, answerEnd, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open pipe from the device reader: %w", err), questionEnd.Close(), questions.Close())
	}
	args := append([]string{}, o.Command[1:]...)
	args = append(args, "--deadline", o.Deadline.String(), "--open-wait", o.OpenWait.String())
	if o.Library != "" {
		args = append(args, "--library", o.Library)
	}
	if len(without) > 0 {
		var list []string
		for _, i := range without {
			list = append(list, strconv.Itoa(i))
		}
		args = append(args, "--without", strings.Join(list, ","))
	}
	c := &child{
		command: exec.Command(o.Command[0], args...), questions: questions, answers: answers,
		stderr: &tail{}, question: append(blank(nil), make([]byte, 8)...), gone: make(chan struct{}),
	}
	// One thread that runs Go code is enough for the child: with more, each reading
	// wakes threads that find nothing to do. Its heap is small, so it is kept small.
	c.command.Env = append(os.Environ(), "GOMAXPROCS=1", "GOGC=50")
	// An interrupt from the terminal is the parent's to take.
	c.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.command.Stdin, c.command.Stdout, c.command.Stderr = questionEnd, answerEnd, c.stderr
	err = c.command.Start()
	err = errors.Join(err, questionEnd.Close(), answerEnd.Close())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start the device reader: %w", err), questions.Close(), answers.Close())
	}
	go func() {
		defer close(c.gone)
		_ = c.command.Wait() // how it ended shows in what it answered, or did not
	}()
	if err := c.meet(ctx, time.Now().Add(o.OpenWait+o.Grace)); err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

// meet reads what the child found.
func (c *child) meet(ctx context.Context, until time.Time) error {
	if err := c.answers.SetReadDeadline(until); err != nil {
		return fmt.Errorf("bound the device reader: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.answers.SetReadDeadline(time.Unix(1, 0)) }) // fails the read below
	defer stop()
	kind, body, grown, err := receive(c.answers, c.buf)
	c.buf = grown
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("open the devices: %w", ctx.Err())
	case err != nil:
		return c.broken("open the devices", err)
	case kind == kindFault:
		var f fault
		if err := json.Unmarshal(body, &f); err != nil {
			return c.broken("open the devices", err)
		}
		e := &childError{text: f.Text}
		if f.NoDriver {
			e.kind = nvml.ErrNoDriver
		}
		return e
	case kind != kindHost:
		return c.broken("open the devices", fmt.Errorf("answer of kind %q", kind))
	}
	if err := json.Unmarshal(body, &c.host); err != nil {
		return c.broken("open the devices", err)
	}
	return nil
}

// lastWords is how long a child that closed its answers may take to end.
const lastWords = 200 * time.Millisecond

// broken says what went wrong with what the child last wrote to stderr.
func (c *child) broken(doing string, err error) error {
	if errors.Is(err, io.EOF) {
		select { // it has ended, or is about to: what it wrote comes with it
		case <-c.gone:
		case <-time.After(lastWords):
		}
	}
	if text := c.stderr.line(); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return fmt.Errorf("%s: %w: %w", doing, ErrReader, err)
}

// ask asks for one reading of every device.
func (c *child) ask(nowNS int64, patience time.Duration) error {
	until := time.Now().Add(patience)
	if err := errors.Join(c.answers.SetReadDeadline(until), c.questions.SetWriteDeadline(until)); err != nil {
		return fmt.Errorf("bound the device reader: %w", err)
	}
	binary.LittleEndian.PutUint64(c.question[headerSize:], uint64(nowNS))
	if _, err := c.questions.Write(seal(c.question, kindTick)); err != nil {
		return c.broken("ask for readings", err)
	}
	kind, body, grown, err := receive(c.answers, c.buf)
	c.buf = grown
	if err == nil && kind != kindAnswer {
		err = fmt.Errorf("answer of kind %q", kind)
	}
	if err == nil {
		err = c.answer.decode(body, &c.host)
	}
	if err != nil {
		return c.broken("read the devices", err)
	}
	return nil
}

// endWait is how long a child may take to let go of the devices by itself.
const endWait = 3 * time.Second

// end lets the child close the devices, and kills it if it does not.
func (c *child) end() error {
	err := c.questions.Close()
	select {
	case <-c.gone:
	case <-time.After(endWait):
		err = errors.Join(err, fmt.Errorf("the device reader did not end within %s and was killed", endWait))
		c.kill()
		return err
	}
	return errors.Join(err, c.answers.Close())
}

// kill ends the child at once. A process that hangs in the kernel goes when the
// call returns; nobody waits for it.
func (c *child) kill() {
	_ = c.command.Process.Kill() // it may have ended by itself
	_ = c.questions.Close()      // closed by end before
	_ = c.answers.Close()
}

// tail keeps the last bytes that were written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailSize = 2048

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailSize; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) line() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}
