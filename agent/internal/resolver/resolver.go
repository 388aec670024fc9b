// Package resolver names what a process belongs to by asking those who know more
// than its cgroup path tells: the kubelet and the runtime for the namespace of a
// pod, Slurm's prolog for the account of a job, libvirt for the UUID of a machine.
//
// Their answers outrank the path. Where nobody could be asked the name stays
// empty, and leases that are less specific do not decide in its place.
package resolver

import (
	"errors"
	"fmt"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/guest"
	"github.com/flopwatch/flopwatch/agent/internal/kubelet"
	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

const (
	// machinesAfter is how long what libvirt wrote is taken as it was.
	machinesAfter = time.Minute
	// machinesAgain is how soon it is read again for a machine that is not known.
	machinesAgain = time.Second
)

// Config says who is asked. Only Prober is required.
type Config struct {
	Prober    *probe.Prober
	Pods      *kubelet.Client     // nil on a host without a kubelet; somebody runs it
	Jobs      *tenancy.JobWatcher // nil without Slurm
	Root      string              // file system below which /run names machines, "/" on a live host; "" asks for none
	HintLabel string              // label of pods that joins them into a run, one of those that Pods keeps
}

// Resolver is for one goroutine.
type Resolver struct {
	config      Config
	now         time.Time
	machines    *guest.Machines
	machinesAt  time.Time
	machinesErr error
}

// Holder is a process that held a device.
type Holder struct {
	PID        int
	StartTicks uint64 // clock ticks from boot to its start, 0 if it is not known
}

// New returns a resolver that has asked nobody yet.
func New(c Config) *Resolver { return &Resolver{config: c} }

// Poll begins a period at now: it takes over new jobs. changed reports that Err
// may say something new.
func (r *Resolver) Poll(now time.Time) (changed bool) {
	r.now = now
	return r.config.Jobs != nil && r.config.Jobs.Poll(now)
}

// Err says what could not be read of jobs and machines; what the kubelet's client
// could not ask it reports itself.
func (r *Resolver) Err() error {
	if r.config.Jobs == nil {
		return r.machinesErr
	}
	return errors.Join(r.config.Jobs.Err(), r.machinesErr)
}

// Process looks a holder up and names what it belongs to at atNS. A holder that
// cannot be looked up, or whose id has passed to a process that started at another
// time, is the zero process: somebody held the device, and who is not known.
func (r *Resolver) Process(h Holder, atNS int64) probe.Process {
	p, err := r.config.Prober.Lookup(h.PID)
	if err != nil || h.StartTicks != 0 && h.StartTicks != p.StartTicks {
		return probe.Process{}
	}
	return r.Complete(p, atNS)
}

// Complete adds to a process what its scheduler knows.
func (r *Resolver) Complete(p probe.Process, atNS int64) probe.Process {
	switch {
	case p.Names.PodUID != "":
		return r.completePod(p)
	case p.Names.SlurmJob != "":
		return r.completeJob(p, atNS)
	case r.config.Root != "":
		return r.completeVM(p)
	}
	return p
}

// completePod takes the pod of the container where the runtime knows it, and
// otherwise the one that the path names.
func (r *Resolver) completePod(p probe.Process) probe.Process {
	if r.config.Pods == nil {
		return p
	}
	pod, answer := kubelet.Pod{}, kubelet.Unasked
	if p.Names.Container != "" {
		pod, answer = r.config.Pods.Container(p.Names.Container)
	}
	if answer != kubelet.Known {
		pod, answer = r.config.Pods.Pod(p.Names.PodUID)
	}
	if answer != kubelet.Known {
		return p
	}
	return r.inPod(p, pod)
}

func (r *Resolver) inPod(p probe.Process, pod kubelet.Pod) probe.Process {
	p.Names.PodUID, p.Names.Namespace = pod.UID, pod.Namespace
	p.Workload = probe.NewWorkload(measure.KindPod, pod.UID)
	if r.config.HintLabel != "" {
		p.Workload.Hint = pod.Labels[r.config.HintLabel]
	}
	return p
}

func (r *Resolver) completeJob(p probe.Process, atNS int64) probe.Process {
	if r.config.Jobs == nil {
		return p
	}
	if job, ok := r.config.Jobs.Jobs().Of(p.Names.SlurmJob, atNS); ok {
		p.Names.SlurmAccount = job.Account
		if job.User != "" {
			p.Names.User = job.User
		}
	}
	return p
}

// completeVM reads the machines anew after a while, and when a machine came that
// is not known.
func (r *Resolver) completeVM(p probe.Process) probe.Process {
	if !guest.MayBeVM(p) {
		return p
	}
	_, known := r.machines.VM(p)
	if age := r.now.Sub(r.machinesAt); r.machines == nil || age >= machinesAfter || !known && age >= machinesAgain {
		machines, err := guest.ReadMachines(r.config.Root)
		if err != nil {
			err = fmt.Errorf("name machines: %w", err)
		}
		r.machines, r.machinesAt, r.machinesErr = machines, r.now, err
	}
	return r.machines.Complete(p)
}
