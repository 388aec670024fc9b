package kubelet

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
)

const (
	maxPods       = 20_000 // sandboxes in one answer, and pods that are remembered
	maxContainers = 100_000
	maxLabels     = 16
	// keptFor is how long a pod is remembered after it ended: device time is
	// accounted for after it was spent.
	keptFor = time.Hour
)

// podTable is what the runtime said.
type podTable struct {
	asked      time.Time
	pods       map[string]seenPod       // by uid
	containers map[string]seenContainer // by id, sandboxes too
	uids       map[podName]string       // of pods that were listed last
	leftOut    int
}

type podName struct{ namespace, name string }

type seenPod struct {
	pod  Pod
	last time.Time
}

type seenContainer struct {
	uid  string
	last time.Time
}

// askPods lists the sandboxes and containers of the runtime, ended ones too.
func (c *Client) askPods(ctx context.Context) (*podTable, error) {
	path := c.config.CRISocket
	asked := c.now()
	conn, err := connect(path)
	if err != nil {
		return nil, err
	}
	client := runtime.NewRuntimeServiceClient(conn)
	sandboxes, containers, err := c.list(ctx, client)
	if err := errors.Join(err, conn.Close()); err != nil {
		return nil, fmt.Errorf("list pods at %s: %w", path, err)
	}
	if len(sandboxes) > maxPods || len(containers) > maxContainers {
		return nil, fmt.Errorf("list pods at %s: %d pods with %d containers, at most %d and %d are taken", path, len(sandboxes), len(containers), maxPods, maxContainers)
	}
	t := newPodTable(asked)
	t.addSandboxes(sandboxes, c.config.Labels)
	t.addContainers(containers)
	return t, nil
}

func newPodTable(asked time.Time) *podTable {
	return &podTable{asked: asked, pods: map[string]seenPod{}, containers: map[string]seenContainer{}, uids: map[podName]string{}}
}

func (c *Client) list(ctx context.Context, client runtime.RuntimeServiceClient) ([]*runtime.PodSandbox, []*runtime.Container, error) {
	first, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	sandboxes, err := client.ListPodSandbox(first, &runtime.ListPodSandboxRequest{})
	if err != nil {
		return nil, nil, err
	}
	second, cancel := context.WithTimeout(ctx, c.config.Timeout)
	defer cancel()
	containers, err := client.ListContainers(second, &runtime.ListContainersRequest{})
	if err != nil {
		return nil, nil, err
	}
	return sandboxes.GetItems(), containers.GetContainers(), nil
}

// addSandboxes takes pods from the metadata of their sandboxes, which the kubelet
// writes. Labels may name a namespace too, but the pod's owner writes those.
func (t *podTable) addSandboxes(sandboxes []*runtime.PodSandbox, labels []string) {
	disputed := map[string]bool{}
	// The labels of a pod can change, and a new sandbox has the new ones.
	slices.SortStableFunc(sandboxes, func(a, b *runtime.PodSandbox) int { return cmp.Compare(a.GetCreatedAt(), b.GetCreatedAt()) })
	for _, s := range sandboxes {
		m := s.GetMetadata()
		pod := Pod{UID: m.GetUid(), Namespace: m.GetNamespace(), Name: m.GetName()}
		if !isID(pod.UID) || !isID(s.GetId()) || !isNamespace(pod.Namespace) || !isName(pod.Name) {
			t.leftOut++
			continue
		}
		if before, ok := t.pods[pod.UID]; ok && (before.pod.Namespace != pod.Namespace || before.pod.Name != pod.Name) {
			disputed[pod.UID] = true
		}
		pod.Labels = t.allowed(s.GetLabels(), labels)
		t.pods[pod.UID] = seenPod{pod, t.asked}
		t.containers[s.GetId()] = seenContainer{pod.UID, t.asked}
		t.uids[podName{pod.Namespace, pod.Name}] = pod.UID // of several, the newest
	}
	for uid := range disputed {
		delete(t.pods, uid) // two pods with one uid: neither is believed
		t.leftOut++
	}
}

func (t *podTable) addContainers(containers []*runtime.Container) {
	images := map[string][]string{} // of pods, by uid
	defer func() {
		for uid, list := range images {
			if p, ok := t.pods[uid]; ok {
				p.pod.Image = imageHash(list)
				t.pods[uid] = p
			}
		}
	}()
	for _, c := range containers {
		sandbox, ok := t.containers[c.GetPodSandboxId()]
		if other, again := t.containers[c.GetId()]; !ok || !isID(c.GetId()) || again && other.uid != sandbox.uid {
			t.leftOut++
			continue
		}
		t.containers[c.GetId()] = sandbox
		if ref := cmp.Or(c.GetImageRef(), c.GetImage().GetImage()); ref != "" && len(images[sandbox.uid]) < maxImages {
			images[sandbox.uid] = append(images[sandbox.uid], ref)
		}
	}
}

// maxImages is how many containers of a pod are looked at for their images.
const maxImages = 64

// imageHash is the same for pods that run the same images. Names of images may say
// what somebody works on, so they do not leave the host.
func imageHash(refs []string) string {
	slices.Sort(refs)
	sum := sha256.Sum256([]byte("flopwatch/image/v1\x00" + strings.Join(slices.Compact(refs), "\x00")))
	return hex.EncodeToString(sum[:16])
}

// allowed picks the labels that the operator allows.
func (t *podTable) allowed(all map[string]string, keys []string) map[string]string {
	var picked map[string]string
	for _, key := range keys {
		value, ok := all[key]
		if !ok {
			continue
		}
		if !isLabelValue(value) || len(picked) >= maxLabels {
			t.leftOut++
			continue
		}
		if picked == nil {
			picked = map[string]string{}
		}
		picked[key] = value
	}
	return picked
}

// keep carries over what an older table knows and the new one does not list any
// more, as long as it is not too old and there is room.
func (t *podTable) keep(old *podTable) {
	for uid, p := range old.pods {
		if _, ok := t.pods[uid]; !ok && len(t.pods) < maxPods && t.asked.Sub(p.last) <= keptFor {
			t.pods[uid] = p
		}
	}
	for id, c := range old.containers {
		if _, ok := t.containers[id]; !ok && len(t.containers) < maxContainers && t.asked.Sub(c.last) <= keptFor {
			t.containers[id] = c
		}
	}
}
