package event

import (
	"encoding/binary"
	"fmt"
)

const (
	// AttributesMax bounds the attributes of one topic or group.
	AttributesMax = 256
	// AttributeBytesMax bounds one attribute's value.
	AttributeBytesMax = 64 << 10

	// configBytesMax bounds an encoded configuration.
	configBytesMax = 1 << 20
	// attributeBytesMin is the least an encoded attribute takes: two lengths
	// and a key.
	attributeBytesMin = 3
)

// Attribute is one named property of a topic or a group. The engine stores it;
// what it means is known to the broker alone.
type Attribute struct {
	Key, Value string
}

// validateAttributes reports what is wrong with the attributes of owner, whose
// other fields take fixedBytes at most.
func validateAttributes(owner string, fixedBytes int, attributes []Attribute) error {
	if len(attributes) > AttributesMax {
		return fmt.Errorf("encode %s: %d attributes, at most %d are allowed", owner, len(attributes), AttributesMax)
	}
	size := fixedBytes
	for i, a := range attributes {
		if err := checkName("attribute key", a.Key); err != nil {
			return fmt.Errorf("encode %s: %w", owner, err)
		}
		if i > 0 && attributes[i-1].Key >= a.Key {
			return fmt.Errorf("encode %s: attribute %q comes after %q: sort them by key, each once", owner, a.Key, attributes[i-1].Key)
		}
		if len(a.Value) > AttributeBytesMax {
			return fmt.Errorf("encode %s: attribute %q has %d bytes, at most %d are allowed", owner, a.Key, len(a.Value), AttributeBytesMax)
		}
		size += 8 + len(a.Key) + len(a.Value)
	}
	if size > configBytesMax {
		return fmt.Errorf("encode %s: about %d bytes, at most %d are allowed", owner, size, configBytesMax)
	}
	return nil
}

// appendAttributes appends the number of attributes, then key and value of each.
func appendAttributes(dst []byte, attributes []Attribute) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(attributes)))
	for _, a := range attributes {
		dst = appendText(dst, a.Key)
		dst = appendText(dst, a.Value)
	}
	return dst
}

// attributes reads what appendAttributes wrote.
func (c *cursor) attributes() []Attribute {
	n := c.count("number of attributes", attributeBytesMin)
	if n > AttributesMax {
		c.fail("%d attributes, at most %d are allowed", n, AttributesMax)
	}
	if n == 0 || c.err != nil {
		return nil
	}
	attributes := make([]Attribute, n)
	for i := range attributes {
		attributes[i] = Attribute{
			Key:   c.text("attribute key", NameBytesMax),
			Value: c.text("attribute value", AttributeBytesMax),
		}
	}
	return attributes
}
