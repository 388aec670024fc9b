package bpf

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
)

// hooks are the names of the programs that this kernel can run for each purpose.
type hooks struct {
	open     []string // of devices; none if nothing tells
	closes   bool     // the end of open files is seen
	traffic  []string // none if nothing tells
	multi    bool     // uprobe_multi
	refusal  error    // why functions of the kernel cannot be hooked, nil if they can
	root     string   // of the cgroups, where the device controller is asked
	rootless error    // why it cannot be asked
}

// missing says what the settings ask for and nothing tells, nil if all is told.
func (h *hooks) missing(config *Config) error {
	var errs []error
	if config.Devices && h.open == nil {
		errs = append(errs, fmt.Errorf("tell opens of devices: %w", errors.Join(h.refusal, h.rootless)))
	}
	if config.Flows > 0 && h.traffic == nil {
		errs = append(errs, fmt.Errorf("count traffic: %w", h.refusal))
	}
	return errors.Join(errs...)
}

// chooseHooks asks the kernel. Functions are preferred for devices, since they
// see files; tracepoints for traffic, since they see every way to send.
func chooseHooks(spec *ebpf.CollectionSpec) (hooks, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return hooks{}, fmt.Errorf("read the kernel's BTF: %w", err)
	}
	h := hooks{multi: features.HaveBPFLinkUprobeMulti() == nil, refusal: tryFunctionHook()}
	if h.refusal == nil {
		h.closes = true
		h.open = []string{
			firstFunction(kernel, spec, monitorProgDeviceOpen, monitorProgFileOpen),
			firstFunction(kernel, spec, monitorProgFileFree, monitorProgFilePut),
		}
	} else {
		// Asking the device controller needs CAP_NET_ADMIN besides.
		h.root, err = cgroupRoot()
		if h.rootless = errors.Join(err, features.HaveProgramType(ebpf.CGroupDevice)); h.rootless == nil {
			h.open = []string{monitorProgDeviceAsked}
		}
	}
	var tracepoint *btf.Typedef
	if kernel.TypeByName("btf_trace_sock_send_length", &tracepoint) == nil {
		h.traffic = []string{monitorProgSocketSent, monitorProgSocketReceived}
	} else if h.refusal == nil {
		h.traffic = []string{monitorProgFlowSent, monitorProgFlowReceived}
	}
	return h, nil
}

// firstFunction is the first program whose kernel function exists, else the last.
func firstFunction(kernel *btf.Spec, spec *ebpf.CollectionSpec, names ...string) string {
	for _, name := range names {
		var function *btf.Func
		if kernel.TypeByName(spec.Programs[name].AttachTo, &function) == nil {
			return name
		}
	}
	return names[len(names)-1]
}

// tryFunctionHook attaches an empty program to a function that the kernel keeps
// for tests. Some kernels refuse by policy, some processors have no trampolines.
func tryFunctionHook() error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         ebpf.Tracing,
		AttachType:   ebpf.AttachTraceFEntry,
		AttachTo:     "bpf_fentry_test1",
		License:      "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return fmt.Errorf("hook a function of the kernel: %w", err)
	}
	attached, err := link.AttachTracing(link.TracingOptions{Program: program})
	if err == nil {
		err = attached.Close()
	}
	if err := errors.Join(err, program.Close()); err != nil {
		return fmt.Errorf("hook a function of the kernel: %w", err)
	}
	return nil
}

// cgroupRoot is where the unified hierarchy is mounted.
func cgroupRoot() (string, error) {
	file, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("find the unified cgroups: %w", err)
	}
	defer file.Close()
	return findCgroupRoot(file)
}

// findCgroupRoot reads a mountinfo. Only a mount of the whole hierarchy counts.
func findCgroupRoot(mountinfo io.Reader) (string, error) {
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		mount, filesystem, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(mount)
		if ok && len(fields) >= 5 && strings.HasPrefix(filesystem, "cgroup2 ") && fields[3] == "/" {
			return fields[4], nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", fmt.Errorf("find the unified cgroups: %w", err)
	}
	return "", errors.New("find the unified cgroups: no cgroup2 is mounted whole")
}
