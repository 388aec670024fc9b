// Command chartcheck reads what `helm template` prints and holds each document against
// the type that it says it is, strictly: a field that Kubernetes does not know is an
// error here, as it would be silently dropped there. It then looks for what the chart
// promises of its containers. It needs no cluster.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err == nil {
		err = check(text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func check(text []byte) error {
	found := 0
	var faults []error
	for _, doc := range bytes.Split(text, []byte("\n---")) {
		var of metav1.TypeMeta
		if err := yaml.Unmarshal(doc, &of); err != nil {
			return err
		}
		if of.Kind == "" {
			continue // comments
		}
		found++
		if of.Kind != "DaemonSet" || of.APIVersion != "apps/v1" {
			faults = append(faults, fmt.Errorf("%s %s: no type is known here", of.APIVersion, of.Kind))
			continue
		}
		var set appsv1.DaemonSet
		if err := yaml.UnmarshalStrict(doc, &set); err != nil {
			faults = append(faults, fmt.Errorf("DaemonSet: %w", err))
			continue
		}
		faults = append(faults, promises(&set)...)
	}
	if found == 0 {
		faults = append(faults, errors.New("no document"))
	}
	return errors.Join(faults...)
}

// allowed are the capabilities that a container of the chart may have.
var allowed = map[string][]corev1.Capability{"sample": {"BPF", "PERFMON", "SYS_PTRACE"}, "ship": nil, "prepare": {"CHOWN"}}

func promises(set *appsv1.DaemonSet) (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	pod := set.Spec.Template.Spec
	for k, v := range set.Spec.Selector.MatchLabels {
		if set.Spec.Template.Labels[k] != v {
			fault("the selector asks for %s=%s, which the pods do not have", k, v)
		}
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		if v.HostPath == nil || v.HostPath.Path == "" {
			fault("volume %s is no path of the host", v.Name)
		}
		volumes[v.Name] = false
	}
	for _, c := range append(slices.Clone(pod.InitContainers), pod.Containers...) {
		s := c.SecurityContext
		most, known := allowed[c.Name]
		switch {
		case !known:
			fault("container %s is not known here", c.Name)
		case s == nil || s.Privileged == nil || *s.Privileged || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem:
			fault("container %s: privileges or a root that can be written", c.Name)
		case s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []corev1.Capability{"ALL"}):
			fault("container %s does not drop all capabilities", c.Name)
		case s.SeccompProfile == nil || s.SeccompProfile.Type == corev1.SeccompProfileTypeUnconfined && !slices.Contains(s.Capabilities.Add, "BPF"):
			fault("container %s has no profile of system calls, and no BPF that needs that", c.Name)
		}
		if s != nil && s.Capabilities != nil {
			for _, has := range s.Capabilities.Add {
				if !slices.Contains(most, has) {
					fault("container %s has capability %s", c.Name, has)
				}
			}
		}
		for _, m := range c.VolumeMounts {
			if _, there := volumes[m.Name]; !there {
				fault("container %s mounts %s, which is no volume", c.Name, m.Name)
			}
			volumes[m.Name] = true
		}
	}
	for name, used := range volumes {
		if !used {
			fault("nobody mounts volume %s", name)
		}
	}
	return faults
}
