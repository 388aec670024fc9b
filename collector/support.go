package collector

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/flopwatch/flopwatch/collector/internal/policy"
	"github.com/flopwatch/flopwatch/collector/internal/store"
	"github.com/flopwatch/flopwatch/pkg/cli"
	"github.com/flopwatch/flopwatch/pkg/version"
)

// supportCommand collects what whoever helps needs: sizes, counts, versions and
// metrics. It reads no row of any table, no evidence and no log, so nothing of
// customers, tenants or persons can be in it.
type supportCommand struct {
	Data   string `help:"Data directory." default:"data" type:"path"`
	Shared string `help:"Folder that collectors share, if they do; the sizes of its files go in too." placeholder:"FOLDER" type:"path"`
	storeFlags
	Monitor string `help:"Loopback address of /metrics of a collector that runs; its answers go in." placeholder:"ADDRESS"`
	Out     string `help:"File to write." default:"flopwatch-support.tar.gz" type:"path"`
}

// maxMonitored bounds an answer of the monitor, in bytes.
const maxMonitored = 4 << 20

// outline says how large the database is, wherever it is. What cannot be read is told
// without the address of the server, whom it is asked as, or a password.
func (c supportCommand) outline(ctx context.Context) (store.Outline, error) {
	options, err := c.options()
	if err != nil {
		return store.Outline{}, err
	}
	if options.Postgres == "" {
		return store.ReadOutline(ctx, filepath.Join(c.Data, "flopwatch.db"))
	}
	return store.ReadPostgresOutline(ctx, options.Postgres, options.Password)
}

// Run writes the bundle and tells what is in it. What cannot be read is told in
// the bundle, in its place.
func (c supportCommand) Run(ctx context.Context, s cli.Streams) (err error) {
	var names []string
	file, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("support bundle: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	packed := gzip.NewWriter(file)
	archive := tar.NewWriter(packed)
	put := func(name string, content []byte, err error) error {
		if err != nil {
			name, content = name+".error", []byte(err.Error()+"\n")
		}
		names = append(names, name)
		head := tar.Header{Name: "flopwatch-support/" + name, Mode: 0o600, Size: int64(len(content)), ModTime: time.Now().UTC().Truncate(time.Second)}
		if err := archive.WriteHeader(&head); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	}
	inJSON := func(name string, value any, err error) error {
		text, encodeErr := json.MarshalIndent(value, "", "  ")
		return put(name, append(text, '\n'), errors.Join(err, encodeErr))
	}
	outline, outlineErr := c.outline(ctx)
	files, filesErr := sizes(c.Data)
	err = errors.Join(inJSON("program.json", about(), nil), inJSON("database.json", outline, outlineErr), inJSON("files.json", files, filesErr))
	if c.Shared != "" {
		shared, sharedErr := sizes(c.Shared)
		err = errors.Join(err, inJSON("shared.json", shared, sharedErr))
	}
	if c.Monitor != "" {
		for _, path := range []string{"healthz", "readyz", "metrics"} {
			text, askErr := monitored(ctx, c.Monitor, path)
			err = errors.Join(err, put(path+".txt", text, askErr))
		}
	}
	if err = errors.Join(err, archive.Close(), packed.Close(), file.Sync()); err != nil {
		return fmt.Errorf("support bundle: %w", err)
	}
	fmt.Fprintf(s.Out, "%s holds:\n", c.Out)
	for _, name := range names {
		fmt.Fprintf(s.Out, "  %s\n", name)
	}
	fmt.Fprintln(s.Out, "No row of any table is in it. Logs are not: look through them before you add them (journalctl -u flopwatch-collector).")
	return nil
}

// program is what runs where.
type program struct {
	Version  string            `json:"version"`
	Go       string            `json:"go"`
	Platform string            `json:"platform"`
	Kernel   string            `json:"kernel"`
	CPUs     int               `json:"cpus"`
	At       time.Time         `json:"at"`
	Packs    map[string]string `json:"packs"` // id → version and status, as shipped
}

func about() program {
	p := program{Version: version.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH, CPUs: runtime.NumCPU(), At: time.Now().UTC(), Packs: map[string]string{}}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		p.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	for _, pack := range policy.Shipped() {
		p.Packs[pack.ID] = fmt.Sprintf("%d %s", pack.Version, pack.Status)
	}
	return p
}

// sizes are the files of a data directory with their size and mode. Their names
// are the collector's own.
func sizes(dir string) (map[string]string, error) {
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a collector that runs makes and removes files
		}
		if err == nil {
			name, _ := filepath.Rel(dir, path)
			out[name] = fmt.Sprintf("%d bytes, %s", info.Size(), info.Mode())
		}
		return err
	})
	return out, err
}

func monitored(ctx context.Context, address, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	return io.ReadAll(io.LimitReader(answer.Body, maxMonitored))
}
