package flopwatch_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// number reads a setting of the environment, by which make asks for more than the
// ordinary run plays.
func number(t *testing.T, name string, otherwise int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return otherwise
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: want a number above 0", name, s)
	}
	return n
}

// follow notes what the spool holds since the last call, of a sampler that is
// dead. A file that became shorter had a torn tail.
func (p *pair) follow(t *testing.T, at map[string]int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(p.dir, "agent", "spool", "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		from := max(at[name], 8)
		data, err := io.ReadAll(io.NewSectionReader(f, from, 1<<40))
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
		for len(data) >= 8 {
			n := int(binary.LittleEndian.Uint32(data))
			if n <= 0 || 8+n > len(data) {
				break
			}
			if b := data[8 : 8+n]; b[0] == 1 {
				p.seen[string(b[3+int(b[2])+40+32:])] = true
			}
			data, from = data[8+n:], from+int64(8+n)
		}
		at[name] = from
	}
}

// The sampler, the shipper and the collector with its broker and database are
// killed at random times, alone and together, also while they start; now and then
// the broker's store is gone too.
func TestChaosKills(t *testing.T) {
	kills := number(t, "CHAOS_KILLS", 20)
	p := newPair(t)
	random := rand.New(rand.NewPCG(uint64(kills), 29))
	at := map[string]int64{}
	killed, wipes, by := 0, 0, [3]int{}
	for killed < kills {
		time.Sleep(time.Duration(20+random.IntN(1400)) * time.Millisecond)
		what := random.IntN(7) // bits of who dies; all for 6
		if what == 6 {
			what = 7
		} else {
			what = 1 << (what % 3)
		}
		if what&1 != 0 {
			kill(t, p.sampler)
			p.follow(t, at)
			p.startSampler(t)
			killed, by[0] = killed+1, by[0]+1
		}
		if what&2 != 0 {
			kill(t, p.shipper)
			p.startShipper(t)
			killed, by[1] = killed+1, by[1]+1
		}
		if what&4 != 0 {
			kill(t, p.collector)
			if random.IntN(3) == 0 {
				if err := os.RemoveAll(filepath.Join(p.data, "broker", "jetstream")); err != nil {
					t.Fatal(err)
				}
				wipes++
			}
			p.collector = p.start(t, "flopwatch-collector", "serve", "--data", p.data, "--broker-port", fmt.Sprint(p.port))
			killed, by[2] = killed+1, by[2]+1
		}
	}
	time.Sleep(2 * time.Second) // an end right at the start is another test
	waitReady(t, p.data)
	p.judge(t, fmt.Sprintf("%d kills (sampler %d, shipper %d, collector %d, %d of them with the broker's store wiped)", killed, by[0], by[1], by[2], wipes), kills/20)
}

// judge settles and holds the result against what was durable.
func (p *pair) judge(t *testing.T, what string, atLeast int) {
	t.Helper()
	lost, twice := p.settle(t)
	t.Logf("%s: %d durable batches, %d lost, %d counted twice", what, len(p.seen), lost, twice)
	if lost > 0 || twice > 0 || len(p.seen) < atLeast {
		t.Errorf("%s: %d durable batches, %d lost, %d counted twice", what, len(p.seen), lost, twice)
	}
}

// The collector's disk is lost again and again, and a backup that is older takes
// its place.
func TestChaosRestores(t *testing.T) {
	restores := number(t, "CHAOS_RESTORES", 0)
	if restores == 0 {
		t.Skip("make chaos plays it; TestRestoreDrill plays it once")
	}
	p := newPair(t)
	from := ""
	for i := range restores {
		time.Sleep(1100 * time.Millisecond) // the names of backups are seconds
		if i%2 == 0 {
			from = p.backUp(t)
		}
		time.Sleep(500 * time.Millisecond)
		p.restore(t, from)
	}
	p.judge(t, fmt.Sprintf("%d restores", restores), restores)
}

// A process that is stopped is late, and nothing more.
func TestChaosStopped(t *testing.T) {
	pause := 2 * time.Second
	if os.Getenv("CHAOS_KILLS") != "" {
		pause = 8 * time.Second
	}
	p := newPair(t)
	time.Sleep(time.Second)
	for _, c := range []*exec.Cmd{p.sampler, p.shipper, p.collector} {
		for _, s := range []syscall.Signal{syscall.SIGSTOP, syscall.SIGCONT} {
			if err := c.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			time.Sleep(pause)
		}
	}
	p.judge(t, fmt.Sprintf("each of three stopped for %s", pause), 5)
}

// asRoot skips a row that needs rights which the test does not have.
func asRoot(t *testing.T, tools ...string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: it mounts file systems or makes network namespaces")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s", tool)
		}
	}
}

