package agent

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"os"
	"slices"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/guest"
	"github.com/flopwatch/flopwatch/agent/internal/handover"
	"github.com/flopwatch/flopwatch/agent/internal/kubelet"
	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/resolver"
	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/agent/internal/witness"
	"github.com/flopwatch/flopwatch/bpf"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// ownerFlags say whom to ask about processes.
type ownerFlags struct {
	Leases       string `help:"Tenancy leases (NDJSON), watched." placeholder:"FILE" type:"path"`
	Jobs         string `help:"Slurm jobs that the prolog writes (NDJSON), watched." placeholder:"FILE" type:"path"`
	PodResources string `help:"The kubelet's pod-resources socket; by default its usual place, where there is one." placeholder:"SOCKET" type:"path"`
	CRI          string `name:"cri" help:"The container runtime's socket; by default containerd's usual place, on a host with a kubelet." placeholder:"SOCKET" type:"path"`
	RunLabel     string `help:"Label of pods that names the training run they belong to." placeholder:"KEY"`
	NCCLKey      string `name:"nccl-key" help:"Key file; with it, the set-up of NCCL communicators is seen, as hashes by this key. Off by default." placeholder:"FILE" type:"path"`
	Traffic      string `help:"Networks of the fleet. Bytes that workloads on devices exchange with hosts in them are told, with the host's own addresses there; none counts no traffic." placeholder:"NETWORK,..." default:"10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10,fc00::/7"`
	Watch        string `help:"How processes are watched between samples: bpf, connector, or empty for the best that the kernel allows." enum:",bpf,connector" default:""`
}

// owners says whose a device was. It is for one goroutine.
type owners struct {
	name     string // of the host
	prober   *probe.Prober
	witness  *witness.Witness
	resolver *resolver.Resolver
	pods     *kubelet.Client  // nil on a host without a kubelet
	leases   *tenancy.Watcher // nil without a file
	handed   *handover.Leases // what the collector sends
	sent     []tenancy.Lease  // of handed, the newest
	table    *tenancy.Table   // in force in this step
	talk     conversation
	log      *slog.Logger

	refreshed time.Time // when holders and guests were last looked at

	guests       []guest.Guest
	guestDevices []measure.Device // of guests, in their order
	guestFault   string

	imaged    map[string]time.Time // when the image of a pod was told last, by uid
	quiet     bool                 // settings say that communicators are not watched
	processes []tenancy.Process
	skew      time.Duration // of the wall clock, which leases go by, against the times of samples
	pids      []int         // that held a device in this step
}

// openOwners opens everything that tells who runs what.
func openOwners(ctx context.Context, f ownerFlags, handed *handover.Leases, log *slog.Logger) (*owners, error) {
	var key []byte
	if f.NCCLKey != "" {
		var err error
		if key, err = witness.ReadKey(f.NCCLKey); err != nil {
			return nil, err
		}
	}
	networks, err := networksOf(f.Traffic)
	if err != nil {
		return nil, err
	}
	o := &owners{
		imaged: map[string]time.Time{},
		handed: handed, talk: conversation{networks: networks, since: time.Now()}, prober: probe.New("/proc"), table: tenancy.NewTable(nil), log: log,
		witness: witness.Open(ctx, witness.Config{Method: bpf.Method(f.Watch), CommunicatorKey: key, Traffic: len(networks) > 0, Log: log}),
	}
	if err := o.prober.Watch(); err != nil {
		log.WarnContext(ctx, "processes are read anew every period", slog.Any("error", err))
	}
	config := resolver.Config{Prober: o.prober, Root: "/", HintLabel: f.RunLabel}
	podResources := or(f.PodResources, kubelet.DefaultPodResourcesSocket)
	if podResources != "" {
		labels := []string{}
		if f.RunLabel != "" {
			labels = append(labels, f.RunLabel)
		}
		o.pods = kubelet.New(kubelet.Config{PodResourcesSocket: podResources, CRISocket: or(f.CRI, kubelet.DefaultCRISocket), Labels: labels})
		config.Pods = o.pods
	}
	if f.Jobs != "" {
		config.Jobs = tenancy.NewJobWatcher(f.Jobs)
	}
	if f.Leases != "" {
		o.leases = tenancy.NewWatcher(f.Leases)
	}
	o.resolver = resolver.New(config)
	return o, nil
}

