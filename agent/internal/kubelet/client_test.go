package kubelet

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	uidA = "3b0d6b3e-98a4-4b5e-8c5e-0f5a1f6f0c11"
	uidB = "8d1c1f0a-0000-4b5e-8c5e-0f5a1f6f0c22"
)

func refresh(t *testing.T, c *Client) {
	t.Helper()
	if err := c.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestAnswers(t *testing.T) {
	h := newHost(t)
	a, b := sandbox("s1", uidA, "research", "train-0"), sandbox("s2", uidB, "serving", "web-0")
	a.Labels = map[string]string{"training.kubeflow.org/job-name": "big", "secret": "s3cret", "note": "not a label value!"}
	a.CreatedAt = 2
	old := sandbox("s0", uidA, "research", "train-0")
	old.Labels, old.CreatedAt = map[string]string{"training.kubeflow.org/job-name": "small"}, 1
	h.sandboxes = []*runtime.PodSandbox{a, b, old}
	h.containers = []*runtime.Container{container("c1", "s1"), container("c2", "s2")}
	h.pods = []*podresources.PodResources{
		given("research", "train-0", "main", "nvidia.com/gpu", "GPU-1", "GPU-2"),
		given("serving", "web-0", "main", "nvidia.com/gpu.shared", "GPU-3::1"),
		given("research", "eval-0", "main", "nvidia.com/gpu.shared", "GPU-3::2", "GPU-3::3"),
		{Namespace: "research", Name: "claims", Containers: []*podresources.ContainerResources{{Name: "main", DynamicResources: []*podresources.DynamicResource{
			{ClaimResources: []*podresources.ClaimResource{{DriverName: "gpu.nvidia.com", PoolName: "host1", DeviceName: "gpu-0"}}},
		}}}},
	}
	c := h.client("training.kubeflow.org/job-name", "note")
	if _, answer := c.Pod(uidA); answer != Unasked {
		t.Errorf("before the first refresh: %s", answer)
	}
	refresh(t, c)
	podA := Pod{UID: uidA, Namespace: "research", Name: "train-0", Labels: map[string]string{"training.kubeflow.org/job-name": "big"}}
	podB := Pod{UID: uidB, Namespace: "serving", Name: "web-0"}
	tests := []struct {
		name   string
		ask    func() (Pod, Answer)
		want   Pod
		answer Answer
	}{
		{"pod", func() (Pod, Answer) { return c.Pod(uidA) }, podA, Known},
		{"container", func() (Pod, Answer) { return c.Container("c2") }, podB, Known},
		{"sandbox", func() (Pod, Answer) { return c.Container("s1") }, podA, Known},
		{"sandbox that was replaced", func() (Pod, Answer) { return c.Container("s0") }, podA, Known},
		{"by name", func() (Pod, Answer) { return c.Named("serving", "web-0") }, podB, Known},
		{"no such name", func() (Pod, Answer) { return c.Named("research", "web-0") }, Pod{}, NotKnown},
		{"no such pod", func() (Pod, Answer) { return c.Pod("x") }, Pod{}, NotKnown},
		{"no such container", func() (Pod, Answer) { return c.Container("x") }, Pod{}, NotKnown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, answer := tt.ask()
			if diff := cmp.Diff(tt.want, got); diff != "" || answer != tt.answer {
				t.Errorf("%s, want %s (-want +got):\n%s", answer, tt.answer, diff)
			}
		})
	}
	devices, answer := c.Devices()
	train := PodRef{"research", "train-0", "main", "nvidia.com/gpu"}
	want := map[string][]PodRef{
		"GPU-1": {train}, "GPU-2": {train},
		"GPU-3":                      {{"research", "eval-0", "main", "nvidia.com/gpu.shared"}, {"serving", "web-0", "main", "nvidia.com/gpu.shared"}},
		"gpu.nvidia.com/host1/gpu-0": {{"research", "claims", "main", "gpu.nvidia.com"}},
	}
	if diff := cmp.Diff(want, devices); diff != "" || answer != Known {
		t.Errorf("devices, %s (-want +got):\n%s", answer, diff)
	}
	if s := c.Status(); s.Pods != 2 || s.LeftOut != 1 || s.PodsAsked.IsZero() || s.DevicesAsked.IsZero() {
		t.Errorf("status %+v", s)
	}
}

// A pod's owner writes its labels and annotations and may name any namespace in
// them; only the kubelet writes the metadata.
func TestPodThatClaimsAnotherNamespace(t *testing.T) {
	h := newHost(t)
	s := sandbox("s1", uidA, "attacker", "train-0")
	s.Labels = map[string]string{"io.kubernetes.pod.namespace": "victim", "io.kubernetes.pod.uid": uidB}
	s.Annotations = s.Labels
	ctr := container("c1", "s1")
	ctr.Labels = s.Labels
	h.sandboxes, h.containers = []*runtime.PodSandbox{s, sandbox("s2", uidB, "victim", "train-0")}, []*runtime.Container{ctr}
	c := h.client()
	refresh(t, c)
	if p, answer := c.Container("c1"); answer != Known || p.Namespace != "attacker" || p.UID != uidA {
		t.Errorf("%+v, %s", p, answer)
	}
}

