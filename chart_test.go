package flopwatch_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/template"

	"go.yaml.in/yaml/v3"
)

// daemonSet has the fields of Kubernetes' apps/v1 DaemonSet that the chart sets. They are
// read strictly: a field that is misspelt would be dropped by a cluster without a word.
type daemonSet struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   metadata
	Spec       struct {
		Selector struct {
			MatchLabels map[string]string `yaml:"matchLabels"`
		}
		UpdateStrategy struct {
			Type          string
			RollingUpdate struct {
				MaxUnavailable string `yaml:"maxUnavailable"`
			} `yaml:"rollingUpdate"`
		} `yaml:"updateStrategy"`
		Template struct {
			Metadata metadata
			Spec     podSpec
		}
	}
}

type metadata struct {
	Name   string
	Labels map[string]string
}

type podSpec struct {
	HostPID                       bool              `yaml:"hostPID"`
	AutomountServiceAccountToken  *bool             `yaml:"automountServiceAccountToken"`
	EnableServiceLinks            *bool             `yaml:"enableServiceLinks"`
	RuntimeClassName              string            `yaml:"runtimeClassName"`
	PriorityClassName             string            `yaml:"priorityClassName"`
	TerminationGracePeriodSeconds int               `yaml:"terminationGracePeriodSeconds"`
	NodeSelector                  map[string]string `yaml:"nodeSelector"`
	Tolerations                   []struct{ Key, Operator, Value, Effect string }
	SecurityContext               struct {
		RunAsGroup int `yaml:"runAsGroup"`
	} `yaml:"securityContext"`
	InitContainers []container `yaml:"initContainers"`
	Containers     []container
	Volumes        []struct {
		Name     string
		HostPath struct{ Path, Type string } `yaml:"hostPath"`
	}
}

type container struct {
	Name, Image     string
	ImagePullPolicy string `yaml:"imagePullPolicy"`
	Command, Args   []string
	Env             []struct{ Name, Value string }
	Resources       struct{ Requests, Limits map[string]string }
	SecurityContext struct {
		RunAsUser                int   `yaml:"runAsUser"`
		RunAsNonRoot             bool  `yaml:"runAsNonRoot"`
		Privileged               *bool `yaml:"privileged"`
		AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
		Capabilities             struct{ Drop, Add []string }
		SeccompProfile           struct{ Type string } `yaml:"seccompProfile"`
	} `yaml:"securityContext"`
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

const chart = "deploy/helm/flopwatch-agent"

// chartAs renders the chart's one template as Helm does, with the functions that it uses:
// Helm itself is seldom where tests run, and make deploy-check holds both together.
func chartAs(t *testing.T, files ...string) ([]byte, error) {
	t.Helper()
	values := map[string]any{}
	for _, file := range append([]string{filepath.Join(chart, "values.yaml")}, files...) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		more := map[string]any{}
		if err := yaml.Unmarshal(text, &more); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		over(values, more)
	}
	text, err := os.ReadFile(filepath.Join(chart, "templates/daemonset.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := template.New(chart).Funcs(template.FuncMap{
		"fail":    func(why string) (string, error) { return "", fmt.Errorf("%s", why) },
		"quote":   func(v any) string { return fmt.Sprintf("%q", fmt.Sprint(v)) },
		"nindent": func(n int, s string) string { return "\n" + indent(n, s) },
		"toYaml": func(v any) (string, error) {
			out, err := yaml.Marshal(v)
			return strings.TrimSuffix(string(out), "\n"), err
		},
	}).Parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	err = page.Execute(&out, map[string]any{"Values": values, "Release": map[string]any{"Name": "flopwatch"}})
	return out.Bytes(), err
}

func indent(n int, s string) string {
	by := strings.Repeat(" ", n)
	return by + strings.ReplaceAll(s, "\n", "\n"+by)
}

// over puts the values of one file over those of another.
func over(values, more map[string]any) {
	for k, v := range more {
		below, ok1 := v.(map[string]any)
		into, ok2 := values[k].(map[string]any)
		if ok1 && ok2 {
			over(into, below)
		} else {
			values[k] = v
		}
	}
}

// Under each set of values in deploy/helm/values the chart gives what Kubernetes knows,
// and no container more than docs/kubernetes.md says: not privileged, no capability
// beyond its own, no file of its image to write, each volume mounted by somebody.
func TestChart(t *testing.T) {
	const base = "deploy/helm/values/base.yaml"
	for name, bpf := range map[string]bool{"base": true, "crio-operator": true, "least-rights": false} {
		t.Run(name, func(t *testing.T) {
			text, err := chartAs(t, base, "deploy/helm/values/"+name+".yaml")
			if err != nil {
				t.Fatal(err)
			}
			var set daemonSet
			strict := yaml.NewDecoder(bytes.NewReader(text))
			strict.KnownFields(true)
			if err := strict.Decode(&set); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			if set.APIVersion != "apps/v1" || set.Kind != "DaemonSet" {
				t.Errorf("%s %s", set.APIVersion, set.Kind)
			}
			for k, v := range set.Spec.Selector.MatchLabels {
				if set.Spec.Template.Metadata.Labels[k] != v {
					t.Errorf("the pods have no label %s=%s", k, v)
				}
			}
			sample := []string{"BPF", "PERFMON", "SYS_PTRACE"}
			if !bpf {
				sample = sample[2:]
			}
			checkPods(t, &set.Spec.Template.Spec, map[string][]string{"sample": sample, "ship": nil, "prepare": {"CHOWN"}})
		})
	}
	if _, err := chartAs(t); err == nil || !strings.Contains(err.Error(), "image.repository must be set") {
		t.Errorf("without an image: %v", err)
	}
	tagged := filepath.Join(t.TempDir(), "tagged.yaml")
	if err := os.WriteFile(tagged, []byte("image: {repository: registry.example/agent}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := chartAs(t, tagged); err == nil || !strings.Contains(err.Error(), "image.digest must be set") {
		t.Errorf("without a digest: %v", err)
	}
}

func checkPods(t *testing.T, pod *podSpec, capabilities map[string][]string) {
	t.Helper()
	if !pod.HostPID || pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("pods without the node's process numbers, or with a token of the cluster")
	}
	mounted := map[string]bool{}
	for _, v := range pod.Volumes {
		if v.HostPath.Path == "" {
			t.Errorf("volume %s is no path of the node", v.Name)
		}
		mounted[v.Name] = false
	}
	for _, c := range append(slices.Clone(pod.InitContainers), pod.Containers...) {
		s := &c.SecurityContext
		if s.Privileged == nil || *s.Privileged || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem {
			t.Errorf("container %s: %+v", c.Name, s)
		}
		want, known := capabilities[c.Name]
		if !known || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) || !slices.Equal(s.Capabilities.Add, want) {
			t.Errorf("container %s has capabilities %v", c.Name, s.Capabilities)
		}
		if p := s.SeccompProfile.Type; p != "RuntimeDefault" && (p != "Unconfined" || !slices.Contains(s.Capabilities.Add, "BPF")) {
			t.Errorf("container %s has profile %q", c.Name, p)
		}
		if !strings.Contains(c.Image, "@sha256:") {
			t.Errorf("container %s is pulled as %s", c.Name, c.Image)
		}
		for _, m := range c.VolumeMounts {
			if _, there := mounted[m.Name]; !there {
				t.Errorf("container %s mounts %s, which is no volume", c.Name, m.Name)
			}
			mounted[m.Name] = true
		}
	}
	for name, is := range mounted {
		if !is {
			t.Errorf("nobody mounts volume %s", name)
		}
	}
}