// or returns the path, or the usual one where there is a file.
func or(path, usual string) string {
	if path != "" {
		return path
	}
	if _, err := os.Stat(usual); err != nil {
		return ""
	}
	return usual
}

// Run takes events of processes and asks the kubelet until ctx ends.
func (o *owners) Run(ctx context.Context) error {
	if o.pods == nil {
		return o.witness.Run(ctx)
	}
	asking := make(chan struct{})
	go func() {
		defer close(asking)
		o.pods.Run(ctx, func(err error) {
			o.log.ErrorContext(ctx, "pods could not be asked for", slog.Any("error", err))
		})
	}()
	err := o.witness.Run(ctx)
	<-asking
	return err
}

// Close lets go of everything; Run must have returned.
func (o *owners) Close() error { return errors.Join(o.prober.Close(), o.witness.Close()) }

// begin begins a step. It returns how many events of processes were missed since
// the last time they were counted, and whether guests came or went.
func (o *owners) begin(ctx context.Context, now time.Time) (missed uint64, guestsChanged bool) {
	o.pids = o.pids[:0]
	o.prober.Tick()
	if o.resolver.Poll(now) {
		if err := o.resolver.Err(); err != nil {
			o.log.ErrorContext(ctx, "names of schedulers are not known", slog.Any("error", err))
		}
	}
	o.takeLeases(ctx, now)
	return o.refresh(ctx, now)
}

// refreshEvery is how often holders are taken anew from the kernel, which sees
// what events do not tell.
const refreshEvery = 30 * time.Second

func (o *owners) refresh(ctx context.Context, now time.Time) (missed uint64, guestsChanged bool) {
	if now.Sub(o.refreshed) < refreshEvery {
		return 0, false
	}
	o.refreshed = now
	missed = o.witness.Refresh(ctx)
	return missed, o.findGuests(ctx)
}

// findGuests looks for devices that are passed through to virtual machines.
func (o *owners) findGuests(ctx context.Context) (changed bool) {
	holders, err := o.witness.Holdings()
	if errors.Is(err, witness.ErrUnknown) {
		holders, err = guest.ScanHolders("/")
	}
	found, readErr := guest.Read("/", holders)
	fault := ""
	if err := errors.Join(err, readErr); err != nil {
		fault = err.Error()
	}
	if fault != "" && fault != o.guestFault && len(found.Guests) > 0 {
		o.log.WarnContext(ctx, "holders of passed-through devices are not all known", slog.String("error", fault))
	}
	o.guestFault = fault
	var devices []measure.Device
	for _, g := range found.Guests {
		devices = append(devices, measure.Device{ID: measure.DeviceID("PCI-" + g.PCI), Name: "passed through", PCIID: fmt.Sprintf("%04X", g.DeviceID)})
	}
	o.guests = found.Guests
	changed = !slices.Equal(devices, o.guestDevices)
	o.guestDevices = devices
	return changed
}

// guestReadings adds a sample of each passed-through device. It holds no reading:
// the driver is in the machine, so that figures are by allocation.
func (o *owners) guestReadings(now time.Time, to []sampler.Reading) []sampler.Reading {
	at := now.UnixNano()
	leased := at + int64(o.skew)
	for i := range o.guests {
		d := o.guestDevices[i]
		to = append(to, sampler.Reading{
			Sample: measure.NewSample(d.ID, at),
			Shares: o.resolver.GuestShares(tenancy.SubjectOf(o.name, d), o.guests[i], o.table, leased),
		})
	}
	return to
}

