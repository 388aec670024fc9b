package kubelet

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	runtime "k8s.io/cri-api/pkg/apis/runtime/v1"
	podresources "k8s.io/kubelet/pkg/apis/podresources/v1"
)

// Whatever a runtime answers, what is taken of it is a name.
func FuzzAnswers(f *testing.F) {
	seed := func(m proto.Message) []byte {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	f.Add(
		seed(&runtime.ListPodSandboxResponse{Items: []*runtime.PodSandbox{sandbox("s1", uidA, "ns", "p"), sandbox("s2", uidA, "other", "p")}}),
		seed(&runtime.ListContainersResponse{Containers: []*runtime.Container{container("c1", "s1"), container("s1", "s2")}}),
		seed(&podresources.PodResources{Name: "p", Namespace: "ns"}),
	)
	f.Fuzz(func(t *testing.T, sandboxes, containers, given []byte) {
		var s runtime.ListPodSandboxResponse
		var c runtime.ListContainersResponse
		var g podresources.PodResources
		if proto.Unmarshal(sandboxes, &s) != nil || proto.Unmarshal(containers, &c) != nil || proto.Unmarshal(given, &g) != nil {
			return
		}
		pods := newPodTable(time.Time{})
		pods.addSandboxes(s.GetItems(), []string{"app"})
		pods.addContainers(c.GetContainers())
		for uid, p := range pods.pods {
			if p.pod.UID != uid || !isID(uid) || !isNamespace(p.pod.Namespace) || !isName(p.pod.Name) {
				t.Fatalf("took %+v", p)
			}
		}
		devices := &deviceTable{devices: map[string][]PodRef{}}
		devices.add(&g)
		for id, refs := range devices.devices {
			if !isPlain(id, 512) || len(refs) == 0 {
				t.Fatalf("took device %q for %+v", id, refs)
			}
		}
	})
}
