package agent

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/agent/internal/control"
	"github.com/flopwatch/flopwatch/pkg/cli"
)

// releaseCommand lets the running agent let go of devices.
type releaseCommand struct {
	Data string        `help:"Data folder of the running agent." default:"data/agent" type:"path"`
	GPU  []string      `name:"gpu" help:"UUID of a device, or all." placeholder:"UUID|all"`
	For  time.Duration `help:"Read the device again after this long by itself." default:"15m"`
	End  bool          `help:"Read every device again now."`
}

// Run asks the agent and says what is let go.
func (c releaseCommand) Run(ctx context.Context, s cli.Streams) error {
	request := control.Request{Status: true}
	switch {
	case c.End && len(c.GPU) > 0:
		return errors.New("release: --gpu lets go and --end takes back; give one of them")
	case c.End:
		request = control.Request{Resume: true}
	case len(c.GPU) > 0:
		request = control.Request{Release: c.GPU, For: c.For}
	}
	reply, err := control.Ask(ctx, c.Data, request)
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	if len(reply.Released) == 0 {
		_, err = fmt.Fprintln(s.Out, "every device is read")
		return err
	}
	until := "until release --end"
	if reply.Until != "" {
		until = "until " + reply.Until + " or release --end"
	}
	_, err = fmt.Fprintf(s.Out, "released %s\nno handle of it is open here; its time is not observed and the gap is declared, %s\n", strings.Join(reply.Released, ", "), until)
	return err
}
