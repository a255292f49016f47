package record

import "github.com/apogeemq/apogee/engine/event"

// KeysMax is the number of index keys of one message that are indexed besides
// its unique key. A trace has the keys of the messages that it is about: clients
// put up to 20 together.
const KeysMax = 128

// AppendKeyHashes appends the hashes under which a message is found: its unique
// key and the first KeysMax words of its keys.
func AppendKeyHashes(dst []uint64, id event.TopicID, unique, words []byte) []uint64 {
	if len(unique) > 0 {
		dst = append(dst, event.KeyHash(id, unique))
	}
	for n := 0; n < KeysMax && len(words) > 0; {
		end := 0
		for end < len(words) && words[end] != ' ' {
			end++
		}
		if end > 0 {
			dst = append(dst, event.KeyHash(id, words[:end]))
			n++
		}
		words = words[min(end+1, len(words)):]
	}
	return dst
}
