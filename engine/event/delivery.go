package event

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Delivery says that a group's client was sent messages of a queue: a range of
// offsets, and when.
type Delivery struct {
	// Group that consumes, 1 to NameBytesMax bytes.
	Group string
	Queue Queue
	// Client that asked for the messages, NameBytesMax bytes at most.
	Client string
	// First is the offset of the first message, Next that after the last one.
	First, Next Offset
	// Messages of the range that were sent: fewer than it has where a filter
	// left some out.
	Messages uint64
	// Since is when the first was sent, Unix milliseconds; Span is by how many
	// milliseconds later the last was.
	Since int64
	Span  uint64
}

// deliveryBytesMin is the least an encoded delivery takes: nine numbers.
const deliveryBytesMin = 9

// DeliveryBlock is the number of offsets whose deliveries share a hash: see
// DeliveryHash.
const DeliveryBlock = 1024

// Blocks is the number of hashes under which a delivery is found.
func (d *Delivery) Blocks() int {
	return int((d.Next-1)/DeliveryBlock - d.First/DeliveryBlock + 1)
}

// AppendDeliveryHashes appends the hashes of a delivery.
func AppendDeliveryHashes(dst []uint64, d *Delivery) []uint64 {
	for at := d.First / DeliveryBlock; at <= (d.Next-1)/DeliveryBlock; at++ {
		dst = append(dst, DeliveryHash(d.Group, d.Queue, at*DeliveryBlock))
	}
	return dst
}

// ValidateDeliveries reports what the caller did wrong. Whoever proposes a
// KindDelivered event calls it first: a list that passes can be decoded again.
func ValidateDeliveries(deliveries []Delivery) error {
	for i := range deliveries {
		d := &deliveries[i]
		err := checkName("group name", d.Group)
		switch {
		case err != nil:
		case len(d.Client) > NameBytesMax:
			err = fmt.Errorf("client of %d bytes, at most %d are allowed", len(d.Client), NameBytesMax)
		case d.First < 0 || d.Next <= d.First:
			err = fmt.Errorf("offsets from %d to before %d, a range of 1 or more from 0 on is allowed", d.First, d.Next)
		case d.Messages == 0 || d.Messages > uint64(d.Next-d.First):
			err = fmt.Errorf("%d messages of a range of %d", d.Messages, d.Next-d.First)
		case d.Since < 0 || d.Span > math.MaxInt64-uint64(d.Since):
			err = fmt.Errorf("sent within %d ms from %d on", d.Span, d.Since)
		}
		if err != nil {
			return fmt.Errorf("encode delivery %d of group %.100q: %w", i, d.Group, err)
		}
	}
	return nil
}

// AppendDeliveries appends the payload of a KindDelivered event to dst: the
// deliveries, which ValidateDeliveries has passed, in the given order.
//
// Encoded: version byte 1, uvarint number of texts, the texts (groups and
// clients, each once, in order of first use), uvarint number of deliveries,
// then for each delivery nine uvarints: group text, topic, queue id, first
// offset, number of offsets, messages, client text, Unix milliseconds of the
// first message, milliseconds from then to the last. A text is a uvarint length
// and its bytes.
func AppendDeliveries(dst []byte, deliveries []Delivery) []byte {
	var t textTable
	for i := range deliveries {
		t.number(deliveries[i].Group)
		t.number(deliveries[i].Client)
	}
	dst = t.append(append(dst, payloadVersion))
	dst = binary.AppendUvarint(dst, uint64(len(deliveries)))
	for i := range deliveries {
		d := &deliveries[i]
		for _, n := range [...]uint64{t.number(d.Group), uint64(d.Queue.Topic), uint64(d.Queue.ID), uint64(d.First), uint64(d.Next - d.First),
			d.Messages, t.number(d.Client), uint64(d.Since), d.Span} {
			dst = binary.AppendUvarint(dst, n)
		}
	}
	return dst
}

// DecodeDeliveries decodes all of b. The result shares no memory with b. What
// it accepts also passes ValidateDeliveries. Errors match ErrCorrupt.
func DecodeDeliveries(b []byte) ([]Delivery, error) {
	r := readPayload("deliveries", b)
	texts := r.texts()
	deliveries := make([]Delivery, r.count("number of deliveries", deliveryBytesMin))
	if len(deliveries) > 0 && len(texts) == 0 {
		r.fail("%d deliveries without a text", len(deliveries))
	}
	for i := range deliveries {
		if r.err != nil {
			break
		}
		d, last := &deliveries[i], uint64(len(texts)-1)
		d.Group = texts[r.number("group text", last)]
		d.Queue = Queue{Topic: TopicID(r.number("topic", math.MaxUint32)), ID: uint32(r.number("queue id", math.MaxUint32))}
		d.First = Offset(r.number("first offset", math.MaxInt64))
		d.Next = d.First + Offset(r.number("number of offsets", uint64(math.MaxInt64-d.First)))
		d.Messages = r.number("messages", math.MaxUint64)
		d.Client = texts[r.number("client text", last)]
		d.Since = int64(r.number("time of the first", math.MaxInt64))
		d.Span = r.number("time to the last", math.MaxUint64)
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if err := ValidateDeliveries(deliveries); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return deliveries, nil
}
