package resolver

import (
	"math"

	"github.com/flopwatch/flopwatch/agent/internal/guest"
	"github.com/flopwatch/flopwatch/agent/internal/kubelet"
	"github.com/flopwatch/flopwatch/agent/internal/probe"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// UnknownShares is the answer for an interval in which the driver did not say who
// held a device. The pods that the kubelet gave it to are then the ones that may
// have, in equal parts; without such pods a lease of the device or host decides.
func (r *Resolver) UnknownShares(device tenancy.Subject, table *tenancy.Table, atNS int64) []measure.Share {
	if r.config.Pods == nil {
		return tenancy.UnknownHolders(device, table, atNS)
	}
	id := device.MIG
	if id == "" {
		id = device.Device
	}
	given, answer := r.config.Pods.Devices()
	if answer != kubelet.Known || len(given[string(id)]) == 0 {
		return tenancy.UnknownHolders(device, table, atNS)
	}
	var held []tenancy.Process
	for _, ref := range given[string(id)] {
		pod, answer := r.config.Pods.Named(ref.Namespace, ref.Pod)
		if answer != kubelet.Known {
			// Some pod has it, which the owner of the host is not.
			return []measure.Share{{State: measure.Unattributed, PPM: tenancy.Whole, Open: measure.DoubtUnasked}}
		}
		held = append(held, tenancy.Held(device, r.inPod(probe.Process{}, pod), math.NaN()))
	}
	return tenancy.Shares(held, table, atNS)
}

// GuestShares says whose a passed-through device was in an interval that ended at
// atNS: the holder's, nobody's, or not known. The caller counts it by allocation.
func (r *Resolver) GuestShares(device tenancy.Subject, g guest.Guest, table *tenancy.Table, atNS int64) []measure.Share {
	if g.State == guest.Unseen {
		return tenancy.UnknownHolders(device, table, atNS)
	}
	held := make([]tenancy.Process, len(g.PIDs))
	for i, pid := range g.PIDs {
		held[i] = tenancy.Held(device, r.Process(Holder{PID: pid}, atNS), math.NaN())
	}
	return tenancy.Shares(held, table, atNS)
}
