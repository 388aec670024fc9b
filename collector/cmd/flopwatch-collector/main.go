// Command flopwatch-collector keeps the operations ledger and serves the desk.
package main

import (
	"os"

	"github.com/flopwatch/flopwatch/collector"
)

func main() { os.Exit(collector.Main(os.Args[1:], os.Stdout, os.Stderr)) }
