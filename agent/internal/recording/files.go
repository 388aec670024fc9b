package recording

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// names are the files of a recording.
var names = []string{"host.json", "samples.csv", "processes.csv", "network.csv", "events.ndjson", "README.md", "truth.json"}

// load returns the files of a recording by name without .gz.
func load(location string) (map[string][]byte, error) {
	if info, err := os.Stat(location); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return loadArchive(location)
	}
	entries, err := os.ReadDir(location)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		f, err := os.Open(filepath.Join(location, entry.Name()))
		if err != nil {
			return nil, err
		}
		err = take(files, entry.Name(), f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// loadArchive reads a .tar.gz. Entries outside of one folder, links and files
// that are no part of a recording are refused.
func loadArchive(location string) (map[string][]byte, error) {
	f, err := os.Open(location)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	archive := tar.NewReader(io.LimitReader(zr, 4*MaxBytes))
	for {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if entry.Typeflag == tar.TypeDir {
			continue
		}
		clean := path.Clean(entry.Name)
		if entry.Typeflag != tar.TypeReg || path.IsAbs(clean) || strings.HasPrefix(clean, "..") || strings.Count(clean, "/") > 1 {
			return nil, fmt.Errorf("entry %q does not belong into a recording", entry.Name)
		}
		if err := take(files, path.Base(clean), archive); err != nil {
			return nil, err
		}
	}
}

func take(files map[string][]byte, name string, r io.Reader) error {
	plain, zipped := strings.CutSuffix(name, ".gz")
	if !slices.Contains(names, plain) {
		return fmt.Errorf("file %q does not belong into a recording", name)
	}
	if files[plain] != nil {
		return fmt.Errorf("file %q is there plain and zipped", plain)
	}
	read := bounded
	if zipped {
		read = unzip
	}
	data, err := read(r)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	files[plain] = append([]byte{}, data...)
	return nil
}
