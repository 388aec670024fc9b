package webui

import "github.com/flopwatch/flopwatch/pkg/measure"

// sentences say in plain words what a kind of event means for the figures.
var sentences = map[measure.EventKind]string{
	measure.EventMethod:          "The device's operations are estimated in another way than before.",
	measure.EventCounters:        "A reading of the device cannot be true; the details say which.",
	measure.EventEnergy:          "Operations and energy of one stretch of time cannot both be right.",
	measure.EventXid:             "The driver reported an error of the device; the code is its Xid.",
	measure.EventECC:             "The device's memory had errors that could not be corrected; the code says how many more.",
	measure.EventLost:            "The device no longer answers; nothing reads it until it is back.",
	measure.EventBack:            "The device answers again.",
	measure.EventDevices:         "Devices or partitions of the host came or went.",
	measure.EventDriver:          "The host runs another version of the driver than before.",
	measure.EventReader:          "The agent replaced its process that reads the devices.",
	measure.EventReleased:        "An operator asked the agent to let go of the device; the agent does not read it meanwhile.",
	measure.EventResumed:         "The agent reads the device again after it had let go of it.",
	measure.EventMissed:          "The host missed events of processes; who used a device then may not be known.",
	measure.EventCanary:          "What watches processes on the host did not see a process of the agent's own: others may have gone unseen.",
	measure.EventDropped:         "The spool of the host was full and batches were dropped; their time is unobserved.",
	measure.EventCommunicator:    "A process set up a communicator with others; equal hashes work together. The code is how many take part.",
	measure.EventImage:           "A workload was seen running an image; equal hashes are one image.",
	measure.EventReadCheckpoint:  "A workload read a checkpoint; equal hashes are one checkpoint.",
	measure.EventWroteCheckpoint: "A workload wrote a checkpoint; equal hashes are one checkpoint.",
	measure.EventUndecided:       "Leases are about this time and could not decide whose it is; the code is how many milliseconds, the details say why.",
	measure.EventConfidential:    "The host said whether the device computes in confidential mode; code 1 means that it does.",
}

// sentence is "" for a kind that this version does not know, which is then shown
// as it is.
func sentence(kind measure.EventKind) string { return sentences[kind] }
