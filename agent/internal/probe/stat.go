package probe

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Stat is what is used of /proc/PID/stat.
type Stat struct {
	PID        int
	StartTicks uint64 // clock ticks from boot to the start of the process
}

// startField is the place of starttime among the fields after the command.
const startField = 19

// ParseStat reads /proc/PID/stat. The command may hold spaces, newlines and
// parentheses, so that the fields are counted from the last ')'.
func ParseStat(data []byte) (Stat, error) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 2 || end < open {
		return Stat{}, errors.New("stat: no command in parentheses")
	}
	pid, err := strconv.Atoi(string(data[:open-1]))
	if err != nil || pid <= 0 || data[open-1] != ' ' {
		return Stat{}, fmt.Errorf("stat: process id %.20q", data[:open])
	}
	rest := data[end+1:]
	for i := 0; ; i++ {
		rest = bytes.TrimLeft(rest, " ")
		field := rest
		if n := bytes.IndexAny(rest, " \n"); n >= 0 {
			field, rest = rest[:n], rest[n:]
		} else {
			rest = nil
		}
		if len(field) == 0 {
			return Stat{}, fmt.Errorf("stat: only %d fields after the command", i)
		}
		if i == startField {
			start, err := strconv.ParseUint(string(field), 10, 64)
			if err != nil {
				return Stat{}, fmt.Errorf("stat: start time %.24q", field)
			}
			return Stat{PID: pid, StartTicks: start}, nil
		}
	}
}
