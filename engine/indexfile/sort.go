package indexfile

import (
	"cmp"
	"math/bits"
	"slices"
)

const (
	keysPerBucket    = 4  // on average; then a comparison sort of a bucket is nearly free
	bucketBitsMax    = 16 // a counter per bucket still fits the processor's second-level cache
	fewKeys          = 256
	insertionKeysMax = 24
)

// SortKeys returns keys in the order in which Builder.Key takes them. Hashes
// spread evenly, so one pass by their highest bits nearly sorts them; hashes
// that were made to collide cost a comparison sort of their bucket.
func SortKeys(keys []Key) []Key {
	if len(keys) < fewKeys {
		slices.SortFunc(keys, compareKeys)
		return keys
	}
	shift := 64 - min(bits.Len(uint(len(keys)/keysPerBucket)), bucketBitsMax)
	next := make([]uint32, 1<<(64-shift)+1)
	for _, k := range keys {
		next[k.Hash>>shift+1]++
	}
	for i := 1; i < len(next); i++ {
		next[i] += next[i-1]
	}
	out := make([]Key, len(keys))
	for _, k := range keys {
		bucket := k.Hash >> shift
		out[next[bucket]] = k
		next[bucket]++
	}
	// Each counter now is the end of its bucket.
	start := uint32(0)
	for _, end := range next[:len(next)-1] {
		sortBucket(out[start:end])
		start = end
	}
	return out
}

func sortBucket(keys []Key) {
	if len(keys) > insertionKeysMax {
		slices.SortFunc(keys, compareKeys)
		return
	}
	for i := 1; i < len(keys); i++ {
		for j := i; j > 0 && keys[j].before(keys[j-1]); j-- {
			keys[j], keys[j-1] = keys[j-1], keys[j]
		}
	}
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Hash, b.Hash), cmp.Compare(a.Position, b.Position))
}
