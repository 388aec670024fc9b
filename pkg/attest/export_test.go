package attest

// Signed is what a signature of an envelope is over.
func Signed(domain string, pub, body []byte) []byte { return appendSigned(nil, domain, pub, body) }