// nvidiaMajor is the major number of the device files of NVIDIA's devices.
const nvidiaMajor = 195

// of says who held a device since the sample before.
func (o *owners) of(r *nvml.DeviceReading, device *nvml.Device) []measure.Share {
	subject, at := tenancy.SubjectOf(o.name, device.Device), r.Sample.TimeNS+int64(o.skew)
	o.processes = o.processes[:0]
	if !r.HoldersKnown {
		// The kernel knows who has the device file open, of a whole device.
		if device.Parent != "" || device.Minor < 0 || !o.witness.KnowsHolders() {
			return o.resolver.UnknownShares(subject, o.table, at)
		}
		for _, pid := range o.witness.Holders(nvidiaMajor, uint32(device.Minor)) {
			o.processes = append(o.processes, tenancy.Held(subject, o.process(pid, at), math.NaN()))
		}
		return tenancy.Shares(o.processes, o.table, at)
	}
	for _, use := range r.Processes {
		o.pids = append(o.pids, use.PID)
		o.processes = append(o.processes, tenancy.Held(subject, o.process(use.PID, at), use.SMUtil))
	}
	shares := tenancy.Shares(o.processes, o.table, at)
	if r.Condition.MPSProcesses > 0 && len(shares) > 1 {
		// Under the multi-process service kernels of several processes run at once.
		for i := range shares {
			shares[i].Guessed = true
		}
	}
	return shares
}

// communicators looks for libraries of NCCL in the processes of this step, and
// returns who joined a communicator.
func (o *owners) communicators(ctx context.Context, now time.Time) []measure.Event {
	if o.quiet {
		o.witness.TakeJoined() // what was seen before is forgotten
		return nil
	}
	o.witness.WatchLibraries(ctx, o.pids)
	var events []measure.Event
	for _, j := range o.witness.TakeJoined() {
		w := o.process(j.PID, now.UnixNano()).Workload
		events = append(events, measure.Sign{
			TimeNS: now.UnixNano(), Kind: measure.EventCommunicator, Word: hex.EncodeToString(j.Communicator.Hash[:16]), Workload: w, Ranks: int(j.Communicator.Ranks), Rank: int(j.Communicator.Rank),
		}.Event())
	}
	return events
}

// imagesAgain is how often the image of a workload is told: a collector that was
// restored from a backup hears of it again.
const imagesAgain = time.Hour

// images returns which images the pods run that hold a device in this step, each
// once an hour.
func (o *owners) images(now time.Time, readings []sampler.Reading) []measure.Event {
	if o.pods == nil {
		return nil
	}
	var events []measure.Event
	for i := range readings {
		for _, share := range readings[i].Shares {
			w := share.Workload
			if w.Kind != measure.KindPod || now.Sub(o.imaged[w.ID]) < imagesAgain {
				continue
			}
			pod, answer := o.pods.Pod(w.ID)
			if answer != kubelet.Known || pod.Image == "" {
				continue
			}
			maps.DeleteFunc(o.imaged, func(_ string, at time.Time) bool { return now.Sub(at) > 2*imagesAgain }) // of pods that are gone
			o.imaged[w.ID] = now
			events = append(events, measure.Sign{TimeNS: now.UnixNano(), Kind: measure.EventImage, Word: pod.Image, Workload: w}.Event())
		}
	}
	return events
}

// communicating says whether set-ups of communicators are watched, where the host
// has a key for it: without the key nothing is, whatever the settings say.
func (o *owners) communicating(on bool) { o.quiet = !on }

// process returns who a process is, or was if it ended since the sample before.
func (o *owners) process(pid int, atNS int64) probe.Process {
	if p, err := o.prober.Lookup(pid); err == nil {
		return o.resolver.Complete(p, atNS)
	}
	if ended, ok := o.witness.Ended(pid); ok {
		return o.resolver.Complete(ended, atNS)
	}
	return probe.Process{} // who it was is not known any more; that it was there is
}
