package postgres

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// ErrSetting means that the server has a setting, or a version, that the collector
// refuses. Such an error names nothing else.
var ErrSetting = errors.New("the server")

// Blame says why a database could not be read, for people who may not know where it is:
// without the server, the database, the user, a password or any value of the address.
func Blame(err error) string {
	var fault *pgconn.PgError
	var address *pgconn.ParseConfigError
	var name *net.DNSError
	var kind syscall.Errno
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return "it took too long"
	case errors.Is(err, context.Canceled):
		return "stopped"
	case errors.As(err, &fault):
		// Its message may quote names and values; its code has a meaning by itself
		// (PostgreSQL's manual, appendix A).
		return fault.Severity + " " + fault.Code
	case errors.As(err, &address):
		return "its address cannot be read"
	case errors.As(err, &name):
		return "the name of its server was not found"
	case errors.As(err, &kind):
		return kind.Error()
	case errors.Is(err, ErrSetting):
		return err.Error()
	}
	return "it cannot be reached or read"
}
