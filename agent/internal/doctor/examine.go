package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/bpf"
	"github.com/flopwatch/flopwatch/pkg/accel"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// Options say what to examine.
type Options struct {
	LibraryPath string // of the driver's library, "" searches the usual places
	Proc        string // the host's /proc
	Dev         string // the host's /dev
	Leases      string // lease file, "" if none is configured
	Now         time.Time
	// Kernel says what of the kernel's events this host allows; nil leaves it out.
	Kernel func() []bpf.Feature
	// Pods asks the kubelet and the container runtime once; nil on a host without.
	Pods func(context.Context) error
	// Open opens the devices.
	Open func(ctx context.Context, library string) (Devices, error)
}

// Devices is what is asked of an open source.
type Devices interface {
	Library() (path, driver string)
	Devices() []nvml.Device
	Confidential() nvml.Answer
	Close() error
}

// initialPIDNamespace is the inode that the kernel gives the first one.
const initialPIDNamespace = "pid:[4026531836]"

// Examine makes every check. It opens the devices and closes them again, and
// changes nothing on the host.
func Examine(ctx context.Context, o Options) Report {
	var r Report
	r.Checks = append(r.Checks, examineDevices(ctx, o)...)
	r.Checks = append(r.Checks, examineProc(o)...)
	r.Checks = append(r.Checks, examineCgroups(o)...)
	if o.Kernel != nil {
		r.Checks = append(r.Checks, examineKernel(o.Kernel())...)
	}
	if o.Pods != nil {
		r.Checks = append(r.Checks, examinePods(ctx, o))
	}
	r.Checks = append(r.Checks, examineLeases(o))
	return r
}

func examineDevices(ctx context.Context, o Options) []Check {
	source, err := o.Open(ctx, o.LibraryPath)
	if err != nil {
		library := Check{Name: "driver library", Status: Broken, Found: err.Error()}
		if errors.Is(err, nvml.ErrNoDriver) {
			library.Advice = "install the NVIDIA driver, or set the library's path if it is elsewhere; without devices only replays work"
		} else {
			library.Advice = "run nvidia-smi as the same user: if it fails too, the driver or its device files need repair"
		}
		return append([]Check{library}, examineControl(o, err)...)
	}
	path, driver := source.Library()
	checks := []Check{{Name: "driver library", Found: fmt.Sprintf("%s, driver %s", path, orUnknown(driver))}}
	checks = append(checks, examineControl(o, nil)...)
	devices := source.Devices()
	if len(devices) == 0 {
		checks = append(checks, Check{
			Name: "devices", Status: Broken, Found: "the driver lists none",
			Advice: "a device that is passed through to a virtual machine, or in MIG mode without partitions, has no counters here",
		})
	}
	for _, d := range devices {
		checks = append(checks, examineDevice(o, d))
	}
	checks = append(checks, examineConfidential(source.Confidential(), devices)...)
	checks = append(checks, examineAccounting(devices)...)
	if err := source.Close(); err != nil {
		checks = append(checks, Check{
			Name: "closing", Status: Degraded, Found: err.Error(),
			Advice: "a device that hangs blocks reset and driver updates until the process that holds it is gone",
		})
	}
	return checks
}

func orUnknown(s string) string {
	if s == "" {
		return "of unknown version"
	}
	return s
}

// examineControl looks at the device file that every call goes through, where
// it can explain what went wrong.
func examineControl(o Options, openErr error) []Check {
	path := filepath.Join(o.Dev, "nvidiactl")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	switch {
	case err == nil:
		if err := f.Close(); err != nil {
			return []Check{{Name: "permissions", Status: Degraded, Found: err.Error()}}
		}
		return []Check{{Name: "permissions", Found: path + " can be read and written"}}
	case errors.Is(err, os.ErrPermission):
		return []Check{{
			Name: "permissions", Status: Broken, Found: err.Error(),
			Advice: "allow the agent's user and unit (DeviceAllow=/dev/nvidiactl rw, char-nvidia* rw) to use the device files",
		}}
	case openErr != nil && errors.Is(openErr, nvml.ErrNoDriver):
		return nil // nothing to permit
	default:
		return []Check{{Name: "permissions", Status: Degraded, Found: err.Error(), Advice: "nvidia-modprobe creates the device files"}}
	}
}

