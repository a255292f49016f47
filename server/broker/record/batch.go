package record

import (
	"encoding/binary"
	"fmt"
)

// BatchItem is one message of a batch that a producer sent in one request. Its
// slices alias the request's body.
type BatchItem struct {
	Flag       int32
	Body       []byte
	Properties []byte
}

// batchItemBytesMin: size, magic, checksum, flag, and two empty fields with
// their lengths.
const batchItemBytesMin = 4 + 4 + 4 + 4 + 4 + 2

// SplitBatch cuts the first message off the body of a batch:
//
//	4    size of this message, this field included
//	4    magic, not looked at
//	4    checksum, not looked at
//	4    flag
//	4+n  body
//	2+n  properties
//
// An error wraps ErrCorrupt.
func SplitBatch(b []byte) (BatchItem, []byte, error) {
	if len(b) < batchItemBytesMin {
		return BatchItem{}, nil, fmt.Errorf("%w: batch: %d bytes left, a message has at least %d",
			ErrCorrupt, len(b), batchItemBytesMin)
	}
	size := uint64(binary.BigEndian.Uint32(b))
	if size < batchItemBytesMin || size > uint64(len(b)) {
		return BatchItem{}, nil, fmt.Errorf("%w: batch: size %d, with %d bytes left", ErrCorrupt, size, len(b))
	}
	item, rest := b[:size:size], b[size:]
	flag := binary.BigEndian.Uint32(item[12:])
	body, fields, err := cut(item[16:], 4, "batch: body")
	if err != nil {
		return BatchItem{}, nil, err
	}
	properties, after, err := cut(fields, 2, "batch: properties")
	if err != nil {
		return BatchItem{}, nil, err
	}
	if len(properties) > PropertiesBytesMax || len(after) != 0 {
		return BatchItem{}, nil, fmt.Errorf("%w: batch: properties of %d bytes with %d bytes after them",
			ErrCorrupt, len(properties), len(after))
	}
	return BatchItem{Flag: int32(flag), Body: body, Properties: properties}, rest, nil
}
