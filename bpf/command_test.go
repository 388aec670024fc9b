package bpf

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// process is a helper that runs in a cgroup.
type process struct {
	t   testing.TB
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// start runs a command, its input and output kept, in a cgroup if one is given.
func start(t testing.TB, group *cgroup, attributes syscall.SysProcAttr, command ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(command[0], command[1:]...)}
	p.cmd.Stderr = os.Stderr
	if group != nil {
		folder, err := os.Open(group.path)
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		attributes.UseCgroupFD, attributes.CgroupFD = true, int(folder.Fd())
	}
	p.cmd.SysProcAttr = &attributes
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	return p
}

// self is the command line of a helper.
func self(name string, args ...string) []string {
	return append([]string{"/proc/self/exe", "helper", name}, args...)
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// ask sends a line and returns the answer.
func (p *process) ask(line string) string {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, line); err != nil {
		p.t.Fatal(err)
	}
	return p.line()
}

func (p *process) line() string {
	p.t.Helper()
	answer, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("read the answer of process %d: %v", p.pid(), err)
	}
	return strings.TrimSpace(answer)
}

// wait returns what is left of the output once the process has ended well.
func (p *process) wait() string {
	p.t.Helper()
	_ = p.in.Close()
	rest, err := io.ReadAll(p.out)
	if err != nil {
		p.t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Fatalf("process %d: %v", p.pid(), err)
	}
	return string(rest)
}
