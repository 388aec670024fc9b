package guest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
)

const (
	maxEntries   = 4096 // of one folder that is listed
	maxAttribute = 256  // bytes of one file of sysfs
)

// list returns the names in a folder, none if there is no such folder.
func list(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list guests: %w", err)
	}
	defer f.Close()
	names, err := f.Readdirnames(maxEntries)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("list guests: %w", err)
	}
	slices.Sort(names)
	return names, nil
}

// attribute reads a small file of sysfs without the newline at its end.
func attribute(path string) (string, error) {
	data, err := readBounded(path, maxAttribute)
	return strings.TrimSuffix(string(data), "\n"), err
}

func hex(path string, bits int) (uint64, error) {
	text, err := attribute(path)
	if err != nil {
		return 0, err
	}
	digits, ok := strings.CutPrefix(text, "0x")
	n, err := strconv.ParseUint(digits, 16, bits)
	if !ok || err != nil {
		return 0, fmt.Errorf("read %s: %.20q is not a number of %d bits", path, text, bits)
	}
	return n, nil
}

func readNumber(path string) (number, error) {
	text, err := attribute(path)
	if err != nil {
		return number{}, err
	}
	first, second, ok := strings.Cut(text, ":")
	major, majorErr := strconv.ParseUint(first, 10, 32)
	minor, minorErr := strconv.ParseUint(second, 10, 32)
	if !ok || majorErr != nil || minorErr != nil {
		return number{}, fmt.Errorf("read %s: %.40q is not major:minor", path, text)
	}
	return number{uint32(major), uint32(minor)}, nil
}

// isPCI accepts an address as sysfs writes it, "0000:3b:00.0".
func isPCI(s string) bool {
	parts := strings.FieldsFunc(s, func(r rune) bool { return r == ':' || r == '.' })
	if len(parts) != 4 || len(parts[1]) != 2 || len(parts[2]) != 2 || len(parts[3]) != 1 || len(parts[0]) < 4 || len(parts[0]) > 8 {
		return false
	}
	return s == parts[0]+":"+parts[1]+":"+parts[2]+"."+parts[3] && strings.Trim(strings.Join(parts, ""), "0123456789abcdef") == ""
}

func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("read %s: longer than %d bytes", path, limit)
	}
	return data, nil
}
