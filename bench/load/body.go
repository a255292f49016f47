package load

import (
	"encoding/binary"
	"math/rand/v2"
)

const (
	uniqueKeyBytes = 32 // hexadecimal digits, as the Java client makes them
	keyDigits      = 16 // the last ones, counted up per message
	// keyPlaceholder stands in an encoded request where a key goes.
	keyPlaceholder = "A9F0C0DEA9F0C0DE0000000000000000"
	// bornPlaceholder stands where the born time goes: 13 digits of ms.
	bornPlaceholder = "1111111111111"

	propertyEnd  = "\x02"
	propertyMid  = "\x01"
	fixedSubHead = 5 * 4 // total, magic, CRC, flag, body length
)

// properties is the property string of every message: what a Java producer
// sends for a message without tag and keys.
const properties = "UNIQ_KEY" + propertyMid + keyPlaceholder + propertyEnd + "WAIT" + propertyMid + "true" + propertyEnd

// text makes a body of n printable bytes, the same in every run.
func text(n int) []byte {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return b
}

// batchBody encodes count messages of size bytes the way SEND_BATCH_MESSAGE
// wants them, and returns where each one's unique key stands.
func batchBody(count, size int) (body []byte, keys []int) {
	be := binary.BigEndian
	content := text(size)
	const uniqueAt = len("UNIQ_KEY" + propertyMid)
	total := fixedSubHead + size + 2 + len(properties)
	for range count {
		body = be.AppendUint32(body, uint32(total))
		body = append(body, make([]byte, 3*4)...) // magic and CRC are ignored, flag is 0
		body = be.AppendUint32(body, uint32(size))
		body = append(body, content...)
		body = be.AppendUint16(body, uint16(len(properties)))
		keys = append(keys, len(body)+uniqueAt)
		body = append(body, properties...)
	}
	return body, keys
}