func TestWhatCannotBeIsLeftOut(t *testing.T) {
	h := newHost(t)
	long := strings.Repeat("a", 300)
	h.sandboxes = []*runtime.PodSandbox{
		sandbox("good", uidA, "ns", "p"), nil, {}, sandbox("", uidB, "ns", "p"), sandbox("s", "", "ns", "p"), sandbox("s", uidB, "", "p"),
		sandbox("s", uidB, "Victim", "p"), sandbox("s", uidB, "ns\nvictim", "p"), sandbox("s", uidB, "ns", "p\x00"), sandbox("s", uidB, "ns", long), sandbox(long, uidB, "ns", "p"),
		sandbox("s3", "disputed", "ns", "p"), sandbox("s4", "disputed", "other", "p"),
	}
	h.containers = []*runtime.Container{container("c", "good"), nil, {}, container("", "good"), container("c2", "nowhere"), container("c3", "s3"), container("s3", "good")}
	h.pods = []*podresources.PodResources{
		nil, given("ns", "p", "main", "r", "D", "", "D", "bidi-\u202e", long+long), given("NS", "p", "main", "r", "E"), given("ns", "p", "", "r", "F"), given("ns", "p", "main", "", "G"),
	}
	c := h.client()
	refresh(t, c)
	if got := c.Status(); got.Pods != 1 || got.LeftOut != 11+4+1+7 {
		t.Errorf("status %+v", got)
	}
	if _, answer := c.Container("c"); answer != Known {
		t.Errorf("the good container: %s", answer)
	}
	for _, id := range []string{"c2", "c3", "s3", "s4"} {
		if p, answer := c.Container(id); answer != NotKnown {
			t.Errorf("%s: %s, %+v", id, answer, p)
		}
	}
	devices, _ := c.Devices()
	if diff := cmp.Diff(map[string][]PodRef{"D": {{"ns", "p", "main", "r"}}}, devices); diff != "" {
		t.Errorf("devices (-want +got):\n%s", diff)
	}
}

// Nothing of a pod's content stays: no environment, arguments, images,
// annotations or labels that were not asked for.
func TestNoContentIsKept(t *testing.T) {
	h := newHost(t)
	s := sandbox("s1", uidA, "ns", "p")
	s.Labels, s.Annotations = map[string]string{"k": "SECRET", "allowed": "plain"}, map[string]string{"a": "SECRET"}
	ctr := container("c1", "s1")
	ctr.Image, ctr.ImageRef = &runtime.ImageSpec{Image: "SECRET"}, "SECRET"
	ctr.Labels, ctr.Annotations = s.Labels, s.Annotations
	h.sandboxes, h.containers = []*runtime.PodSandbox{s}, []*runtime.Container{ctr}
	c := h.client("allowed")
	refresh(t, c)
	text := fmt.Sprintf("%+v %+v", *c.pods.Load(), *c.devices.Load())
	if strings.Contains(text, "SECRET") || !strings.Contains(text, "plain") {
		t.Errorf("the client keeps %s", text)
	}
}

