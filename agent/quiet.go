package agent

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// An agent works a millisecond a second. What it costs a host beyond that is the
// waking of its threads, so there are few of them and they wake together.

// timerSlack is how much later than asked for the kernel may wake this program,
// so that it wakes once for several reasons. The runtime's monitor asks to be woken
// each 20 µs while code runs; a sample may well be some milliseconds late, since
// what it says is divided by the time that really passed.
const timerSlack = 5 * time.Millisecond

// slackSet marks a program that was started again with timerSlack.
const slackSet = "FLOPWATCH_TIMER_SLACK_SET"

// beQuiet prepares a program that lives for long to wake its host seldom. It may
// start the program again in the same process, so it comes before everything else.
func beQuiet() {
	wakeTogether()
	// On a host with many processors, each further thread would only be woken to
	// find nothing to do.
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// wakeTogether gives all threads of this program timerSlack. A thread has the slack
// of the one that made it and a program that of the thread that started it, but the
// runtime's threads are older than any code of ours: without a service manager that
// set the slack, the program starts itself again. Where it cannot, it goes on as it is.
func wakeTogether() {
	if os.Getenv(slackSet) != "" {
		_ = os.Unsetenv(slackSet) // children have the slack from us
		return
	}
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || time.Duration(slack) >= timerSlack {
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) == nil {
		_ = syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), slackSet+"=1"))
	}
}
