// Package kubelet asks the kubelet and the container runtime of a host which pods
// run there and which devices were given to them.
//
// Two sockets answer: the kubelet's PodResources (v1) for devices, the runtime's
// CRI (runtime.v1) for pods and containers. Only lists are asked for. Of what
// comes back, ids, names, namespaces and the labels that the operator allows are
// kept, and of images a hash that tells which pods run the same ones; environments,
// arguments, names of images and annotations are not. Both sockets are
// trusted to answer for the host, but not to be quick, small or well-formed: calls
// have a deadline, messages and tables have bounds, and what cannot be a name is
// left out and counted.
package kubelet

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Where the sockets usually are.
const (
	DefaultPodResourcesSocket = "/var/lib/kubelet/pod-resources/kubelet.sock"
	DefaultCRISocket          = "/run/containerd/containerd.sock"
)

const (
	usualRefresh = 15 * time.Second
	usualTimeout = 5 * time.Second
	// staleAfter is how many refreshes may fail before "not known" is not said any
	// more: a pod may have come since.
	staleAfter = 3
	// hurried is the part of a refresh period that is waited for at least when a
	// pod was asked for that is not known.
	hurried = 5
)

// Config says whom to ask. An empty socket is not asked.
type Config struct {
	PodResourcesSocket string
	CRISocket          string
	Labels             []string      // keys of pod labels that are kept, no others are
	Refresh            time.Duration // between two refreshes of Run; 15 s if 0
	Timeout            time.Duration // of one call; 5 s if 0
}

// Client remembers the last answers. It is safe for many goroutines.
type Client struct {
	config Config
	now    func() time.Time
	hurry  chan struct{}

	refreshing sync.Mutex // held over a refresh, which replaces what follows
	pods       atomic.Pointer[podTable]
	devices    atomic.Pointer[deviceTable]
}

// New returns a client that knows nothing. Nothing is asked before Refresh or Run.
func New(c Config) *Client {
	if c.Refresh <= 0 {
		c.Refresh = usualRefresh
	}
	if c.Timeout <= 0 {
		c.Timeout = usualTimeout
	}
	c.Labels = slices.Clone(c.Labels)
	client := &Client{config: c, now: time.Now, hurry: make(chan struct{}, 1)}
	client.pods.Store(&podTable{})
	client.devices.Store(&deviceTable{})
	return client
}

// Refresh asks both sockets, one after the other, each call for at most Timeout.
// What one of them answered is taken over even if the other failed. The errors
// name the socket; they may be network, protocol or deadline errors, or say that
// an answer passed its bounds.
func (c *Client) Refresh(ctx context.Context) error {
	c.refreshing.Lock()
	defer c.refreshing.Unlock()
	var faults []error
	if c.config.CRISocket != "" {
		table, err := c.askPods(ctx)
		if err != nil {
			faults = append(faults, err)
		} else {
			table.keep(c.pods.Load())
			c.pods.Store(table)
		}
	}
	if c.config.PodResourcesSocket != "" {
		table, err := c.askDevices(ctx)
		if err != nil {
			faults = append(faults, err)
		} else {
			c.devices.Store(table)
		}
	}
	return errors.Join(faults...)
}

// Run refreshes every period, and sooner when a pod was asked for that is not
// known, until ctx ends. report is told each new state of failing, nil when both
// sockets answer again; it is called from Run's goroutine.
func (c *Client) Run(ctx context.Context, report func(error)) {
	tick := time.NewTicker(c.config.Refresh)
	defer tick.Stop()
	last := ""
	for {
		if err := c.Refresh(ctx); ctx.Err() == nil {
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != last {
				report(err)
			}
			last = text
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.config.Refresh / hurried):
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-c.hurry:
		}
	}
}

// Status is how the client knows what it knows.
type Status struct {
	PodsAsked    time.Time // when the last good answer was asked for, zero for never
	DevicesAsked time.Time
	Pods         int // known, some of them gone for a while
	LeftOut      int // parts of the last answers that could not be what they were said to be
}

// Status returns the present state.
func (c *Client) Status() Status {
	p, d := c.pods.Load(), c.devices.Load()
	return Status{PodsAsked: p.asked, DevicesAsked: d.asked, Pods: len(p.pods), LeftOut: p.leftOut + d.leftOut}
}
