package kubelet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

const (
	maxDevices = 10_000
	maxSharing = 256 // containers that have slices of one device
)

// deviceTable is what the kubelet said.
type deviceTable struct {
	asked   time.Time
	devices map[string][]PodRef
	leftOut int
}

// askDevices lists the devices that the kubelet gave to containers.
func (c *Client) askDevices(ctx context.Context) (*deviceTable, error) {
	path := c.config.PodResourcesSocket
	asked := c.now()
	conn, err := connect(path)
	if err != nil {
		return nil, err
	}
	call, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	answer, err := podresources.NewPodResourcesListerClient(conn).List(call, &podresources.ListPodResourcesRequest{})
	if err := errors.Join(err, conn.Close()); err != nil {
		return nil, fmt.Errorf("list devices of pods at %s: %w", path, err)
	}
	t := &deviceTable{asked: asked, devices: map[string][]PodRef{}}
	if n := len(answer.GetPodResources()); n > maxPods {
		return nil, fmt.Errorf("list devices of pods at %s: %d pods, at most %d are taken", path, n, maxPods)
	}
	for _, pod := range answer.GetPodResources() {
		t.add(pod)
		if len(t.devices) > maxDevices {
			return nil, fmt.Errorf("list devices of pods at %s: more than %d devices", path, maxDevices)
		}
	}
	for _, refs := range t.devices {
		slices.SortFunc(refs, compareRefs)
	}
	return t, nil
}

func (t *deviceTable) add(pod *podresources.PodResources) {
	ref := PodRef{Namespace: pod.GetNamespace(), Pod: pod.GetName()}
	if !isNamespace(ref.Namespace) || !isName(ref.Pod) {
		t.leftOut++
		return
	}
	for _, container := range pod.GetContainers() {
		ref.Container = container.GetName()
		if !isName(ref.Container) {
			t.leftOut++
			continue
		}
		for _, given := range container.GetDevices() {
			ref.Resource = given.GetResourceName()
			for _, id := range given.GetDeviceIds() {
				// A plugin that shares a device by time adds the number of the slice.
				id, _, _ = strings.Cut(id, "::")
				t.give(id, ref)
			}
		}
		for _, claim := range container.GetDynamicResources() {
			for _, r := range claim.GetClaimResources() {
				ref.Resource = r.GetDriverName()
				t.give(r.GetDriverName()+"/"+r.GetPoolName()+"/"+r.GetDeviceName(), ref)
			}
		}
	}
}

func (t *deviceTable) give(id string, ref PodRef) {
	holders := t.devices[id]
	switch {
	case !isPlain(id, 512) || !isPlain(ref.Resource, 317) || len(holders) >= maxSharing || len(t.devices) > maxDevices:
		t.leftOut++
	case !slices.Contains(holders, ref):
		t.devices[id] = append(holders, ref)
	}
}

func compareRefs(a, b PodRef) int {
	return strings.Compare(a.Namespace+"\x00"+a.Pod+"\x00"+a.Container+"\x00"+a.Resource, b.Namespace+"\x00"+b.Pod+"\x00"+b.Container+"\x00"+b.Resource)
}
