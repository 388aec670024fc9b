package apitypes

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// EndpointFile is the name of the endpoint's file in the data directory.
const EndpointFile = "api.json"

const maxEndpointBytes = 4096

// Endpoint is where the API is and the token that opens it.
type Endpoint struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// Write replaces the file at path as a whole, readable by its owner only.
func (e Endpoint) Write(path string) error {
	data, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return fmt.Errorf("encode API endpoint: %w", err)
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".api-") // mode 0600
	if err != nil {
		return fmt.Errorf("write API endpoint: %w", err)
	}
	_, err = temp.Write(append(data, '\n'))
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write API endpoint %s: %w", path, errors.Join(err, os.Remove(temp.Name())))
	}
	return nil
}

// ReadEndpoint reads what Write wrote. A missing file is fs.ErrNotExist.
func ReadEndpoint(path string) (Endpoint, error) {
	f, err := os.Open(path)
	if err != nil {
		return Endpoint{}, fmt.Errorf("read API endpoint: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxEndpointBytes))
	if err != nil {
		return Endpoint{}, fmt.Errorf("read API endpoint %s: %w", path, err)
	}
	var e Endpoint
	if err := json.Unmarshal(data, &e); err != nil || e.URL == "" || e.Token == "" {
		return Endpoint{}, fmt.Errorf("read API endpoint %s: it must hold url and token", path)
	}
	return e, nil
}
