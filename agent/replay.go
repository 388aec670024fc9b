package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/fleet"
	"github.com/flopwatch/flopwatch/agent/internal/jobtrace"
	"github.com/flopwatch/flopwatch/agent/internal/recording"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
)

// replayCommand plays traces as a fleet.
type replayCommand struct {
	Endpoint   string        `help:"File that says where the collector is." default:"data/agent.json" type:"path"`
	Data       string        `help:"Folder for the spool and the hosts' key." default:"data/agent" type:"path"`
	Jobs       []string      `help:"Job trace (CSV, may be .gz)." placeholder:"FILE"`
	Recordings []string      `name:"recording" help:"Recording (folder or .tar.gz)." placeholder:"PATH"`
	Traces     []string      `arg:"" optional:"" name:"trace" help:"Job trace or recording; which of the two is found out."`
	Leases     string        `help:"Tenancy leases (NDJSON) for the workloads of recordings." placeholder:"FILE" type:"path"`
	Speed      string        `help:"Times faster than real time, real for 1, or max, which fast is too." default:"max" placeholder:"N|max"`
	Window     time.Duration `help:"Window length; 0 chooses by the size of the fleet." default:"0s"`

	swarmFlags
}

// Run validates every input before the first window is sent, replays them, and
// waits until the collector has receipted all.
func (c replayCommand) Run(ctx context.Context, s cli.Streams) error {
	speed, err := parseSpeed(c.Speed)
	if err != nil {
		return err
	}
	if c.Fleet > 0 {
		return c.swarm(ctx, s, speed)
	}
	fleets, err := c.load(s.Err)
	if err != nil {
		return err
	}
	if len(fleets) == 0 {
		return errors.New("replay: nothing to replay: give a job trace or a recording")
	}
	target, err := endpoint.Read(c.Endpoint)
	if err != nil {
		return err
	}
	return replayFleets(ctx, s, courierConfig{Data: c.Data, Endpoint: target, Fleet: true, Log: s.Logger()}, fleets, fleet.Config{Speed: speed, Window: c.Window})
}

// load reads every input; the faults of all are told together.
func (c replayCommand) load(warn io.Writer) ([]*fleet.Fleet, error) {
	jobs, recordings := c.Jobs, c.Recordings
	for _, path := range c.Traces {
		if recording.Is(path) {
			recordings = append(recordings, path)
		} else {
			jobs = append(jobs, path)
		}
	}
	table := tenancy.NewTable(nil)
	if c.Leases != "" {
		watcher := tenancy.NewWatcher(c.Leases)
		watcher.Poll(time.Now())
		if err := watcher.Err(); err != nil {
			return nil, err
		}
		table = watcher.Table()
	}
	return loadFleets(jobs, recordings, table, warn)
}

func parseSpeed(text string) (float64, error) {
	switch text {
	case "max", "fast":
		return 0, nil
	case "real":
		return 1, nil
	}
	speed, err := strconv.ParseFloat(text, 64)
	if err != nil || !(speed > 0) || speed > 1e9 {
		return 0, fmt.Errorf("--speed %q: must be a number above 0 and at most 1e9, or max", text)
	}
	return speed, nil
}

type convertCommand struct {
	In  string `arg:"" help:"Table of published results, or a job trace."`
	Out string `arg:"" help:"Job trace to write; - for standard output."`
}

// Run writes the job trace. An output file appears whole or not at all.
func (c convertCommand) Run(s cli.Streams) (err error) {
	trace, err := jobtrace.Open(c.In)
	if err != nil {
		return err
	}
	if c.Out == "-" {
		return jobtrace.Write(s.Out, trace.Jobs)
	}
	file, err := os.CreateTemp(".", ".convert-")
	if err != nil {
		return fmt.Errorf("write %s: %w", c.Out, err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // it is gone after the rename
	err = jobtrace.Write(file, trace.Jobs)
	if err = errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write %s: %w", c.Out, err)
	}
	if err := os.Rename(file.Name(), c.Out); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
