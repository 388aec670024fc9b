// Package hostfacts reads what a host is: its names, its kernel and its boot.
package hostfacts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/host"

	"github.com/flopwatch/flopwatch/pkg/version"
	"github.com/flopwatch/flopwatch/pkg/wire"
)

// maxName bounds a name that goes on the wire, in bytes.
const maxName = 256

// Boot identifies one boot of a host.
type Boot struct {
	ID     string    // the kernel's random id of the boot
	Booted time.Time // by the host's clock, whole seconds
}

// Read returns the facts of the host whose /proc is at proc ("/proc" if live).
// Names are cut and stripped to printable ASCII, as the collector requires. The
// boot id is required, because it keeps process and counter histories apart; of
// the rest what cannot be read is "".
func Read(ctx context.Context, proc string) (wire.HostFacts, Boot, error) {
	boot, err := readBoot(proc)
	if err != nil {
		return wire.HostFacts{}, Boot{}, err
	}
	ctx = context.WithValue(ctx, common.EnvKey, common.EnvMap{common.HostProcEnvKey: proc})
	facts := wire.HostFacts{AgentVersion: clean(version.Version)}
	facts.Name = Name()
	if platform, _, release, err := host.PlatformInformationWithContext(ctx); err == nil {
		facts.OS = clean(strings.TrimSpace(platform + " " + release))
	}
	if kernel, err := host.KernelVersionWithContext(ctx); err == nil {
		facts.Kernel = clean(kernel)
	}
	if seconds, err := host.BootTimeWithContext(ctx); err == nil && seconds > 0 {
		boot.Booted = time.Unix(int64(seconds), 0).UTC()
	}
	return facts, boot, nil
}

// Name returns the host's name, "" if the kernel does not say.
func Name() string {
	name, err := os.Hostname()
	if err != nil {
		return ""
	}
	return clean(name)
}

func readBoot(proc string) (Boot, error) {
	path := filepath.Join(proc, "sys/kernel/random/boot_id")
	data, err := os.ReadFile(path)
	if err != nil {
		return Boot{}, fmt.Errorf("read boot id: %w", err)
	}
	id, err := parseBootID(string(data))
	if err != nil {
		return Boot{}, fmt.Errorf("read boot id %s: %w", path, err)
	}
	return Boot{ID: id}, nil
}

// parseBootID accepts an RFC 4122 id in lower case and one newline.
func parseBootID(text string) (string, error) {
	id := strings.TrimSuffix(text, "\n")
	if len(id) != 36 {
		return "", errors.New("not a UUID")
	}
	for i := range len(id) {
		dash := i == 8 || i == 13 || i == 18 || i == 23
		hex := id[i] >= '0' && id[i] <= '9' || id[i] >= 'a' && id[i] <= 'f'
		if dash != (id[i] == '-') || !dash && !hex {
			return "", errors.New("not a UUID")
		}
	}
	return id, nil
}

// clean keeps printable ASCII and cuts at maxName.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxName)]
}