func examineDevice(o Options, d nvml.Device) Check {
	model, grade, how := accel.Lookup(accel.Identity{Name: d.Name, PCIID: d.PCIID, CC: d.CC, SMCount: d.SMCount, MaxSMMHz: d.MaxSMMHz})
	c := Check{
		Name:  "device " + string(d.ID),
		Found: fmt.Sprintf("%s, method %s, catalogue %s (%s; grade %s)", d.Name, d.Method, model.SKU, how, grade),
	}
	var advice []string
	switch d.Method {
	case measure.Cycles, measure.GPM:
		// Both count tensor work; that one is better is no defect of the host.
	default:
		c.Status = Degraded
		c.Found += ": " + d.Reason
		if restricted(o.Proc) && strings.Contains(d.Reason, "permission") {
			advice = append(advice, "the driver restricts performance counters to administrators: give the agent CAP_PERFMON or set NVreg_RestrictProfilingToAdminUsers=0")
		} else {
			advice = append(advice, "figures of this method have a wide interval; Hopper and newer with driver 525 or newer count tensor work")
		}
	}
	if grade == accel.Derived {
		c.Status = max(c.Status, Degraded)
		advice = append(advice, "the accelerator is not in the catalogue: its ceiling is safe and its best figure is a guess")
	}
	c.Advice = strings.Join(advice, "; ")
	return c
}

// examineConfidential explains refused counters where confidential computing is
// on.
func examineConfidential(on nvml.Answer, devices []nvml.Device) []Check {
	if on != nvml.Yes {
		return nil
	}
	c := Check{Name: "confidential computing", Found: "the devices compute in confidential mode"}
	for _, d := range devices {
		if d.Method != measure.Cycles && d.Method != measure.GPM {
			c.Status = Degraded
			c.Advice = "the driver may refuse performance counters in this mode; figures then come from utilization or allocation"
		}
	}
	return []Check{c}
}

// examineAccounting says whether the driver remembers ended processes. The agent
// never sets this: it would change the host for everybody.
func examineAccounting(devices []nvml.Device) []Check {
	on, known := 0, 0
	for _, d := range devices {
		if d.Accounting != nvml.CouldNotTell {
			known++
		}
		if d.Accounting == nvml.Yes {
			on++
		}
	}
	if known == 0 {
		return nil
	}
	return []Check{{Name: "accounting mode", Found: fmt.Sprintf("on for %d of %d devices; it is read and never set", on, len(devices))}}
}

// restricted reports whether the driver keeps counters for administrators.
func restricted(proc string) bool {
	data, err := os.ReadFile(filepath.Join(proc, "driver/nvidia/params"))
	return err == nil && strings.Contains(string(data), "RmProfilingAdminOnly: 1")
}

func examineProc(o Options) []Check {
	c := Check{Name: "processes", Found: "workloads are read from " + o.Proc + " once a period"}
	if err := probe.New(o.Proc).Check(); err != nil {
		return []Check{{
			Name: "processes", Status: Degraded, Found: err.Error(),
			Advice: "mount the host's /proc; until then held time is unattributed unless the host or device is leased as a whole",
		}}
	}
	ns, err := os.Readlink(filepath.Join(o.Proc, "self/ns/pid"))
	if err == nil && ns != initialPIDNamespace {
		c.Status, c.Found = Degraded, "the agent runs in a process namespace of its own"
		c.Advice = "run it in the host's (hostPID: true): the driver names processes by their ids there"
	}
	return []Check{c}
}

func examinePods(ctx context.Context, o Options) Check {
	c := Check{Name: "pods", Found: "the kubelet and the container runtime answer"}
	if err := o.Pods(ctx); err != nil {
		c.Status, c.Found = Degraded, err.Error()
		c.Advice = "both sockets belong to root: run the agent as root or give its group access; until then namespaces of pods are not known, and where leases name them the time is unattributed"
	}
	return c
}

func examineLeases(o Options) Check {
	c := Check{Name: "tenancy leases"}
	if o.Leases == "" {
		c.Status, c.Found = Degraded, "no lease file is configured"
		c.Advice = "without leases every workload is counted and none has a tenant on this host"
		return c
	}
	w := tenancy.NewWatcher(o.Leases)
	w.Poll(o.Now)
	if err := w.Err(); err != nil {
		c.Status, c.Found = Degraded, err.Error()
		c.Advice = "repair the file; a running agent keeps the last good set"
		return c
	}
	c.Found = fmt.Sprintf("%s, %d leases", o.Leases, w.Table().Len())
	if conflicts := w.Table().Conflicts(3); len(conflicts) > 0 {
		c.Status = Degraded
		var lines []string
		for _, v := range conflicts {
			lines = append(lines, fmt.Sprintf("lines %d and %d give %s %s to two tenants", v.Lease.Line, v.Other.Line, v.Lease.Selector.Kind, v.Lease.Selector.Value))
		}
		c.Found += ": " + strings.Join(lines, "; ")
		c.Advice = "while both are in force the time stays unattributed"
	}
	return c
}
