package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/flopwatch/flopwatch/collector/internal/egress"
	"github.com/flopwatch/flopwatch/collector/internal/notice"
)

// mailer sends by SMTP.
type mailer struct {
	to     Mail
	client func() (*mail.Client, error)
	now    func() time.Time
}

func newMailer(m Mail, now func() time.Time) (*mailer, error) {
	host, portText, err := net.SplitHostPort(m.Server)
	if err != nil {
		return nil, fmt.Errorf("mail %s: %w", m.Name, err)
	}
	port, err := strconv.Atoi(portText)
	if err != nil {
		return nil, fmt.Errorf("mail %s: port: %w", m.Name, err)
	}
	roots, err := egress.ReadRoots(m.CAFile)
	if err != nil {
		return nil, fmt.Errorf("mail %s: %w", m.Name, err)
	}
	options := []mail.Option{mail.WithPort(port), mail.WithTimeout(sendTimeout), mail.WithTLSConfig(&tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS12})}
	switch m.TLS {
	case "none":
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	case "tls":
		options = append(options, mail.WithSSL())
	default:
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	}
	if m.User != "" {
		password, err := readSecret(m.PasswordFile)
		if err != nil {
			return nil, fmt.Errorf("mail %s: %w", m.Name, err)
		}
		kind := mail.SMTPAuthAutoDiscover
		if m.TLS == "none" {
			kind = mail.SMTPAuthPlainNoEnc // to this machine only
		}
		options = append(options, mail.WithSMTPAuth(kind), mail.WithUsername(m.User), mail.WithPassword(string(password)))
	}
	make := func() (*mail.Client, error) { return mail.NewClient(host, options...) }
	if _, err := make(); err != nil {
		return nil, fmt.Errorf("mail %s: %w", m.Name, err)
	}
	return &mailer{to: m, client: make, now: now}, nil
}

// send sends notices in one message.
func (m *mailer) send(ctx context.Context, all []notice.Notice) error {
	message := mail.NewMsg()
	if err := message.From(m.to.From); err != nil {
		return fmt.Errorf("from: %w", err)
	}
	if err := message.To(m.to.To...); err != nil {
		return fmt.Errorf("to: %w", err)
	}
	message.Subject(notice.Subject(all))
	message.SetDateWithValue(m.now())
	// The same notices again are the same message, and not a second one.
	message.SetMessageIDWithValue(fmt.Sprintf("%s.%d.%d@flopwatch.invalid", m.to.Name, all[0].No, all[len(all)-1].No))
	message.SetGenHeader("Auto-Submitted", "auto-generated")
	message.SetBodyString(mail.TypeTextPlain, notice.Body(all))
	client, err := m.client()
	if err != nil {
		return err
	}
	if err := client.DialAndSendWithContext(ctx, message); err != nil {
		var failed *mail.SendError
		if errors.As(err, &failed) && failed.IsTemp() {
			return fmt.Errorf("not now: %w", err)
		}
		return err
	}
	return nil
}
