// Package agent is the program on a GPU host.
//
// A source reads the devices once a period. Processes that hold a device become
// workloads by their cgroup, and workloads become tenants by leases. Two samples
// bound an interval, which is estimated, split over the workloads and folded
// into windows; windows are batched, signed and fsynced in the spool, and only
// then sent. A replay takes the place of the source and changes nothing else.
//
// Two processes share this work on a host: sample has the devices and the key and
// no network, ship has the network and neither. Between them are the spool, which
// sample alone writes, and one signed receipt, which sample verifies itself.
package agent

import (
	"io"

	"github.com/flopwatch/flopwatch/pkg/cli"
)

// commands is the command line.
type commands struct {
	Run      runCommand     `cmd:"" help:"Read this host's devices and send what they did, in one process: sample and ship together, for a trial."`
	Sample   sampleCommand  `cmd:"" help:"Read this host's devices and keep what they did, signed, in the spool. Uses no network."`
	Ship     shipCommand    `cmd:"" help:"Send what is in the spool. Can not sign and removes nothing."`
	Enroll   enrollCommand  `cmd:"" help:"Make this host one of a collector's fleet, with a join token."`
	Rotate   rotateCommand  `cmd:"" help:"Replace the keys of this host."`
	Replay   replayCommand  `cmd:"" help:"Play job traces or recordings as a fleet of hosts."`
	Convert  convertCommand `cmd:"" help:"Write the job trace that a table of published results stands for."`
	Doctor   doctorCommand  `cmd:"" help:"Say what works on this host, what does not, and why."`
	Record   recordCommand  `cmd:"" help:"Capture what the devices of this host say, without names."`
	Release  releaseCommand `cmd:"" help:"Let go of a GPU for a reset or new partitions, or take it back."`
	Version  cli.Version    `cmd:"" help:"Print the version."`
	Settings cli.Settings   `cmd:"" help:"Say what in a file of settings is written differently now, as a diff."`

	Completion  cli.Completion     `cmd:"" help:"Print what a shell needs to complete commands and flags."`
	Manual      cli.Manual         `cmd:"" hidden:"" help:"Print the manual page."`
	ReadDevices readDevicesCommand `cmd:"" hidden:""`
	Canary      canaryCommand      `cmd:"" hidden:""`
}

// Main runs one command and returns the exit code: 0 done, 1 failed, 2 wrong
// usage; doctor has codes of its own. An interrupt ends a command cleanly.
func Main(args []string, stdout, stderr io.Writer) int {
	return cli.Main("flopwatch-agent", "Counts what the accelerators of a host compute, and for whom.", &commands{}, args, stdout, stderr)
}
