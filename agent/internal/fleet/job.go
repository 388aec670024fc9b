package fleet

import (
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/jobtrace"
	"github.com/flopwatch/flopwatch/agent/internal/sampler"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/compute"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// FromJobs returns a fleet with one host for each host of each job.
func FromJobs(jobs []jobtrace.Job) *Fleet {
	f := &Fleet{}
	for i := range jobs {
		j := &jobs[i]
		for n := range j.Hosts {
			name := fmt.Sprintf("%s-%d", j.ID, n)
			f.hosts = append(f.hosts, &host{
				name: name, bootID: uuid("boot", name), startNS: j.StartNS, endNS: j.EndNS, devices: j.GPUsPerHost,
				open: func(window time.Duration) ([]measure.Device, source) {
					s := newJobSource(j, name, window)
					return s.devices, s
				},
			})
		}
	}
	return f
}

// uuid returns an identifier that is always the same for the same words.
func uuid(kind, name string) string {
	sum := sha256.Sum256([]byte("flopwatch/replay/" + kind + "\x00" + name))
	return fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// jobSource is one host while it runs a job. A job that states its rate drives
// the cycle counters that a driver would have shown at that rate; one that does
// not has no readings at all, and is known by its allocation only.
type jobSource struct {
	job      *jobtrace.Job
	devices  []measure.Device
	window   int64
	nextNS   int64
	toldNS   int64 // up to when events were told
	ended    bool
	readings []sampler.Reading
	table    *tenancy.Table
	host     string

	elapsedPerSecond float64 // SM cycles per second, a mean over the SMs
	tensorPerSecond  float64 // HMMA cycles per second, likewise; 0 for no counters
}

func newJobSource(j *jobtrace.Job, name string, window time.Duration) *jobSource {
	s := &jobSource{job: j, window: int64(window), host: name}
	selector := tenancy.Selector{Kind: "slurm_job", Value: j.ID}
	s.table = tenancy.NewTable([]tenancy.Lease{{Selector: selector, Tenant: j.Tenant}})
	for d := range j.GPUsPerHost {
		s.devices = append(s.devices, measure.Device{
			ID:   measure.DeviceID("GPU-" + uuid("device", fmt.Sprintf("%s/%d", name, d))),
			Name: j.Accelerator,
		})
	}
	m := j.Model
	rate := j.OpsPerGPU
	if j.MFU > 0 {
		rate = j.MFU * m.TrainingPeak().OpsPerSecond()
	}
	if perCycle := float64(m.SMCount * m.OpsPerClock[compute.BF16]); rate > 0 && perCycle > 0 && m.MaxSMMHz > 0 {
		s.elapsedPerSecond = float64(m.MaxSMMHz) * 1e6
		// A rate beyond what the tensor cores do at 16 bit was reached at 8 bit: the
		// pipe is active all the time, best falls short and high holds the rate.
		s.tensorPerSecond = min(rate/perCycle, s.elapsedPerSecond)
	}
	workload := measure.Workload{Kind: measure.KindSlurmJob, ID: j.ID, Hint: j.RunHint}
	subject := tenancy.Subject{Host: name, SlurmJob: j.ID}
	shares := tenancy.Shares([]tenancy.Process{{Workload: workload, Subject: subject, SMUtil: math.NaN()}}, s.table, j.StartNS)
	s.readings = make([]sampler.Reading, len(s.devices))
	for i := range s.readings {
		s.readings[i].Shares = shares
	}
	return s
}

func (s *jobSource) fold(window time.Duration) measure.FoldConfig {
	return measure.FoldConfig{Window: window, Period: window, MaxGap: 2 * window}
}

func (s *jobSource) exchanged(int64) []measure.Traffic { return nil }

// told returns what a host would have seen of the job: at its start what it runs and
// reads, at its end what it wrote.
func (s *jobSource) told(ns int64) []measure.Event {
	workload := measure.Workload{Kind: measure.KindSlurmJob, ID: s.job.ID}
	var events []measure.Event
	for _, sign := range []measure.Sign{
		{TimeNS: s.job.StartNS, Kind: measure.EventImage, Word: s.job.Image},
		{TimeNS: s.job.StartNS, Kind: measure.EventCommunicator, Word: s.job.Communicator, Ranks: s.job.Hosts * s.job.GPUsPerHost},
		{TimeNS: s.job.StartNS, Kind: measure.EventReadCheckpoint, Word: s.job.ReadCheckpoint},
		{TimeNS: s.job.EndNS, Kind: measure.EventWroteCheckpoint, Word: s.job.WroteCheckpoint},
	} {
		if sign.Word != "" && sign.TimeNS > s.toldNS && sign.TimeNS <= ns {
			sign.Workload = workload
			events = append(events, sign.Event())
		}
	}
	s.toldNS = max(s.toldNS, ns)
	return events
}

func (s *jobSource) together() bool { return true }

func (s *jobSource) seek(ns int64) { s.nextNS = max(s.job.StartNS, ns) }

func (s *jobSource) next() (int64, []sampler.Reading, bool) {
	if s.ended {
		return 0, nil, false
	}
	at := s.nextNS
	for i := range s.readings {
		s.readings[i].Sample = s.sample(s.devices[i].ID, at)
	}
	s.ended = at >= s.job.EndNS
	s.nextNS = min((at/s.window+1)*s.window, s.job.EndNS)
	return at, s.readings, true
}

// sample is what a device says at a time: counters that have grown evenly since
// the job began, so that any two instants give the stated rate.
func (s *jobSource) sample(id measure.DeviceID, at int64) measure.Sample {
	sample := measure.NewSample(id, at)
	if s.tensorPerSecond > 0 {
		seconds := float64(at-s.job.StartNS) / 1e9
		sample.SetCounter(measure.CycSMElapsed, uint64(s.elapsedPerSecond*seconds))
		sample.SetCounter(measure.CycHMMA, uint64(s.tensorPerSecond*seconds))
		sample.SetGauge(measure.SMClockMHz, float64(s.job.Model.MaxSMMHz))
	}
	return sample
}
