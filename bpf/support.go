package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Answer is whether the host supports something.
type Answer string

// The three answers. Unknown is not No: the probe itself failed.
const (
	Yes     Answer = "yes"
	No      Answer = "no"
	Unknown Answer = "could not tell"
)

// Feature is one thing that watching needs or gives on this host.
type Feature struct {
	Name   string
	Answer Answer
	Reason string // why it is not Yes, and what would help; empty with Yes
	Lost   string // what is not seen without it
}

// Support probes this host with the rights of the caller. It loads each group of
// programs and unloads it, which takes some hundreds of milliseconds.
func Support() []Feature {
	return append(conditions(), abilities()...)
}

// conditions are what the programs stand on.
func conditions() []Feature {
	features := []Feature{kernelFeature(), btfFeature()}
	held, err := heldCapabilities()
	for _, c := range neededCapabilities() {
		features = append(features, c.feature(held, err))
	}
	return append(features, lockdownFeature(os.ReadFile))
}

// abilities are what can be watched, each tried for itself.
func abilities() []Feature {
	key := make([]byte, minKeyBytes)
	features := []Feature{
		tried("process events", "processes between two samples of /proc", try(Config{Method: Programs})),
		tried("device holders", "who holds a device: only what /proc shows of processes that may be read", tryHolders()),
		tried("device opens", "who opened a device between two lists of holders", try(Config{Method: Programs, Devices: true})),
		tried("device closes", "the moment of a close: it shows in the next list of holders", tryFunctionHook()),
		tried("traffic", "bytes per cgroup and peer", try(Config{Method: Programs, Flows: 1})),
		tried("NCCL communicators", "which processes set up one communicator", try(Config{Method: Programs, CommunicatorKey: key})),
		tried("process connector", "the second way to processes between two samples", try(Config{Method: Connector})),
	}
	return features
}

// try opens and closes a monitor with the least room.
func try(config Config) error {
	config.RingBytes = minRingBytes
	m, err := Open(config)
	if err != nil {
		return err
	}
	return m.Close()
}

// tryHolders opens a monitor that lists holders, whether or not it tells opens.
func tryHolders() error {
	m, err := Open(Config{Devices: true, RingBytes: minRingBytes})
	if err != nil {
		return err
	}
	if m.Method() != Programs {
		return errors.Join(m.Refused(), m.Close())
	}
	return m.Close()
}

// tried turns the outcome of a try into an answer. The kernel says EPERM for
// missing rights and for its policy alike; both are a No. Anything that is not
// known to mean No leaves it open.
func tried(name, lost string, err error) Feature {
	f := Feature{Name: name, Answer: Yes, Lost: lost}
	if err == nil {
		return f
	}
	// The library guesses at a limit that does not matter since Linux 5.11.
	reason := strings.NewReplacer(" (MEMLOCK may be too low, consider rlimit.RemoveMemlock)", "", "\n", "; ").Replace(err.Error())
	f.Answer, f.Reason = Unknown, reason
	switch {
	case errors.Is(err, fs.ErrPermission):
		f.Answer = No
		f.Reason = fmt.Sprintf("refused for want of rights, or by the kernel's policy: %s", reason)
	case errors.Is(err, ebpf.ErrNotSupported), errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.EPROTONOSUPPORT):
		f.Answer = No
	}
	return f
}

func kernelFeature() Feature {
	f := Feature{Name: "kernel 5.10 or later", Lost: "all programs: processes come from the process connector or /proc"}
	release, err := kernelRelease()
	switch {
	case err != nil:
		f.Answer, f.Reason = Unknown, err.Error()
	case !release.atLeast(5, 10):
		f.Answer, f.Reason = No, "this is "+release.text
	default:
		f.Answer = Yes
	}
	return f
}

func btfFeature() Feature {
	const path = "/sys/kernel/btf/vmlinux"
	f := Feature{Name: "kernel type information (BTF)", Lost: "all programs: processes come from the process connector or /proc"}
	file, err := os.Open(path)
	switch {
	case err == nil:
		f.Answer = Yes
		_ = file.Close() // opened to see whether it can be
	case errors.Is(err, fs.ErrNotExist):
		f.Answer, f.Reason = No, path+" is missing: the kernel is built without CONFIG_DEBUG_INFO_BTF, or /sys is not mounted"
	default:
		f.Answer, f.Reason = Unknown, err.Error()
	}
	return f
}

// lockdownFeature says whether the kernel's lockdown lets programs read.
func lockdownFeature(read func(string) ([]byte, error)) Feature {
	const path = "/sys/kernel/security/lockdown"
	f := Feature{Name: "lockdown lets programs read", Answer: Yes, Lost: "all programs"}
	data, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		f.Answer, f.Reason = Unknown, path+" is missing: securityfs is not mounted, or the kernel has no lockdown"
		return f
	}
	if err != nil {
		f.Answer, f.Reason = Unknown, err.Error()
		return f
	}
	if strings.Contains(string(data), "[confidentiality]") {
		f.Answer, f.Reason = No, "lockdown is in mode confidentiality; boot with lockdown=integrity or none"
	}
	return f
}
