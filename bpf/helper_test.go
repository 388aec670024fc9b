package bpf

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// helper is what a process of the tests does.
func helper(name string, args []string) error {
	switch name {
	case "sleep":
		time.Sleep(20 * time.Millisecond)
		return nil
	case "forks":
		return helperForks(args[0], args[1])
	case "device":
		return helperDevice(args[0])
	case "receive":
		return helperReceive(args[0])
	case "send":
		return helperSend(args[0], args[1])
	case "sink":
		return helperSink(args[0])
	case "source":
		return helperSource(args[0], args[1])
	case "mounts":
		return helperMounts(args[0], args[1], args[2])
	}
	return fmt.Errorf("no helper is called %q", name)
}

// helperForks makes processes that end at once, so many in a second (0 is as many
// as it can), and prints their ids.
func helperForks(count, rate string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	perSecond, err := strconv.Atoi(rate)
	if err != nil {
		return err
	}
	pids := make([]int, 0, n)
	begun := time.Now()
	for i := range n {
		if perSecond > 0 {
			time.Sleep(time.Duration(i)*time.Second/time.Duration(perSecond) - time.Since(begun))
		}
		pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			return errno
		}
		if pid == 0 {
			_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
		}
		pids = append(pids, int(pid))
		if _, err := syscall.Wait4(int(pid), nil, 0, nil); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(os.Stdout)
	for _, pid := range pids {
		fmt.Fprintln(out, pid)
	}
	return out.Flush()
}

// helperDevice obeys the lines of its input: open, fork, close.
func helperDevice(path string) error {
	var file *os.File
	var child *exec.Cmd
	var childInput io.Closer
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var err error
		switch lines.Text() {
		case "open":
			file, err = os.Open(path)
		case "close":
			err = file.Close()
		case "inherit":
			child = exec.Command("/proc/self/exe", "helper", "device", path)
			child.ExtraFiles = []*os.File{file}
			if childInput, err = child.StdinPipe(); err == nil {
				err = child.Start()
			}
			if err == nil {
				fmt.Println(child.Process.Pid)
				continue
			}
		case "disinherit":
			_ = childInput.Close()
			err = child.Wait()
		}
		fmt.Println(strings.ReplaceAll(fmt.Sprint(err), "\n", " "))
	}
	return nil
}

const (
	sentBytes     = 3<<20 + 17
	answeredBytes = 4711
)

func helperReceive(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	c, err := listener.Accept()
	if err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, struct{ io.Reader }{c}, sentBytes); err != nil {
		return err
	}
	if _, err := c.Write(make([]byte, answeredBytes)); err != nil {
		return err
	}
	return c.Close()
}

func helperSend(address, own string) error {
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(own)}, Timeout: 10 * time.Second}
	c, err := dialer.Dial("tcp", address)
	if err != nil {
		return err
	}
	if _, err := c.Write(make([]byte, sentBytes)); err != nil {
		return err
	}
	if n, err := io.Copy(io.Discard, struct{ io.Reader }{c}); err != nil || n != answeredBytes {
		return fmt.Errorf("%d bytes came back: %w", n, err)
	}
	return c.Close()
}

// helperSink takes whatever one peer sends.
func helperSink(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	c, err := listener.Accept()
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, struct{ io.Reader }{c})
	return err
}

// helperSource sends so many messages of 64 KiB.
func helperSource(address, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	message := make([]byte, 64<<10)
	for range n {
		if _, err := c.Write(message); err != nil {
			return err
		}
	}
	return c.Close()
}

// helperMounts puts a file system of its own over a folder, with the library in
// it, and becomes the program once it is told to.
func helperMounts(folder, library, program string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	data, err := os.ReadFile(library)
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", folder, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if err := os.WriteFile(folder+"/libnccl.so.2", data, 0o755); err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	return syscall.Exec(program, []string{program, folder + "/libnccl.so.2"}, nil)
}
