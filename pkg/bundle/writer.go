package bundle

import (
	"archive/zip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/canonical"
)

// Content is a file to be put into a bundle. Open is called twice, once to hash
// it and once to copy it, and must give the same bytes.
type Content struct {
	Name string
	Open func() (io.ReadCloser, error)
}

// Write writes the bundle of a manifest and its files, signed by the collector.
// It fills in the manifest's files. The same input gives the same bytes.
func Write(w io.Writer, m Manifest, files []Content, key ed25519.PrivateKey) error {
	m.Schema = Schema
	m.Files = nil
	for _, f := range files {
		one, err := describe(f)
		if err != nil {
			return fmt.Errorf("bundle %s: %w", m.Report, err)
		}
		m.Files = append(m.Files, one)
	}
	manifest, err := canonical.Marshal(m)
	if err != nil {
		return fmt.Errorf("bundle %s: %w", m.Report, err)
	}
	sum := sha256.Sum256(manifest)
	out := newContainer(w)
	if err := out.put(ManifestName, manifest); err != nil {
		return fmt.Errorf("bundle %s: %w", m.Report, err)
	}
	if err := out.put(SignatureName, attest.Seal(key, Domain, sum[:])); err != nil {
		return fmt.Errorf("bundle %s: %w", m.Report, err)
	}
	for _, f := range files {
		if err := out.copy(f); err != nil {
			return fmt.Errorf("bundle %s: %s: %w", m.Report, f.Name, err)
		}
	}
	if err := out.zip.Close(); err != nil {
		return fmt.Errorf("bundle %s: %w", m.Report, err)
	}
	return nil
}

func describe(f Content) (File, error) {
	r, err := f.Open()
	if err != nil {
		return File{}, fmt.Errorf("open %s: %w", f.Name, err)
	}
	h := sha256.New()
	n, err := io.Copy(h, r)
	if e := r.Close(); err == nil {
		err = e
	}
	if err != nil {
		return File{}, fmt.Errorf("read %s: %w", f.Name, err)
	}
	return File{f.Name, n, hex.EncodeToString(h.Sum(nil))}, nil
}

// container writes a ZIP in the one form: files stored in order, without times,
// modes or comments.
type container struct{ zip *zip.Writer }

func newContainer(w io.Writer) container { return container{zip.NewWriter(w)} }

func (c container) create(name string) (io.Writer, error) {
	return c.zip.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
}

func (c container) put(name string, content []byte) error {
	w, err := c.create(name)
	if err == nil {
		_, err = w.Write(content)
	}
	return err
}

func (c container) copy(f Content) error {
	r, err := f.Open()
	if err != nil {
		return err
	}
	w, err := c.create(f.Name)
	if err == nil {
		_, err = io.Copy(w, r)
	}
	if e := r.Close(); err == nil {
		err = e
	}
	return err
}

// sameForm reports whether the bytes of a bundle are those that Write would make
// of its files, so that nothing hides between them.
func sameForm(r io.ReaderAt, size int64, z *zip.Reader) (bool, error) {
	have, want := sha256.New(), sha256.New()
	if _, err := io.Copy(have, io.NewSectionReader(r, 0, size)); err != nil {
		return false, err
	}
	again := newContainer(want)
	for _, f := range z.File {
		in, err := f.Open()
		if err != nil {
			return false, err
		}
		out, err := again.create(f.Name)
		if err == nil {
			_, err = io.Copy(out, in)
		}
		if e := in.Close(); err == nil {
			err = e
		}
		if err != nil {
			return false, err
		}
	}
	if err := again.zip.Close(); err != nil {
		return false, err
	}
	return equalSums(have, want), nil
}

func equalSums(a, b hash.Hash) bool { return string(a.Sum(nil)) == string(b.Sum(nil)) }
