package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/flopwatch/flopwatch/collector/internal/egress"
	"github.com/flopwatch/flopwatch/collector/internal/notice"
)

// SignatureHeader carries t=UNIX_SECONDS,v1=HEX: HMAC-SHA256 of the seconds, a dot
// and the body, under the secret of the channel.
const SignatureHeader = "Flopwatch-Signature"

const (
	dialTimeout = 5 * time.Second
	sendTimeout = 20 * time.Second
	maxSecret   = 4 << 10
)

// ErrNotAllowed means that the address is one that must not be asked.
var ErrNotAllowed = egress.ErrNotAllowed

// webhook posts to one address.
type webhook struct {
	to     Webhook
	secret []byte
	http   *http.Client
	now    func() time.Time
}

func newWebhook(w Webhook, now func() time.Time) (*webhook, error) {
	secret, err := readSecret(w.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", w.Name, err)
	}
	roots, err := egress.ReadRoots(w.CAFile)
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", w.Name, err)
	}
	networks, err := egress.ParseNetworks(w.Networks)
	if err != nil {
		return nil, fmt.Errorf("webhook %s: %w", w.Name, err)
	}
	transport := egress.Transport(networks, roots, dialTimeout, sendTimeout)
	return &webhook{to: w, secret: secret, now: now, http: &http.Client{Transport: transport, Timeout: sendTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}, nil
}

// payload is what is posted. Chats that take Slack's webhooks read text alone.
type payload struct {
	Text    string          `json:"text"`
	Notices []notice.Notice `json:"notices"`
}

// send posts notices. The error tells nothing of the address, which may hold a secret.
func (w *webhook) send(ctx context.Context, all []notice.Notice) error {
	data, err := json.Marshal(payload{Text: notice.Subject(all) + "\n" + notice.Body(all), Notices: all})
	if err != nil {
		return fmt.Errorf("encode: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.to.URL, bytes.NewReader(data))
	if err != nil {
		return errors.New("the request could not be made")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "flopwatch")
	request.Header.Set(SignatureHeader, sign(w.secret, w.now(), data))
	// The same notices again have the same key, so that whoever takes them can tell.
	request.Header.Set("Idempotency-Key", fmt.Sprintf("%s-%d-%d", w.to.Name, all[0].No, all[len(all)-1].No))
	answer, err := w.http.Do(request)
	if err != nil {
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return err
	}
	// What it answers is of no interest; reading some of it lets the connection end well.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if err := answer.Body.Close(); err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if answer.StatusCode/100 != 2 {
		return &answered{status: answer.StatusCode, after: retryAfter(answer.Header.Get("Retry-After"))}
	}
	return nil
}

// answered is an answer that was no yes.
type answered struct {
	status int
	after  time.Duration // that it asks to wait
}

func (a *answered) Error() string { return fmt.Sprintf("it answered %d", a.status) }

func retryAfter(text string) time.Duration {
	seconds, err := strconv.Atoi(text)
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 3600)) * time.Second
}

func sign(secret []byte, at time.Time, body []byte) string {
	seconds := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(seconds + "."))
	mac.Write(body)
	return "t=" + seconds + ",v1=" + hex.EncodeToString(mac.Sum(nil))
}

func readSecret(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read secret: %w", err)
	}
	data = bytes.TrimRight(data, "\r\n")
	if len(data) == 0 || len(data) > maxSecret {
		return nil, fmt.Errorf("secret in %s has %d bytes, not 1 to %d", path, len(data), maxSecret)
	}
	return data, nil
}