// small mounts a file system of the given size.
func small(t *testing.T, path string, megabytes int) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0700", megabytes)); err != nil {
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(path, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill writes a file until the disk is full, and returns what makes room again.
func fill(t *testing.T, folder string) (free func()) {
	t.Helper()
	path := filepath.Join(folder, "ballast")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	block := bytes.Repeat([]byte{1}, 4096)
	for {
		if _, err := f.Write(block); err != nil {
			break
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// alive reports whether a process still runs.
func alive(c *exec.Cmd) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Process.Pid))
	_, state, ok := strings.Cut(string(stat), ") ")
	return err == nil && ok && state[0] != 'Z' && state[0] != 'X'
}

// The disk of the spool is full: the sampler stays up, what was promised is kept,
// and sampling goes on when there is room.
func TestChaosSpoolDiskFull(t *testing.T) {
	asRoot(t)
	p := preparePair(t)
	small(t, filepath.Join(p.dir, "agent"), 8)
	p.startCollector(t)
	p.startSampler(t)
	p.startShipper(t)
	time.Sleep(time.Second)
	free := fill(t, filepath.Join(p.dir, "agent"))
	time.Sleep(4 * time.Second)
	if !alive(p.sampler) {
		t.Fatalf("the sampler ended: %s", p.sampler.Stderr)
	}
	during := len(evidence(t, p.data))
	free()
	p.recovers(t, during)
	p.judge(t, "spool's disk full for 4 s", 3)
}

// recovers waits until more is counted than was.
func (p *pair) recovers(t *testing.T, was int) {
	t.Helper()
	from := time.Now()
	for time.Since(from) < 3*time.Minute {
		p.supervise(t)
		if len(evidence(t, p.data)) > was+3 {
			t.Logf("counting again %s after there was room", time.Since(from).Round(100*time.Millisecond))
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("nothing new was counted within three minutes after there was room\ncollector: %s\nsampler: %s\nshipper: %s", p.collector.Stderr, p.sampler.Stderr, p.shipper.Stderr)
}

// supervise starts the collector again if it ended, as its unit does, and never ends
// it. It reports whether it had.
func (p *pair) supervise(t *testing.T) bool {
	t.Helper()
	if p.collector == nil || alive(p.collector) {
		return false
	}
	_ = p.collector.Wait()
	p.collector = p.start(t, "flopwatch-collector", "serve", "--data", p.data, "--broker-port", fmt.Sprint(p.port))
	return true
}

// The disk of broker, or of broker and database, is full. The collector may end,
// loudly, and its unit starts it again; nobody else does anything. A broker whose
// store sticks is found by the collector's own probe and started anew inside it.
// What was receipted stays, and everything is counted once there is room.
func TestChaosCollectorDiskFull(t *testing.T) {
	asRoot(t)
	for _, where := range []string{"broker", "."} {
		t.Run(where, func(t *testing.T) {
			p := preparePair(t)
			disk := filepath.Join(p.data, where)
			small(t, disk, 24)
			p.startCollector(t)
			p.startSampler(t)
			p.startShipper(t)
			time.Sleep(time.Second)
			free := fill(t, disk)
			ended := 0
			for end := time.Now().Add(4 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
				if p.supervise(t) {
					ended++
				}
			}
			was := len(evidence(t, p.data))
			free()
			p.recovers(t, was)
			p.judge(t, fmt.Sprintf("disk of %s full for 4 s, collector started again %d times", where, ended), 3)
		})
	}
}

// The network goes without a word: nothing is reset, nothing answers. The network
// is one of the test's own, in which both sides live.
func TestChaosPartition(t *testing.T) {
	asRoot(t, "ip")
	name := fmt.Sprintf("fwchaos%d", os.Getpid())
	if out, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		t.Skipf("no network namespace can be made here: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "del", name).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	link := func(state string) {
		t.Helper()
		if out, err := exec.Command("ip", "-n", name, "link", "set", "lo", state).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	link("up")
	p := preparePair(t)
	p.wrap = []string{"ip", "netns", "exec", name}
	p.startCollector(t)
	p.startSampler(t)
	p.startShipper(t)
	time.Sleep(time.Second)
	for range number(t, "CHAOS_PARTITIONS", 1) {
		link("down")
		was := len(evidence(t, p.data))
		time.Sleep(6 * time.Second)
		if n := len(evidence(t, p.data)); n > was+10 {
			t.Errorf("%d batches came through a network that is down", n-was)
		}
		link("up")
		p.recovers(t, len(evidence(t, p.data)))
	}
	p.judge(t, "partitioned for 6 s", 5)
}
