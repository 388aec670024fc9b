package probe

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/flopwatch/flopwatch/pkg/measure"
)

const (
	podUID = "3b0d6b3e-98a4-4b5e-8c5e-0f5a1f6f0c11"
	hexID  = "4f0c1dcf0f4a4c9e8f3f6d1b2a5c7e904f0c1dcf0f4a4c9e8f3f6d1b2a5c7e90"
)

func TestResolve(t *testing.T) {
	podSlice := "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" + strings.ReplaceAll(podUID, "-", "_") + ".slice/"
	tests := []struct {
		name  string
		paths []string
		want  measure.Workload
		names Names // Cgroup is the first path unless set
	}{
		{"slurm v2", []string{"/system.slice/slurmstepd.scope/job_8812/step_0/user/task_3"}, measure.Workload{Kind: measure.KindSlurmJob, ID: "8812"}, Names{SlurmJob: "8812"}},
		{"slurm v2 named node", []string{"/system.slice/gpu7_slurmstepd.scope/job_5/step_batch"}, measure.Workload{Kind: measure.KindSlurmJob, ID: "5"}, Names{SlurmJob: "5"}},
		{"slurm v1", []string{"/slurm/uid_1001/job_77/step_0"}, measure.Workload{Kind: measure.KindSlurmJob, ID: "77"}, Names{SlurmJob: "77", User: "1001"}},
		{"slurm v1 named node", []string{"/slurm_gpu7/uid_1001/job_77"}, measure.Workload{Kind: measure.KindSlurmJob, ID: "77"}, Names{SlurmJob: "77", User: "1001"}},
		{"slurm v1 beside systemd v2", []string{"/system.slice/slurmd.service", "/slurm/uid_1001/job_77/step_0"}, measure.Workload{Kind: measure.KindSlurmJob, ID: "77"}, Names{SlurmJob: "77", User: "1001", Cgroup: "/slurm/uid_1001/job_77/step_0"}},
		{"slurm, not a number", []string{"/slurm/uid_1/job_7x"}, measure.Workload{Kind: measure.KindCgroup, ID: "/slurm/uid_1/job_7x"}, Names{}},
		{"pod, systemd driver", []string{podSlice + "cri-containerd-" + hexID + ".scope"}, measure.Workload{Kind: measure.KindPod, ID: podUID}, Names{PodUID: podUID, Container: hexID}},
		{"pod, cri-o", []string{podSlice + "crio-" + hexID + ".scope/container"}, measure.Workload{Kind: measure.KindPod, ID: podUID}, Names{PodUID: podUID, Container: hexID}},
		{"pod, guaranteed", []string{"/kubepods.slice/kubepods-pod" + strings.ReplaceAll(podUID, "-", "_") + ".slice/cri-containerd-" + hexID + ".scope"}, measure.Workload{Kind: measure.KindPod, ID: podUID}, Names{PodUID: podUID, Container: hexID}},
		{"pod, cgroupfs driver", []string{"/kubepods/burstable/pod" + podUID + "/" + hexID}, measure.Workload{Kind: measure.KindPod, ID: podUID}, Names{PodUID: podUID, Container: hexID}},
		{"pod, cgroupfs guaranteed", []string{"/kubepods/pod" + podUID + "/" + hexID}, measure.Workload{Kind: measure.KindPod, ID: podUID}, Names{PodUID: podUID, Container: hexID}},
		{"pod, systemd names under the cgroupfs driver", []string{"/system.slice/containerd.service/kubepods-burstable-pod" + strings.ReplaceAll(podUID, "-", "_") + ".slice:cri-containerd:" + hexID}, measure.Workload{Kind: measure.KindPod, ID: podUID}, Names{PodUID: podUID, Container: hexID}},
		{"static pod", []string{"/kubepods/besteffort/pod" + hexID[:32] + "/x"}, measure.Workload{Kind: measure.KindPod, ID: hexID[:32]}, Names{PodUID: hexID[:32]}},
		{"kubelet itself", []string{"/kubepods.slice"}, measure.Workload{Kind: measure.KindCgroup, ID: "/kubepods.slice"}, Names{}},
		{"docker, systemd", []string{"/system.slice/docker-" + hexID + ".scope"}, measure.Workload{Kind: measure.KindContainer, ID: hexID}, Names{Container: hexID}},
		{"docker, cgroupfs", []string{"/docker/" + hexID}, measure.Workload{Kind: measure.KindContainer, ID: hexID}, Names{Container: hexID}},
		{"docker, own slice", []string{"/gpu.slice/gpu-rent.slice/docker-" + hexID + ".scope"}, measure.Workload{Kind: measure.KindContainer, ID: hexID}, Names{Container: hexID}},
		{"podman", []string{"/machine.slice/libpod-" + hexID + ".scope/container"}, measure.Workload{Kind: measure.KindContainer, ID: hexID}, Names{Container: hexID}},
		{"podman, cgroupfs", []string{"/libpod_parent/libpod-" + hexID}, measure.Workload{Kind: measure.KindContainer, ID: hexID}, Names{Container: hexID}},
		{"lxc", []string{"/lxc.payload.web1/system.slice/x.service"}, measure.Workload{Kind: measure.KindContainer, ID: "web1"}, Names{Container: "web1"}},
		{"unit", []string{"/system.slice/vllm.service"}, measure.Workload{Kind: measure.KindUnit, ID: "vllm.service"}, Names{Unit: "vllm.service"}},
		{"unit of a template", []string{"/system.slice/system-train.slice/train@3.service/sub"}, measure.Workload{Kind: measure.KindUnit, ID: "train@3.service"}, Names{Unit: "train@3.service"}},
		{"init", []string{"/init.scope"}, measure.Workload{Kind: measure.KindUnit, ID: "init.scope"}, Names{Unit: "init.scope"}},
		{"vm", []string{`/machine.slice/machine-qemu\x2d12\x2dgpu\x2dbox.scope/libvirt/emulator`}, measure.Workload{Kind: measure.KindVM, ID: "gpu-box"}, Names{VM: "gpu-box", Machine: "qemu-12-gpu-box"}},
		{"vm, cgroupfs", []string{"/machine/qemu-3-box.libvirt-qemu/vcpu0"}, measure.Workload{Kind: measure.KindVM, ID: "box"}, Names{VM: "box", Machine: "qemu-3-box"}},
		{"session", []string{"/user.slice/user-1000.slice/session-4.scope"}, measure.Workload{Kind: measure.KindSession, ID: "user-1000/session-4"}, Names{User: "1000", Session: "user-1000/session-4"}},
		{"user service", []string{"/user.slice/user-1000.slice/user@1000.service/app.slice/jupyter.service"}, measure.Workload{Kind: measure.KindSession, ID: "user-1000"}, Names{User: "1000", Session: "user-1000"}},
		{"rootless container is its user", []string{"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + hexID + ".scope"}, measure.Workload{Kind: measure.KindSession, ID: "user-1000"}, Names{User: "1000", Session: "user-1000"}},
		{"unknown", []string{"/custom/thing"}, measure.Workload{Kind: measure.KindCgroup, ID: "/custom/thing"}, Names{}},
		{"root", []string{"/"}, measure.Workload{Kind: measure.KindCgroup, ID: "/"}, Names{}},

		// What a tenant may do to look like somebody else.
		{"job poses as a container", []string{"/system.slice/slurmstepd.scope/job_9/step_0/docker-" + hexID + ".scope"}, measure.Workload{Kind: measure.KindSlurmJob, ID: "9"}, Names{SlurmJob: "9"}},
		{"session poses as a job", []string{"/user.slice/user-7.slice/session-1.scope/system.slice/slurmstepd.scope/job_9"}, measure.Workload{Kind: measure.KindSession, ID: "user-7/session-1"}, Names{User: "7", Session: "user-7/session-1"}},
		{"unit poses as a pod", []string{"/system.slice/x.service/kubepods/pod" + podUID}, measure.Workload{Kind: measure.KindUnit, ID: "x.service"}, Names{Unit: "x.service"}},
		{"unit poses as a pod, systemd names", []string{"/system.slice/x.service/kubepods-pod" + hexID[:32] + ".slice:cri-containerd:" + hexID}, measure.Workload{Kind: measure.KindUnit, ID: "x.service"}, Names{Unit: "x.service"}},
		{"scope poses as Slurm's", []string{"/system.slice/notslurmstepd.scope/job_9"}, measure.Workload{Kind: measure.KindUnit, ID: "notslurmstepd.scope"}, Names{Unit: "notslurmstepd.scope"}},
		{"payload without a name", []string{"/lxc.payload./x"}, measure.Workload{Kind: measure.KindCgroup, ID: "/lxc.payload./x"}, Names{}},
		{"user who is none", []string{"/user.slice/user-99999999999.slice/session-1.scope"}, measure.Workload{Kind: measure.KindCgroup, ID: "/user.slice/user-99999999999.slice/session-1.scope"}, Names{}},
		{"pod uid with a path", []string{"/kubepods/pod..%2f" + podUID}, measure.Workload{Kind: measure.KindCgroup, ID: "/kubepods/pod..%2f" + podUID}, Names{}},
		{"bidi", []string{"/a\u202egpj"}, measure.Workload{Kind: measure.KindCgroup, ID: `/a\xe2\x80\xaegpj`}, Names{}},
		{"control and quote", []string{"/a\x1b[2J\x00\""}, measure.Workload{Kind: measure.KindCgroup, ID: `/a\x1b[2J\x00"`}, Names{}},
		{"backslash", []string{`/a\x1b`}, measure.Workload{Kind: measure.KindCgroup, ID: `/a\\x1b`}, Names{}},
		{"not UTF-8", []string{"/\xff"}, measure.Workload{Kind: measure.KindCgroup, ID: `/\xff`}, Names{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			names, got := Resolve(tt.paths)
			if tt.names.Cgroup == "" {
				tt.names.Cgroup = tt.paths[0]
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("workload (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.names, names); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOverlongPathsStayApart(t *testing.T) {
	long := "/" + strings.Repeat("x", 3000)
	_, a := Resolve([]string{long + "a"})
	_, b := Resolve([]string{long + "b"})
	if len(a.ID) > maxID || a == b {
		t.Errorf("ids of %d and %d bytes, equal %t; want at most %d and different", len(a.ID), len(b.ID), a == b, maxID)
	}
}

// Identifiers go on the wire and on screens: printable ASCII, bounded, and two
// paths never become one workload.
func TestIdentifiersAreSafe(t *testing.T) {
	component := rapid.OneOf(
		rapid.SampledFrom([]string{"kubepods", "kubepods.slice", "lxc.payload.", "containerd.service", "kubepods-pod" + hexID[:32] + ".slice:cri-containerd:" + hexID, "slurm", "uid_1", "job_2", "user.slice", "user-1.slice", "system.slice", "machine.slice", "a.service", "docker", hexID, "pod" + podUID, `x\x2d`}),
		rapid.String(), rapid.StringN(0, 300, -1),
	)
	path := rapid.Custom(func(t *rapid.T) string {
		return "/" + strings.Join(rapid.SliceOfN(component, 0, 6).Draw(t, "components"), "/")
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := path.Draw(t, "a"), path.Draw(t, "b")
		_, wa := Resolve([]string{a})
		_, wb := Resolve([]string{b})
		for _, w := range []measure.Workload{wa, wb} {
			if w.Kind == measure.KindNone || w.ID == "" || len(w.ID) > maxID || !utf8.ValidString(w.ID) {
				t.Fatalf("workload %+v", w)
			}
			for i := range len(w.ID) {
				if w.ID[i] <= ' ' || w.ID[i] > '~' {
					t.Fatalf("id %q holds byte %#x", w.ID, w.ID[i])
				}
			}
		}
		if wa.Kind == measure.KindCgroup && wa == wb && a != b {
			t.Fatalf("%q and %q are both %+v", a, b, wa)
		}
	})
}
