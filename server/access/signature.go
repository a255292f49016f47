package access

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/subtle"
	"encoding/base64"
	"hash"
	"slices"
	"sync"

	"github.com/apogeemq/apogee/server/remoting"
)

// Names of header fields.
const (
	fieldAccessKey = "AccessKey"
	fieldSignature = "Signature"
	// fieldUniqueKeyQuery is added to QUERY_MESSAGE after clients up to
	// unsignedQueryVersion have signed it.
	fieldUniqueKeyQuery  = "_UNIQUE_KEY_QUERY"
	unsignedQueryVersion = 399 // V4_9_3
)

// signer computes signatures with one secret key.
type signer struct {
	pool sync.Pool // of *work
}

// work is what one signature needs.
type work struct {
	mac    hash.Hash
	fields []remoting.Field
	sum    [sha1.Size]byte
	text   [(sha1.Size + 2) / 3 * 4]byte
}

func newSigner(secret string) *signer {
	s := &signer{}
	s.pool.New = func() any { return newWork(secret) }
	return s
}

func newWork(secret string) *work { return &work{mac: hmac.New(sha1.New, []byte(secret))} }

// fieldsKept bounds the field tables that are kept between signatures.
const fieldsKept = 64

// signs reports whether got is the signature of a request. It takes as long for
// each wrong one.
func (s *signer) signs(cmd *remoting.Command, got []byte) bool {
	w := s.pool.Get().(*work)
	defer s.pool.Put(w)
	if w.matches(cmd, got, fieldSignature, fieldSignature) {
		return true
	}
	_, queries := cmd.Get(fieldUniqueKeyQuery)
	return queries && cmd.Version <= unsignedQueryVersion && w.matches(cmd, got, fieldSignature, fieldUniqueKeyQuery)
}

// matches compares with the signature over all fields but two.
func (w *work) matches(cmd *remoting.Command, got []byte, without, without2 string) bool {
	unique := w.sign(cmd, without, without2)
	return subtle.ConstantTimeCompare(w.text[:], got) == 1 && unique
}

// sign computes the signature over all fields but two, and reports whether
// each has one value.
func (w *work) sign(cmd *remoting.Command, without, without2 string) (unique bool) {
	w.fields = w.fields[:0]
	for _, f := range cmd.Fields {
		if string(f.Key) != without && string(f.Key) != without2 {
			w.fields = append(w.fields, f)
		}
	}
	slices.SortStableFunc(w.fields, func(a, b remoting.Field) int { return bytes.Compare(a.Key, b.Key) })
	unique = w.write(cmd.Body)
	base64.StdEncoding.Encode(w.text[:], w.mac.Sum(w.sum[:0]))
	clear(w.fields)
	if cap(w.fields) > fieldsKept {
		w.fields = nil
	}
	return unique
}

// write writes the content and reports whether each field has one value. Java's
// clients with binary headers send the fields of some requests twice.
func (w *work) write(body []byte) (unique bool) {
	unique = true
	w.mac.Reset()
	for i, f := range w.fields {
		if i > 0 && bytes.Equal(w.fields[i-1].Key, f.Key) {
			unique = unique && bytes.Equal(w.fields[i-1].Value, f.Value)
			continue
		}
		w.mac.Write(f.Value)
	}
	w.mac.Write(body)
	return unique
}

// Credentials are what a client signs with.
type Credentials struct {
	AccessKey string
	SecretKey string
}

// Sign returns a copy of a request that is signed.
func (c Credentials) Sign(r *remoting.Request) *remoting.Request {
	signed := *r
	signed.Header = append(slices.Clone(r.Header), remoting.TextField{Key: fieldAccessKey, Value: c.AccessKey})
	sorted := slices.Clone(signed.Header)
	slices.SortStableFunc(sorted, func(a, b remoting.TextField) int { return bytes.Compare([]byte(a.Key), []byte(b.Key)) })
	mac := hmac.New(sha1.New, []byte(c.SecretKey))
	for _, f := range sorted {
		mac.Write([]byte(f.Value))
	}
	mac.Write(r.Body)
	signed.Set(fieldSignature, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return &signed
}
