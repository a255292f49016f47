package load

import (
	"strings"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/server/access"
)

// signaturePlaceholder stands where the signature goes.
var signaturePlaceholder = strings.Repeat("5", access.SignatureBytes)

// signature signs the requests of one connection. The zero value signs none.
type signature struct{ signer *access.FrameSigner }

func (t *Target) signature() signature {
	if t.Self.Credentials.AccessKey == "" {
		return signature{}
	}
	return signature{t.Self.Credentials.NewFrameSigner()}
}

// encode encodes a request with the place for its signature, if it is to be
// signed, before all other fields: what changes length behind it doesn't move
// it.
func (t *Target) encode(r frame.Request, bodyBytes int) (h frame.Head, signatureAt int, err error) {
	key := t.Self.Credentials.AccessKey
	if key == "" {
		return frame.Encode(t.Serialization, r, bodyBytes), 0, nil
	}
	fields := append([]frame.Field{{Key: "Signature", Value: signaturePlaceholder}}, r.Fields...)
	r.Fields = append(fields, frame.Field{Key: "AccessKey", Value: key})
	h = frame.Encode(t.Serialization, r, bodyBytes)
	signatureAt, err = place(h.Bytes, signaturePlaceholder)
	return h, signatureAt, err
}

// put signs a complete request.
func (s *signature) put(request []byte, at int) {
	if s.signer == nil {
		return
	}
	if err := s.signer.Sign(request, at); err != nil {
		panic("BUG: a request is not encoded as it should be: " + err.Error())
	}
}
