package agent

import (
	"fmt"
	"os"

	"github.com/flopwatch/flopwatch/agent/internal/canary"
	"github.com/flopwatch/flopwatch/agent/internal/witness"
)

// canaryName is the command that canaryCommand is.
const canaryName = "canary"

// canaryCommand is a process that does nothing. The agent starts it to see whether
// it is seen.
type canaryCommand struct{}

// Run ends at once.
func (canaryCommand) Run() error { return nil }

// newCanary returns nil where nothing watches processes.
func newCanary(w *witness.Witness) (*canary.Canary, error) {
	if w.By() == witness.ByProc {
		return nil, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	return canary.New(func(pid int) bool { _, ok := w.Ended(pid); return ok }, self, canaryName), nil
}
