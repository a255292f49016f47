package event_test

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/engine/event"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// payload is how one kind of payload is encoded.
type payload[T any] struct {
	append   func([]byte, T) []byte
	decode   func([]byte) (T, error)
	validate func(T) error
	oneForm  bool // a value has one encoding
}

// comesBack fails the test unless a value is allowed and decodes to itself.
func (p payload[T]) comesBack(t fataler, want T) {
	t.Helper()
	if err := p.validate(want); err != nil {
		t.Fatalf("%+v: %v", want, err)
	}
	got, err := p.decode(p.append([]byte("before"), want)[len("before"):])
	if err != nil {
		t.Fatalf("%+v: %v", want, err)
	}
	if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%s", diff)
	}
}

// refusesOthers fails the test unless what is shorter or longer than an encoded
// value, or of another version, is refused.
func (p payload[T]) refusesOthers(t fataler, value T) {
	t.Helper()
	good := p.append(nil, value)
	for n := range good {
		if _, err := p.decode(good[:n]); !errors.Is(err, event.ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v, expected ErrCorrupt", n, len(good), err)
		}
	}
	if _, err := p.decode(append(bytes.Clone(good), 0)); !errors.Is(err, event.ErrCorrupt) {
		t.Fatalf("one byte more: %v, expected ErrCorrupt", err)
	}
	good[0] = 2
	if _, err := p.decode(good); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Fatalf("got %v, expected an error about version 2", err)
	}
}

// refuses fails the test unless a value is neither allowed nor decoded.
func (p payload[T]) refuses(t fataler, bad T) {
	t.Helper()
	if p.validate(bad) == nil {
		t.Fatalf("%+v passes", bad)
	}
	if _, err := p.decode(p.append(nil, bad)); !errors.Is(err, event.ErrCorrupt) {
		t.Fatalf("%+v decodes: %v", bad, err)
	}
}

// check fails the test unless any bytes are corrupt or those of a value.
func (p payload[T]) check(t fataler, b []byte) {
	t.Helper()
	value, err := p.decode(b)
	if err != nil {
		if !errors.Is(err, event.ErrCorrupt) {
			t.Fatalf("%x: %v is no ErrCorrupt", b, err)
		}
		return
	}
	p.comesBack(t, value)
	if again := p.append(nil, value); len(again) > len(b) || p.oneForm && !bytes.Equal(again, b) {
		t.Fatalf("%x decodes to %+v, which encodes to %x", b, value, again)
	}
}

// attributes are those of a configuration: sorted, each key once.
func attributes() *rapid.Generator[[]event.Attribute] {
	one := rapid.Custom(func(t *rapid.T) event.Attribute {
		return event.Attribute{Key: rapid.StringN(1, 20, 60).Draw(t, "key"), Value: rapid.String().Draw(t, "value")}
	})
	return rapid.Custom(func(t *rapid.T) []event.Attribute {
		all := rapid.SliceOfDistinct(one, func(a event.Attribute) string { return a.Key }).Draw(t, "attributes")
		slices.SortFunc(all, func(a, b event.Attribute) int { return cmp.Compare(a.Key, b.Key) })
		return all
	})
}
