package access

import (
	"fmt"

	"github.com/apogeemq/apogee/server/remoting"
)

// SignatureBytes is the length of each signature.
const SignatureBytes = len(work{}.text)

// FrameSigner signs requests that are encoded already, without allocating. It
// is not safe for concurrent use.
type FrameSigner struct {
	work    *work
	scratch []byte
	decoded remoting.Command
}

// NewFrameSigner makes one for an account's secret key.
func (c Credentials) NewFrameSigner() *FrameSigner { return &FrameSigner{work: newWork(c.SecretKey)} }

// Sign writes a frame's signature into it, SignatureBytes long, at the offset
// at. The frame has its AccessKey, and SignatureBytes of any characters that
// need no escape as its Signature.
func (s *FrameSigner) Sign(frame []byte, at int) error {
	s.scratch = append(s.scratch[:0], frame...)
	if err := s.decoded.Decode(s.scratch); err != nil {
		return fmt.Errorf("sign a request: %w", err)
	}
	s.work.sign(&s.decoded, fieldSignature, fieldSignature)
	copy(frame[at:at+SignatureBytes], s.work.text[:])
	return nil
}
