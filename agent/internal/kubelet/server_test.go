package kubelet

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// host is a kubelet and a runtime behind one socket.
type host struct {
	runtime.UnimplementedRuntimeServiceServer
	podresources.UnimplementedPodResourcesListerServer
	path string

	mu         sync.Mutex
	server     *grpc.Server
	done       chan error
	sandboxes  []*runtime.PodSandbox
	containers []*runtime.Container
	pods       []*podresources.PodResources
	hang       bool
	asked      int
}

// newHost starts to serve on a socket whose path is short enough for one.
func newHost(t *testing.T) *host {
	t.Helper()
	dir, err := os.MkdirTemp("", "fw")
	if err != nil {
		t.Fatal(err)
	}
	h := &host{path: filepath.Join(dir, "s")}
	h.start(t)
	t.Cleanup(func() {
		h.stop(t)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *host) start(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("unix", h.path)
	if err != nil {
		t.Fatal(err)
	}
	server, done := grpc.NewServer(), make(chan error, 1)
	runtime.RegisterRuntimeServiceServer(server, h)
	podresources.RegisterPodResourcesListerServer(server, h)
	go func() { done <- server.Serve(listener) }()
	h.server, h.done = server, done
}

func (h *host) stop(t *testing.T) {
	t.Helper()
	if h.server == nil {
		return
	}
	h.server.Stop()
	if err := <-h.done; err != nil {
		t.Error(err)
	}
	h.server = nil
}

// client returns a client of both sockets with deadlines that suit a test.
func (h *host) client(labels ...string) *Client {
	return New(Config{PodResourcesSocket: h.path, CRISocket: h.path, Labels: labels, Timeout: 2 * time.Second})
}

func (h *host) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *host) wait(ctx context.Context) error {
	h.mu.Lock()
	hang := h.hang
	h.asked++
	h.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (h *host) ListPodSandbox(ctx context.Context, _ *runtime.ListPodSandboxRequest) (*runtime.ListPodSandboxResponse, error) {
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return &runtime.ListPodSandboxResponse{Items: h.sandboxes}, nil
}

func (h *host) ListContainers(ctx context.Context, _ *runtime.ListContainersRequest) (*runtime.ListContainersResponse, error) {
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return &runtime.ListContainersResponse{Containers: h.containers}, nil
}

func (h *host) List(ctx context.Context, _ *podresources.ListPodResourcesRequest) (*podresources.ListPodResourcesResponse, error) {
	if err := h.wait(ctx); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return &podresources.ListPodResourcesResponse{PodResources: h.pods}, nil
}

func sandbox(id, uid, namespace, name string) *runtime.PodSandbox {
	return &runtime.PodSandbox{Id: id, Metadata: &runtime.PodSandboxMetadata{Uid: uid, Namespace: namespace, Name: name}}
}

func container(id, sandbox string) *runtime.Container {
	return &runtime.Container{Id: id, PodSandboxId: sandbox, Metadata: &runtime.ContainerMetadata{Name: "main"}}
}

func given(namespace, pod, container, resource string, ids ...string) *podresources.PodResources {
	return &podresources.PodResources{Namespace: namespace, Name: pod, Containers: []*podresources.ContainerResources{
		{Name: container, Devices: []*podresources.ContainerDevices{{ResourceName: resource, DeviceIds: ids}}},
	}}
}
