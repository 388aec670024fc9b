package resolver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"google.golang.org/grpc"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"

	"github.com/flopwatch/flopwatch/agent/internal/guest"
	"github.com/flopwatch/flopwatch/agent/internal/kubelet"
	"github.com/flopwatch/flopwatch/agent/internal/tenancy"
	"github.com/flopwatch/flopwatch/pkg/measure"
)

// host is a host of testdata/hosts; testdata/README.md says what its files are.
type host struct {
	Name    string `json:"host"`
	At      time.Time
	Devices []struct {
		ID, Parent measure.DeviceID
		Unknown    bool // the driver does not tell who holds it
		Holders    []struct {
			PID        int
			SMUtil     float64 `json:"sm_util"`
			StartTicks uint64  `json:"start_ticks"`
		}
	}
	VFIO guest.Holders

	root  string // of its file system
	table *tenancy.Table
	jobs  *tenancy.JobWatcher
	pods  *kubelet.Client
}

func loadHost(t *testing.T, dir string) *host {
	t.Helper()
	h := &host{root: t.TempDir()}
	decode(t, filepath.Join(dir, "holders.json"), h)
	unpack(t, filepath.Join(dir, "host.txtar"), h.root)
	leases, err := tenancy.Decode("leases.ndjson", read(t, filepath.Join(dir, "leases.ndjson")))
	if err != nil {
		t.Fatal(err)
	}
	h.table = tenancy.NewTable(leases)
	if path := filepath.Join(dir, "jobs.ndjson"); exists(t, path) {
		h.jobs = tenancy.NewJobWatcher(path)
	}
	h.pods = kubelet.New(kubelet.Config{})
	if path := filepath.Join(dir, "kubelet.json"); exists(t, path) {
		h.pods = servePods(t, path)
	}
	return h
}

// unpack writes the files of an archive. Of one that is called "x.quoted" the
// content is a quoted string of Go, and that of "links" is "path -> target" lines.
func unpack(t *testing.T, path, root string) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	place := func(name string) string {
		if !filepath.IsLocal(name) {
			t.Fatalf("%s: %q lies elsewhere", path, name)
		}
		full := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		return full
	}
	for _, f := range archive.Files {
		data := f.Data
		name, quoted := strings.CutSuffix(f.Name, ".quoted")
		if quoted {
			text, err := strconv.Unquote(string(bytes.TrimSpace(data)))
			if err != nil {
				t.Fatalf("%s: %s: %v", path, f.Name, err)
			}
			data = []byte(text)
		}
		if name != "links" {
			if err := os.WriteFile(place(name), data, 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		for line := range strings.Lines(string(data)) {
			from, to, _ := strings.Cut(strings.TrimSpace(line), " -> ")
			if err := os.Symlink(to, place(from)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// kubeServer is a kubelet and a runtime that answer what kubelet.json says.
type kubeServer struct {
	runtime.UnimplementedRuntimeServiceServer
	podresources.UnimplementedPodResourcesListerServer
	sandboxes  []*runtime.PodSandbox
	containers []*runtime.Container
	given      []*podresources.PodResources
}

func (s *kubeServer) List(context.Context, *podresources.ListPodResourcesRequest) (*podresources.ListPodResourcesResponse, error) {
	return &podresources.ListPodResourcesResponse{PodResources: s.given}, nil
}

func (s *kubeServer) ListPodSandbox(context.Context, *runtime.ListPodSandboxRequest) (*runtime.ListPodSandboxResponse, error) {
	return &runtime.ListPodSandboxResponse{Items: s.sandboxes}, nil
}

func (s *kubeServer) ListContainers(context.Context, *runtime.ListContainersRequest) (*runtime.ListContainersResponse, error) {
	return &runtime.ListContainersResponse{Containers: s.containers}, nil
}

// runLabel is the label that the hosts of testdata join runs by.
const runLabel = "training.kubeflow.org/job-name"

// servePods serves a runtime and returns a client that has asked it.
func servePods(t *testing.T, path string) *kubelet.Client {
	t.Helper()
	var said struct {
		Sandboxes []struct {
			ID, UID, Namespace, Name string
			Labels                   map[string]string
		}
		Containers []struct{ ID, Sandbox string }
		Devices    []struct{ ID, Namespace, Pod string }
	}
	decode(t, path, &said)
	var answers kubeServer
	for _, s := range said.Sandboxes {
		answers.sandboxes = append(answers.sandboxes, &runtime.PodSandbox{
			Id: s.ID, Labels: s.Labels, Metadata: &runtime.PodSandboxMetadata{Uid: s.UID, Namespace: s.Namespace, Name: s.Name},
		})
	}
	for _, c := range said.Containers {
		answers.containers = append(answers.containers, &runtime.Container{Id: c.ID, PodSandboxId: c.Sandbox})
	}
	for _, d := range said.Devices {
		answers.given = append(answers.given, &podresources.PodResources{Namespace: d.Namespace, Name: d.Pod, Containers: []*podresources.ContainerResources{
			{Name: "main", Devices: []*podresources.ContainerDevices{{ResourceName: "nvidia.com/gpu", DeviceIds: []string{d.ID}}}},
		}})
	}
	dir, err := os.MkdirTemp("", "fw") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server, done := grpc.NewServer(), make(chan error, 1)
	runtime.RegisterRuntimeServiceServer(server, &answers)
	podresources.RegisterPodResourcesListerServer(server, &answers)
	go func() { done <- server.Serve(listener) }()
	client := kubelet.New(kubelet.Config{CRISocket: socket, PodResourcesSocket: socket, Labels: []string{runLabel}})
	err = client.Refresh(t.Context())
	server.Stop()
	if err := errors.Join(err, <-done, os.RemoveAll(dir)); err != nil {
		t.Fatal(err)
	}
	return client
}

func decode(t *testing.T, path string, to any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(read(t, path)))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func exists(t *testing.T, path string) bool {
	t.Helper()
	_, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}
