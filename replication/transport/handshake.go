package transport

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	protocolVersion = 2
	nonceBytes      = 32
	proofBytes      = sha256.Size
	preambleBytes   = 5 + nonceBytes
)

// magic begins every connection.
const magic = "APRP"

// ErrUnauthenticated: the other side doesn't know the cluster's secret.
var ErrUnauthenticated = errors.New("the other side doesn't know the cluster's secret")

// secret is what the nodes of a cluster share; empty for none.
type secret []byte

// prove is the proof of one side.
func (s secret) prove(side string, connector, listener []byte) []byte {
	if len(s) == 0 {
		return make([]byte, proofBytes)
	}
	h := hmac.New(sha256.New, s)
	h.Write([]byte(side))
	h.Write(connector)
	h.Write(listener)
	return h.Sum(nil)
}

const (
	connectorSide = "apogee replication, connector"
	listenerSide  = "apogee replication, listener"
)

func preamble() ([]byte, error) {
	b := make([]byte, preambleBytes)
	copy(b, magic)
	b[4] = protocolVersion
	_, err := rand.Read(b[5:])
	return b, err
}

func checkPreamble(b []byte) error {
	if string(b[:4]) != magic {
		return fmt.Errorf("%w: it doesn't begin as this protocol does; is that the replication port, and is TLS on or off on both sides?", ErrCorrupt)
	}
	if b[4] != protocolVersion {
		return fmt.Errorf("replication protocol version %d, this program speaks %d", b[4], protocolVersion)
	}
	return nil
}

// connectTo is the connector's part.
func (s secret) connectTo(c io.ReadWriter) error {
	mine, err := preamble()
	if err != nil {
		return err
	}
	if _, err := c.Write(mine); err != nil {
		return err
	}
	var theirs [preambleBytes + proofBytes]byte
	if _, err := io.ReadFull(c, theirs[:preambleBytes]); err != nil {
		return err
	}
	if err := checkPreamble(theirs[:]); err != nil {
		return err
	}
	if _, err := io.ReadFull(c, theirs[preambleBytes:]); err != nil {
		return err
	}
	connector, listener := mine[5:], theirs[5:preambleBytes]
	if !hmac.Equal(theirs[preambleBytes:], s.prove(listenerSide, connector, listener)) {
		return ErrUnauthenticated
	}
	_, err = c.Write(s.prove(connectorSide, connector, listener))
	return err
}

// accept is the listener's part.
func (s secret) accept(c io.ReadWriter) error {
	var theirs [preambleBytes]byte
	if _, err := io.ReadFull(c, theirs[:]); err != nil {
		return err
	}
	if err := checkPreamble(theirs[:]); err != nil {
		return err
	}
	mine, err := preamble()
	if err != nil {
		return err
	}
	connector, listener := theirs[5:], mine[5:]
	if _, err := c.Write(append(mine, s.prove(listenerSide, connector, listener)...)); err != nil {
		return err
	}
	var proof [proofBytes]byte
	if _, err := io.ReadFull(c, proof[:]); err != nil {
		return err
	}
	if !hmac.Equal(proof[:], s.prove(connectorSide, connector, listener)) {
		return ErrUnauthenticated
	}
	return nil
}

// handshakeTime bounds everything up to the listener's Hello.
const handshakeTime = 5 * time.Second
