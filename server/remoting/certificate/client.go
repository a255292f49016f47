package certificate

import (
	"crypto/tls"
	"fmt"
)

// NewClient reads the files and makes the TLS configuration of clients.
// Without VerifyPeer any server will do, as RocketMQ's clients have it. A
// client that has a certificate shows it where it is asked for one.
func NewClient(f Files) (*tls.Config, error) {
	read, err := f.read()
	if err != nil {
		return nil, err
	}
	roots, err := f.roots(read)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, InsecureSkipVerify: !f.VerifyPeer,
		DynamicRecordSizingDisabled: true,
	}
	if f.CertificatePath == "" {
		if f.KeyPath != "" {
			return nil, fmt.Errorf("load TLS key %s: there is no certificate for it", f.KeyPath)
		}
		return config, nil
	}
	pair, err := f.pair(read)
	if err != nil {
		return nil, err
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
}
