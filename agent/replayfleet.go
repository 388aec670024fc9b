package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/fleet"
	"github.com/flopwatch/flopwatch/agent/internal/jobtrace"
	"github.com/flopwatch/flopwatch/agent/internal/outbox"
	"github.com/flopwatch/flopwatch/agent/internal/recording"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// windowsPerBatch is how many windows of a host travel in one signed batch when
// a replay is not paced: a signature costs more than all the rest of a window.
const windowsPerBatch = 60

// loadFleets reads job traces and recordings. All jobs make one fleet, whose
// windows get one length; each recording keeps its own.
func loadFleets(jobs, recordings []string, leases *tenancy.Table, warn io.Writer) ([]*fleet.Fleet, error) {
	var fleets []*fleet.Fleet
	var faults []error
	all := &fleet.Fleet{}
	for _, path := range jobs {
		trace, err := jobtrace.Open(path)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for _, text := range trace.Warnings {
			fmt.Fprintf(warn, "%s: warning: %s\n", trace.Name, text)
		}
		all.Add(fleet.FromJobs(trace.Jobs))
	}
	if all.Hosts() > 0 {
		fleets = append(fleets, all)
	}
	for _, path := range recordings {
		r, err := recording.Open(path)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		fleets = append(fleets, fleet.FromRecording(r, leases))
	}
	return fleets, errors.Join(faults...)
}

// replayFleets plays the fleets one after the other and waits until everything
// is receipted.
func replayFleets(ctx context.Context, s cli.Streams, cfg courierConfig, fleets []*fleet.Fleet, play fleet.Config) error {
	window := play.Window
	for _, f := range fleets {
		window = max(window, f.AutoWindow())
	}
	cfg.BatchSpan = windowsPerBatch * window
	if play.Speed > 0 {
		cfg.BatchSpan = min(cfg.BatchSpan, time.Duration(play.Speed*float64(time.Second)))
	}
	c, err := openCourier(cfg)
	if err != nil {
		return err
	}
	started := time.Now()
	var windows int64
	err = c.Run(ctx, 0, func(ctx context.Context) error {
		for _, f := range fleets {
			last := fleet.Progress{}
			play.Progress = func(p fleet.Progress) {
				last = p
				fmt.Fprintf(s.Err, "replay: %d of %d hosts done, %s, %d device-windows, %d batches without receipt\n",
					p.HostsDone, p.Hosts, p.At.Format(time.RFC3339), windows+p.Windows, c.Waiting())
			}
			if err := f.Run(ctx, play, sink{c.Outbox}); err != nil {
				return err
			}
			windows += last.Windows
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "replay: all receipted: %d device-windows in %s\n", windows, time.Since(started).Round(time.Millisecond))
	return nil
}

// sink gives an outbox the interface that a fleet plays into.
type sink struct{ *outbox.Outbox }

// Open opens a lane of the outbox.
func (s sink) Open(name string, facts wire.HostFacts, bootID string, rows []wire.DeviceRow) (fleet.Lane, error) {
	return s.Outbox.Open(name, facts, bootID, rows)
}
