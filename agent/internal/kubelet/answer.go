package kubelet

import "time"

// Answer says how a question ended.
type Answer uint8

// The answers.
const (
	Unasked  Answer = iota // nobody could be asked, or too long ago to say that something is not there
	NotKnown               // asked, and there is no such thing on this host
	Known
)

// String returns the answer in words.
func (a Answer) String() string {
	switch a {
	case Unasked:
		return "could not ask"
	case NotKnown:
		return "not known"
	case Known:
		return "known"
	}
	return "invalid"
}

// Pod is a pod of this host. Uid, namespace and name of a pod never change.
type Pod struct {
	UID       string
	Namespace string
	Name      string
	Labels    map[string]string // allowed ones only; not to be changed
	Image     string            // hash of the images of its containers, "" if not known
}

// PodRef is a container to which a device was given.
type PodRef struct {
	Namespace string
	Pod       string
	Container string
	Resource  string // name under which it was asked for, "nvidia.com/gpu"
}

// Pod returns the pod with a uid. A pod that has ended is known for a while.
func (c *Client) Pod(uid string) (Pod, Answer) {
	t := c.pods.Load()
	if p, ok := t.pods[uid]; ok {
		return p.pod, Known
	}
	return Pod{}, c.missed(t.asked)
}

// Container returns the pod of a container, or of a pod's sandbox, by its id.
func (c *Client) Container(id string) (Pod, Answer) {
	t := c.pods.Load()
	if held, ok := t.containers[id]; ok {
		if p, ok := t.pods[held.uid]; ok {
			return p.pod, Known
		}
	}
	return Pod{}, c.missed(t.asked)
}

// Named returns the pod that has a name now; another may have had it before.
func (c *Client) Named(namespace, name string) (Pod, Answer) {
	t := c.pods.Load()
	if p, ok := t.pods[t.uids[podName{namespace, name}]]; ok {
		if c.stale(t.asked) {
			return Pod{}, Unasked
		}
		return p.pod, Known
	}
	return Pod{}, c.missed(t.asked)
}

// Devices returns to whom each device was given, by the id that its plugin gave
// it; for NVIDIA that is the UUID of the GPU or MIG instance, for a device that is
// claimed by dynamic allocation "driver/pool/device". A device in time slices has
// several holders. It must not be changed. NotKnown means that no device is given
// to anybody; Unasked that the map is too old, or empty because nobody answered.
func (c *Client) Devices() (map[string][]PodRef, Answer) {
	t := c.devices.Load()
	switch {
	case c.stale(t.asked):
		return t.devices, Unasked
	case len(t.devices) == 0:
		return t.devices, NotKnown
	}
	return t.devices, Known
}

// missed is the answer when nothing was found in a table. Run then asks sooner.
func (c *Client) missed(asked time.Time) Answer {
	select {
	case c.hurry <- struct{}{}:
	default:
	}
	if c.stale(asked) {
		return Unasked
	}
	return NotKnown
}

func (c *Client) stale(asked time.Time) bool {
	return asked.IsZero() || c.now().Sub(asked) > staleAfter*c.config.Refresh
}
