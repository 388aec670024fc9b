// Command flopwatchctl reads the operations ledger of a running collector.
package main

import (
	"os"

	"github.com/flopwatch/flopwatch/collector/internal/ctl"
)

func main() { os.Exit(ctl.Main(os.Args[1:], os.Stdout, os.Stderr)) }
