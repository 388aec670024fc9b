package agent

import (
	"context"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/doctor"
	"github.com/flopwatch/flopwatch/agent/internal/kubelet"
	"github.com/flopwatch/flopwatch/agent/internal/nvml"
	"github.com/flopwatch/flopwatch/agent/internal/reader"
	"github.com/flopwatch/flopwatch/bpf"
	"github.com/flopwatch/flopwatch/pkg/cli"
)

// doctorCommand says what works on this host.
type doctorCommand struct {
	Library string `help:"Path of libnvidia-ml; by default the usual places." placeholder:"PATH"`
	Leases  string `help:"Tenancy leases (NDJSON) to check." placeholder:"FILE" type:"path"`
	Output  string `short:"o" help:"table or json." enum:"table,json" default:"table"`
}

// examined shows the doctor what the process that reads the devices found.
type examined struct{ *reader.Reader }

func (e examined) Library() (path, driver string) { return e.Host().Library, e.Host().Driver }
func (e examined) Devices() []nvml.Device         { return e.Host().Devices }
func (e examined) Confidential() nvml.Answer      { return e.Host().Confidential }

// Run examines the host. The exit code is 0 if all works, 1 if something is
// lost, 2 if nothing can be measured.
func (c doctorCommand) Run(ctx context.Context, s cli.Streams) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	var pods func(context.Context) error
	if socket := or("", kubelet.DefaultPodResourcesSocket); socket != "" {
		pods = kubelet.New(kubelet.Config{PodResourcesSocket: socket, CRISocket: or("", kubelet.DefaultCRISocket)}).Refresh
	}
	report := doctor.Examine(ctx, doctor.Options{
		Pods:        pods,
		LibraryPath: c.Library, Kernel: bpf.Support, Proc: "/proc", Dev: "/dev", Leases: c.Leases, Now: time.Now(),
		Open: func(ctx context.Context, library string) (doctor.Devices, error) {
			r, err := openReader(ctx, library, time.Second)
			if err != nil {
				return nil, err
			}
			return examined{r}, nil
		},
	})
	write := report.WriteTable
	if c.Output == "json" {
		write = report.WriteJSON
	}
	if err := write(s.Out); err != nil {
		return err
	}
	if code := report.ExitCode(); code != 0 {
		return cli.Exit{Code: code}
	}
	return nil
}