func TestSlowServer(t *testing.T) {
	h := newHost(t)
	h.sandboxes = []*runtime.PodSandbox{sandbox("s1", uidA, "ns", "p")}
	c := New(Config{PodResourcesSocket: h.path, CRISocket: h.path, Timeout: 50 * time.Millisecond})
	refresh(t, c)
	h.set(func() { h.hang = true })
	begun := time.Now()
	err := c.Refresh(t.Context())
	if err == nil || !strings.Contains(err.Error(), "list pods at "+h.path) || !strings.Contains(err.Error(), "list devices of pods at "+h.path) {
		t.Errorf("error %v", err)
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
	if _, answer := c.Pod(uidA); answer != Known {
		t.Errorf("what was known is %s", answer)
	}
}

// "Not known" is only said on a fresh answer; what is known stays so.
func TestStaleness(t *testing.T) {
	h := newHost(t)
	h.sandboxes = []*runtime.PodSandbox{sandbox("s1", uidA, "ns", "p")}
	h.containers = []*runtime.Container{container("c1", "s1")}
	h.pods = []*podresources.PodResources{given("ns", "p", "main", "r", "D")}
	c := h.client()
	now := time.Unix(1_800_000_000, 0)
	c.now = func() time.Time { return now }
	expect := func(step string, a, b, devices Answer) {
		t.Helper()
		_, gotA := c.Pod(uidA)
		_, gotB := c.Pod(uidB)
		_, gotDevices := c.Devices()
		if gotA != a || gotB != b || gotDevices != devices {
			t.Errorf("%s: %s, %s, %s; want %s, %s, %s", step, gotA, gotB, gotDevices, a, b, devices)
		}
	}
	expect("at first", Unasked, Unasked, Unasked)
	refresh(t, c)
	expect("asked", Known, NotKnown, Known)
	now = now.Add(staleAfter*usualRefresh + 1)
	expect("stale", Known, Unasked, Unasked)
	if _, answer := c.Named("ns", "p"); answer != Unasked {
		t.Errorf("who has the name is %s", answer)
	}
	h.set(func() { h.sandboxes, h.containers, h.pods = nil, nil, nil })
	refresh(t, c)
	expect("ended", Known, NotKnown, NotKnown)
	if _, answer := c.Named("ns", "p"); answer != NotKnown {
		t.Errorf("its name is %s", answer)
	}
	if _, answer := c.Container("c1"); answer != Known {
		t.Errorf("its container is %s", answer)
	}
	now = now.Add(keptFor)
	refresh(t, c)
	expect("ended long ago", NotKnown, NotKnown, NotKnown)
}

func TestRestart(t *testing.T) {
	h := newHost(t)
	c := h.client()
	refresh(t, c)
	h.stop(t)
	if err := c.Refresh(t.Context()); err == nil {
		t.Error("nobody there, and no error")
	}
	h.set(func() { h.sandboxes = []*runtime.PodSandbox{sandbox("s1", uidA, "ns", "p")} })
	h.start(t)
	refresh(t, c)
	if _, answer := c.Pod(uidA); answer != Known {
		t.Errorf("after the restart: %s", answer)
	}
}

// One socket that fails does not take the other with it.
func TestOneOfTwo(t *testing.T) {
	h := newHost(t)
	h.sandboxes = []*runtime.PodSandbox{sandbox("s1", uidA, "ns", "p")}
	c := New(Config{PodResourcesSocket: h.path + "-none", CRISocket: h.path})
	if err := c.Refresh(t.Context()); err == nil || strings.Contains(err.Error(), "list pods at") {
		t.Errorf("error %v", err)
	}
	if _, answer := c.Pod(uidA); answer != Known {
		t.Errorf("the pod is %s", answer)
	}
	if _, answer := c.Devices(); answer != Unasked {
		t.Errorf("the devices are %s", answer)
	}
	if err := New(Config{}).Refresh(t.Context()); err != nil {
		t.Errorf("no sockets: %v", err)
	}
}

func TestGarbage(t *testing.T) {
	dir, err := os.MkdirTemp("", "fw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	serve := func(name string, answer func(net.Conn)) string {
		path := filepath.Join(dir, name)
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		running.Go(func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				running.Go(func() {
					answer(conn)
					_ = conn.Close()
				})
			}
		})
		t.Cleanup(func() {
			_ = listener.Close()
			running.Wait()
		})
		return path
	}
	junk := strings.Repeat("\x00\xff{}\n", 1000)
	paths := []string{
		serve("closes", func(net.Conn) {}),
		serve("http", func(c net.Conn) { _, _ = c.Write([]byte("HTTP/1.1 200 OK\r\n\r\n")) }),
		serve("junk", func(c net.Conn) { _, _ = c.Write([]byte(junk)) }),
		serve("silent", func(c net.Conn) { _, _ = c.Read(make([]byte, 1<<20)); time.Sleep(100 * time.Millisecond) }),
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			c := New(Config{PodResourcesSocket: path, CRISocket: path, Timeout: 300 * time.Millisecond})
			if err := c.Refresh(t.Context()); err == nil {
				t.Error("no error")
			}
			if _, answer := c.Pod(uidA); answer != Unasked {
				t.Errorf("a pod is %s", answer)
			}
		})
	}
	t.Run("bytes that are no message", func(t *testing.T) {
		path := filepath.Join(dir, "bytes")
		listener, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		server := grpc.NewServer(grpc.ForceServerCodec(raw{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error { return s.SendMsg([]byte(junk)) }))
		done := make(chan error, 1)
		go func() { done <- server.Serve(listener) }()
		c := New(Config{PodResourcesSocket: path, CRISocket: path})
		if err := c.Refresh(t.Context()); err == nil {
			t.Error("no error")
		}
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// raw is a codec that sends bytes as they are.
type raw struct{}

func (raw) Name() string                  { return "proto" }
func (raw) Marshal(v any) ([]byte, error) { return v.([]byte), nil }
func (raw) Unmarshal([]byte, any) error   { return nil }

func TestBounds(t *testing.T) {
	many := func(n int) []*runtime.PodSandbox {
		all := make([]*runtime.PodSandbox, n)
		for i := range all {
			all[i] = sandbox(fmt.Sprintf("s%d", i), fmt.Sprintf("uid-%d", i), "ns", fmt.Sprintf("p-%d", i))
		}
		return all
	}
	tests := []struct {
		name  string
		build func(h *host)
		want  string
	}{
		{"pods", func(h *host) { h.sandboxes = many(maxPods + 1) }, "20001 pods"},
		{"message", func(h *host) {
			h.sandboxes = many(1)
			h.sandboxes[0].Annotations = map[string]string{"a": strings.Repeat("a", maxMessage)}
		}, "larger than max"},
		{"devices", func(h *host) {
			for i := range maxDevices + 1 {
				h.pods = append(h.pods, given("ns", "p", "main", "r", fmt.Sprintf("D%d", i)))
			}
		}, "more than 10000 devices"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := newHost(t)
			tt.build(h)
			c := h.client()
			if err := c.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if s := c.Status(); s.Pods != 0 {
				t.Errorf("%d pods were taken", s.Pods)
			}
		})
	}
	t.Run("5,000 pods", func(t *testing.T) {
		h := newHost(t)
		h.sandboxes = many(5000)
		for i, s := range h.sandboxes {
			s.Annotations = map[string]string{"kubernetes.io/config.seen": strings.Repeat("x", 1000)}
			h.containers = append(h.containers, container(fmt.Sprintf("c%d", i), s.Id))
			h.pods = append(h.pods, given("ns", s.Metadata.Name, "main", "nvidia.com/gpu", fmt.Sprintf("GPU-%d", i)))
		}
		c := h.client()
		begun := time.Now()
		refresh(t, c)
		t.Logf("5,000 pods in %s", time.Since(begun))
		if p, answer := c.Container("c4999"); answer != Known || p.UID != "uid-4999" {
			t.Errorf("the last container: %+v, %s", p, answer)
		}
		if devices, _ := c.Devices(); len(devices) != 5000 {
			t.Errorf("%d devices", len(devices))
		}
	})
}

// Run asks again soon when a pod was asked for that is not known, and tells each
// state of failing once.
func TestRun(t *testing.T) {
	h := newHost(t)
	c := New(Config{PodResourcesSocket: h.path, CRISocket: h.path, Refresh: 200 * time.Millisecond, Timeout: time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	told := make(chan error, 100)
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx, func(err error) { told <- err }) })
	await := func(what string, done func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("waited for %s", what)
			}
		}
	}
	await("an answer", func() bool { _, answer := c.Pod(uidA); return answer == NotKnown })
	h.set(func() { h.sandboxes = []*runtime.PodSandbox{sandbox("s1", uidA, "ns", "p")} })
	await("the pod", func() bool { _, answer := c.Pod(uidA); return answer == Known })
	h.stop(t)
	if err := <-told; err == nil {
		t.Error("told that all is well")
	}
	h.start(t)
	for err := range told {
		if err == nil {
			break
		}
	}
	cancel()
	running.Wait()
}

