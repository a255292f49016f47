package record

import (
	"encoding/binary"
	"fmt"
)

// BatchItem is one message of a batch that a producer sent in one request. Its
// slices alias the request's body.
type BatchItem struct {
	Born       int64 // Unix milliseconds; only in a gathered batch
	Flag       int32
	Body       []byte
	Properties []byte
}

// FieldGathered is a header field of a batch that somebody has put together of
// messages that were sent one by one: each has its own time of birth, and is
// stored as if it had come alone.
const FieldGathered = "APOGEE_GATHERED"

// batchItemBytesMin: size, magic, checksum, flag, and two empty fields with
// their lengths.
const batchItemBytesMin = 4 + 4 + 4 + 4 + 4 + 2

// SplitBatch cuts the first message off the body of a batch:
//
//	4    size of this message, this field included
//	8    magic and checksum, which nobody looks at; in a gathered batch, the time of birth
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
	born, flag := binary.BigEndian.Uint64(item[4:]), binary.BigEndian.Uint32(item[12:])
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
	return BatchItem{Born: int64(born), Flag: int32(flag), Body: body, Properties: properties}, rest, nil
}

// AppendBatch appends a message in the layout that SplitBatch reads. The caller
// has checked that the properties have at most PropertiesBytesMax.
func AppendBatch(dst []byte, item BatchItem) []byte {
	be := binary.BigEndian
	dst = be.AppendUint32(dst, uint32(batchItemBytesMin+len(item.Body)+len(item.Properties)))
	dst = be.AppendUint64(dst, uint64(item.Born))
	dst = be.AppendUint32(dst, uint32(item.Flag))
	dst = be.AppendUint32(dst, uint32(len(item.Body)))
	dst = append(dst, item.Body...)
	dst = be.AppendUint16(dst, uint16(len(item.Properties)))
	return append(dst, item.Properties...)
}
