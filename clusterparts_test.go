package flopwatch_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func (c *cluster) startHost(i int) {
	c.Helper()
	name := fmt.Sprint("host", i)
	c.agents[i] = start(c.T, c.dir, "flopwatch-agent", "run", "--endpoint", name+".json", "--data", name,
		"--library", filepath.Join(programs, "libnvml-standin.so"), "--period", "200ms", "--window", "200ms")
}

// addHost lets one more host report.
func (c *cluster) addHost() {
	c.Helper()
	i := len(c.agents)
	c.enroll(i)
	c.sh("users")
	c.agents = append(c.agents, nil)
	c.startHost(i)
}

// stopHosts stops the hosts. What an agent has no receipt for within seconds stays in
// its spool.
func (c *cluster) stopHosts() {
	c.Helper()
	for _, a := range c.agents {
		c.remember()
		interrupt(c.T, a)
	}
	c.remember()
}

func (c *cluster) run(name string, args ...string) string {
	c.Helper()
	cmd := exec.Command(filepath.Join(programs, name), args...)
	cmd.Dir = c.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		c.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (c *cluster) sh(args ...string) {
	c.Helper()
	cmd := exec.Command(c.script, args...)
	cmd.Env = c.env
	if out, err := cmd.CombinedOutput(); err != nil {
		c.Fatalf("cluster.sh %v: %v\n%s", args, err, out)
	}
}

func (c *cluster) prepare() { c.Helper(); c.sh("prepare") }

// ready waits until every collector answers.
func (c *cluster) ready() {
	c.Helper()
	for i := range 3 {
		c.wait(fmt.Sprintf("collector %d answers", i+1), 2*time.Minute, func() bool {
			return exec.Command(filepath.Join(programs, "flopwatchctl"), "--data", filepath.Join(c.dir, fmt.Sprint("collector", i+1)), "status").Run() == nil
		})
	}
}

// networks gives each broker a network namespace where that can be done, so that it
// can be cut off, and returns the addresses.
func (c *cluster) networks() string {
	loopback := "127.0.0.1 127.0.0.1 127.0.0.1"
	if os.Getuid() != 0 {
		return loopback
	}
	ip := func(args ...string) error {
		out, err := exec.Command("ip", args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("ip %v: %w: %s", args, err, out)
		}
		return nil
	}
	id, net := os.Getpid()%100000, fmt.Sprintf("10.%d.%d", 200+rand.IntN(50), rand.IntN(250))
	bridge := fmt.Sprint("fwb", id)
	if err := ip("link", "add", bridge, "type", "bridge"); err != nil {
		c.Logf("no broker can be cut off here: %v", err)
		return loopback
	}
	c.Cleanup(func() { _ = ip("link", "del", bridge) })
	var addresses, spaces []string
	for i := range 3 {
		space, address := fmt.Sprintf("fwcl%d%d", id, i), fmt.Sprintf("%s.%d", net, i+1)
		outer, inner := fmt.Sprintf("fwo%d%d", id, i), fmt.Sprintf("fwi%d%d", id, i)
		c.Cleanup(func() { _ = ip("netns", "del", space) })
		for _, step := range [][]string{
			{"netns", "add", space}, {"link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space}, {"link", "set", outer, "master", bridge},
			{"link", "set", outer, "up"}, {"-n", space, "link", "set", "lo", "up"}, {"-n", space, "addr", "add", address + "/24", "dev", inner}, {"-n", space, "link", "set", inner, "up"},
		} {
			if err := ip(step...); err != nil {
				c.Logf("no broker can be cut off here: %v", err)
				return loopback
			}
		}
		addresses, spaces = append(addresses, address), append(spaces, space)
	}
	if err := ip("addr", "add", net+".254/24", "dev", bridge); err != nil {
		c.Logf("no broker can be cut off here: %v", err)
		return loopback
	}
	if err := ip("link", "set", bridge, "up"); err != nil {
		c.Logf("no broker can be cut off here: %v", err)
		return loopback
	}
	c.spaces = spaces
	return strings.Join(addresses, " ")
}

// cut takes a broker's network away, or gives it back.
func (c *cluster) cut(i int, state string) {
	c.Helper()
	inner := fmt.Sprintf("fwi%s", strings.TrimPrefix(c.spaces[i], "fwcl"))
	if out, err := exec.Command("ip", "-n", c.spaces[i], "link", "set", inner, state).CombinedOutput(); err != nil {
		c.Fatalf("%v: %s", err, out)
	}
}

func (c *cluster) part(name string, i int, wrap ...string) *exec.Cmd {
	c.Helper()
	args := append(wrap, c.script, name, fmt.Sprint(i+1))
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = c.env
	log, err := os.OpenFile(filepath.Join(c.dir, fmt.Sprint(name, i+1, ".log")), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		c.Fatal(err)
	}
	cmd.Stderr, cmd.Stdout = log, log
	err = cmd.Start()
	_ = log.Close()
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		if cmd.ProcessState == nil {
			kill(c.T, cmd)
		}
		if c.Failed() {
			c.Logf("%s: %s%s", log.Name(), tail(log.Name()), tail(filepath.Join(c.dir, fmt.Sprint(name, i+1), "log")))
		}
	})
	return cmd
}

func tail(path string) string {
	data, _ := os.ReadFile(path)
	return string(data[max(0, len(data)-3000):])
}

func (c *cluster) startBroker(i int) {
	c.Helper()
	var wrap []string
	if c.spaces != nil {
		wrap = []string{"ip", "netns", "exec", c.spaces[i]}
	}
	c.brokers[i] = c.part("broker", i, wrap...)
}

func (c *cluster) startCollector(i int) { c.Helper(); c.collectors[i] = c.part("collector", i) }

func (c *cluster) enroll(i int) {
	c.Helper()
	name := fmt.Sprint("host", i)
	out := c.run("flopwatchctl", "--data", "collector1", "hosts", "invite", "--name", name, "--devices", "2", "--out", name+".token")
	server := regexp.MustCompile(`127\.0\.0\.1:[0-9]+`).FindString(out)
	c.run("flopwatch-agent", "enroll", "--server", server, "--token", name+".token", "--endpoint", name+".json", "--keys", name+".keys", "--data", name)
}
