// Command flopwatch-agent reads the accelerators of a host and sends signed
// windows of operations to a collector.
package main

import (
	"os"

	"github.com/flopwatch/flopwatch/agent"
)

func main() { os.Exit(agent.Main(os.Args[1:], os.Stdout, os.Stderr)) }
