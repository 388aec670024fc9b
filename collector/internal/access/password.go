package access

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Cost of Argon2id, as OWASP's password storage sheet gives it for 19 MiB.
const (
	argonMemoryKiB = 19 << 10
	argonPasses    = 2
	argonThreads   = 1
	argonBytes     = 32
	saltBytes      = 16
)

// Bounds of a password, in characters. It is not asked for kinds of characters:
// length is what counts (NIST SP 800-63B).
const minPassword, maxPassword = 12, 200

// HashPassword returns the Argon2id hash of a new password in the PHC format.
func HashPassword(password string) (string, error) {
	switch n := utf8.RuneCountInString(password); {
	case !utf8.ValidString(password):
		return "", errors.New("password: not UTF-8")
	case n < minPassword || n > maxPassword:
		return "", fmt.Errorf("password: must have %d to %d characters", minPassword, maxPassword)
	}
	var salt [saltBytes]byte
	rand.Read(salt[:]) // never fails: the runtime stops the program instead
	key := argon2.IDKey([]byte(password), salt[:], argonPasses, argonMemoryKiB, argonThreads, argonBytes)
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemoryKiB, argonPasses, argonThreads,
		base64.RawStdEncoding.EncodeToString(salt[:]), base64.RawStdEncoding.EncodeToString(key)), nil
}

// nobodysHash is of a password that nobody has, so that an unknown login takes
// as long as a wrong password.
var nobodysHash = sync.OnceValue(func() string {
	h, err := HashPassword(secret())
	if err != nil {
		panic(err) // the secret is of a fixed length
	}
	return h
})

// checkPassword reports whether the password is the one of the hash.
func checkPassword(hash, password string) (bool, error) {
	var version, memory, passes, threads int
	parts := strings.Split(hash, "$")
	if len(parts) != 6 || parts[1] != "argon2id" {
		return false, errors.New("password hash: not argon2id")
	}
	if _, err := fmt.Sscanf(parts[2]+" "+parts[3], "v=%d m=%d,t=%d,p=%d", &version, &memory, &passes, &threads); err != nil {
		return false, fmt.Errorf("password hash: %w", err)
	}
	if version != argon2.Version || memory < 8 || memory > 1<<20 || passes < 1 || passes > 100 || threads < 1 || threads > 64 {
		return false, errors.New("password hash: its cost is out of bounds")
	}
	salt, err := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil {
		return false, fmt.Errorf("password hash: salt: %w", err)
	}
	want, err := base64.RawStdEncoding.DecodeString(parts[5])
	if err != nil || len(want) < 16 || len(want) > 64 {
		return false, errors.New("password hash: key is damaged")
	}
	got := argon2.IDKey([]byte(password), salt, uint32(passes), uint32(memory), uint8(threads), uint32(len(want)))
	return subtle.ConstantTimeCompare(got, want) == 1, nil
}
