package identity

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/flopwatch/flopwatch/pkg/attest"
	"github.com/flopwatch/flopwatch/pkg/endpoint"
	"github.com/flopwatch/flopwatch/pkg/enrol"
)

// Enrolment says who enrols and where what comes of it is kept.
type Enrolment struct {
	Server   string      // host:port of the agents' listener
	Token    enrol.Token // from flopwatchctl hosts invite
	Facts    enrol.Facts
	Endpoint string // file to write
	Keys     string // folder for keys
	Users    Users
	Now      time.Time
}

// Enrol makes keys, binds them with the token and writes the endpoint. The keys
// of an enrolment before stay where they are; nothing uses them.
func Enrol(ctx context.Context, e Enrolment) (endpoint.Agents, error) {
	server, _, err := net.SplitHostPort(e.Server)
	if err != nil {
		return endpoint.Agents{}, fmt.Errorf("enrol at %q: %w", e.Server, err)
	}
	keys, err := makeKeys()
	if err != nil {
		return endpoint.Agents{}, err
	}
	signing, broker, err := keep(e.Keys, keys, e.Users, e.Now)
	if err != nil {
		return endpoint.Agents{}, err
	}
	d := newDoor(e.Server, enrol.ByHash(e.Token.Authority))
	nonce, err := d.nonce(ctx)
	if err != nil {
		return endpoint.Agents{}, err
	}
	request, err := enrol.Ask(e.Token, nonce, keys, e.Facts)
	if err != nil {
		return endpoint.Agents{}, fmt.Errorf("enrol: %w", err)
	}
	var w enrol.Welcome
	if err := d.post(ctx, enrol.PathEnrol, request, &w); err != nil {
		return endpoint.Agents{}, err
	}
	out, err := e.accept(w, server)
	if err != nil {
		return endpoint.Agents{}, fmt.Errorf("enrol: the collector's answer: %w", err)
	}
	out.SeedFile, out.Identity.SigningFile = broker, signing
	out.Identity.AuthorityFile = filepath.Join(e.Keys, "authority.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.Authority})
	if err := replace(out.Identity.AuthorityFile, certificate); err != nil {
		return endpoint.Agents{}, fmt.Errorf("keep the collector's authority: %w", err)
	}
	return out, endpoint.Write(e.Endpoint, out)
}

// accept checks what the collector says.
func (e Enrolment) accept(w enrol.Welcome, server string) (endpoint.Agents, error) {
	authority, err := x509.ParseCertificate(w.Authority)
	if err != nil || enrol.AuthorityHash(authority) != e.Token.Authority {
		return endpoint.Agents{}, errors.New("its authority is not the one that the token names")
	}
	url, err := brokerURL(w.Broker, server)
	if err != nil {
		return endpoint.Agents{}, err
	}
	if w.Host != e.Token.Host || len(w.ReceiptKeys) == 0 || len(w.ReceiptKeys[0]) != ed25519.PublicKeySize {
		return endpoint.Agents{}, errors.New("it lacks the host or the key of receipts")
	}
	key := ed25519.PublicKey(w.ReceiptKeys[0])
	if c, err := enrol.ReadCounter(key, w.Counter); err != nil || c.Host != w.Host {
		return endpoint.Agents{}, errors.New("its counter is not signed by the key of receipts")
	}
	return endpoint.Agents{
		URL: url, CollectorKey: key,
		Identity: &endpoint.Identity{Host: w.Host, Server: e.Server, Epoch: w.Epoch, Counter: w.Counter, KeysSince: e.Now.UTC()},
	}, nil
}

// brokerURL returns the URL of the servers of a broker, host:port each with commas
// between. One without a host is where the host enrolled.
func brokerURL(servers, server string) (string, error) {
	var all []string
	for _, one := range strings.Split(servers, ",") {
		host, port, err := net.SplitHostPort(one)
		if err != nil {
			return "", fmt.Errorf("broker: %w", err)
		}
		if host == "" {
			host = server
		}
		all = append(all, "tls://"+net.JoinHostPort(host, port))
	}
	return strings.Join(all, ","), nil
}

// Rotate makes new keys, binds them by the old ones and writes the endpoint. It
// returns until when the old keys count as well.
func Rotate(ctx context.Context, path, dir string, users Users, now time.Time) (until string, err error) {
	e, err := endpoint.Read(path)
	if err != nil {
		return "", err
	}
	if e.Identity == nil {
		return "", ErrNotEnrolled
	}
	id := e.Identity
	old, err := attest.LoadKey(id.SigningFile)
	if err != nil {
		return "", err
	}
	authority, err := readAuthority(id.AuthorityFile)
	if err != nil {
		return "", err
	}
	keys, err := makeKeys()
	if err != nil {
		return "", err
	}
	signing, broker, err := keep(dir, keys, users, now)
	if err != nil {
		return "", err
	}
	d := newDoor(id.Server, enrol.ByAuthority(authority))
	nonce, err := d.nonce(ctx)
	if err != nil {
		return "", err
	}
	request, err := enrol.AskRotation(id.Host, nonce, old, keys)
	if err != nil {
		return "", fmt.Errorf("rotate: %w", err)
	}
	var done enrol.Rotated
	if err := d.post(ctx, enrol.PathRotate, request, &done); err != nil {
		return "", err
	}
	next := *id
	next.SigningFile, next.KeysSince = signing, now.UTC()
	e.SeedFile, e.Identity = broker, &next
	return done.OldUntil, endpoint.Write(path, e)
}

// SetAside moves the spool of an earlier enrolment out of the way: its batches
// are signed by keys that do not count any more. It returns where to, "" if there
// was none.
func SetAside(spool string, now time.Time) (string, error) {
	to := spool + "-until-" + now.UTC().Format("20060102T150405Z")
	err := os.Rename(spool, to)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("set the spool aside: %w", err)
	}
	return to, nil
}

func replace(path string, data []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