func TestManyGoroutines(t *testing.T) {
	h := newHost(t)
	h.sandboxes = []*runtime.PodSandbox{sandbox("s1", uidA, "ns", "p")}
	c := h.client()
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 20 {
				if err := c.Refresh(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
		running.Go(func() {
			for range 1000 {
				c.Pod(uidA)
				c.Container("s1")
				c.Devices()
				c.Status()
			}
		})
	}
	running.Wait()
}

// Pods of the same images have the same hash, whatever the order of their
// containers; the hash does not hold a name.
func TestImagesAreHashed(t *testing.T) {
	container := func(id, sandbox, image string) *runtime.Container {
		return &runtime.Container{Id: id, PodSandboxId: sandbox, ImageRef: image}
	}
	sandbox := func(id, uid string) *runtime.PodSandbox {
		return &runtime.PodSandbox{Id: id, Metadata: &runtime.PodSandboxMetadata{Uid: uid, Namespace: "team", Name: uid}}
	}
	table := newPodTable(time.Now())
	table.addSandboxes([]*runtime.PodSandbox{sandbox("s1", "u1"), sandbox("s2", "u2"), sandbox("s3", "u3"), sandbox("s4", "u4")}, nil)
	table.addContainers([]*runtime.Container{container("c1", "s1", "llm@sha256:1"), container("c2", "s1", "proxy@sha256:2"),
		container("c3", "s2", "proxy@sha256:2"), container("c4", "s2", "llm@sha256:1"), container("c5", "s3", "llm@sha256:1")})
	image := func(uid string) string { return table.pods[uid].pod.Image }
	if image("u1") == "" || image("u1") != image("u2") || image("u1") == image("u3") || image("u4") != "" || len(image("u1")) != 32 || strings.Contains(image("u1"), "llm") {
		t.Errorf("%q %q %q %q", image("u1"), image("u2"), image("u3"), image("u4"))
	}
}
