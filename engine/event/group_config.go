package event

import "fmt"

// GroupConfigBytesMax bounds an encoded GroupConfig.
const GroupConfigBytesMax = configBytesMax

// GroupConfig is the payload of KindGroup: the whole configuration of one
// consumer group.
//
// Encoded: version byte 1, name, uvarint number of attributes, then key and
// value of each. A text is a uvarint length and its bytes.
type GroupConfig struct {
	// Name of the group, 1 to NameBytesMax bytes.
	Name string
	// Attributes in ascending order of their keys, every key once.
	Attributes []Attribute
}

// Validate reports what the caller did wrong. Whoever proposes a KindGroup
// event calls it first: a configuration that passes can be decoded again.
func (c GroupConfig) Validate() error {
	if err := checkName("group name", c.Name); err != nil {
		return fmt.Errorf("encode group configuration: %w", err)
	}
	return validateAttributes(fmt.Sprintf("group %q", c.Name), 32+len(c.Name), c.Attributes)
}

// AppendGroupConfig appends the encoded form of c, which Validate has passed,
// to dst. Equal configurations have equal bytes.
func AppendGroupConfig(dst []byte, c GroupConfig) []byte {
	dst = append(dst, payloadVersion)
	dst = appendText(dst, c.Name)
	return appendAttributes(dst, c.Attributes)
}

// DecodeGroupConfig decodes all of b. The result shares no memory with b.
// What it accepts also passes Validate. Errors match ErrCorrupt.
func DecodeGroupConfig(b []byte) (GroupConfig, error) {
	r := readPayload("group configuration", b)
	c := GroupConfig{Name: r.text("name", NameBytesMax)}
	c.Attributes = r.attributes()
	if err := r.end(); err != nil {
		return GroupConfig{}, err
	}
	if err := c.Validate(); err != nil {
		return GroupConfig{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return c, nil
}

// GroupDeletion is the payload of KindGroupDeleted.
//
// Encoded: version byte 1, name, one byte: 1 where the offsets go, else 0.
type GroupDeletion struct {
	// Name of the group, 1 to NameBytesMax bytes.
	Name string
	// Offsets says that the offsets of the group go with it. Else a group of
	// the same name that is created later goes on where this one was.
	Offsets bool
}

// Validate reports what the caller did wrong. Whoever proposes a
// KindGroupDeleted event calls it first.
func (d GroupDeletion) Validate() error {
	if err := checkName("group name", d.Name); err != nil {
		return fmt.Errorf("encode group deletion: %w", err)
	}
	return nil
}

// AppendGroupDeletion appends the encoded form of d, which Validate has
// passed, to dst.
func AppendGroupDeletion(dst []byte, d GroupDeletion) []byte {
	dst = append(dst, payloadVersion)
	dst = appendText(dst, d.Name)
	if d.Offsets {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// DecodeGroupDeletion decodes all of b. The result shares no memory with b.
// What it accepts also passes Validate. Errors match ErrCorrupt.
func DecodeGroupDeletion(b []byte) (GroupDeletion, error) {
	r := readPayload("group deletion", b)
	d := GroupDeletion{Name: r.text("name", NameBytesMax)}
	d.Offsets = r.number("offsets", 1) == 1
	if err := r.end(); err != nil {
		return GroupDeletion{}, err
	}
	if err := d.Validate(); err != nil {
		return GroupDeletion{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return d, nil
}
