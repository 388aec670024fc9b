package agent

import (
	"os"
	"runtime"
)

// oneThread lets one thread at a time run this program's code, unless whoever
// starts it says otherwise. An agent works a millisecond a second: on a host with
// many processors, each further thread would only be woken to find nothing to do.
func oneThread() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}
