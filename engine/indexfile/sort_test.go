package indexfile

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestKeysSortByHashThenPosition(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	hashes := map[string]func() uint64{
		"even":              rng.Uint64,
		"few":               func() uint64 { return rng.Uint64N(3) << 60 },
		"one high part":     func() uint64 { return 7<<60 | rng.Uint64N(1000) },
		"the ends of range": func() uint64 { return -rng.Uint64N(2) },
	}
	for name, hash := range hashes {
		for _, count := range []int{0, 1, 255, 256, 5000, 300_000} {
			keys := make([]Key, count)
			for i := range keys {
				keys[i] = Key{Hash: hash(), Position: rng.Uint32()}
			}
			want := slices.Clone(keys)
			slices.SortFunc(want, compareKeys)
			if !slices.Equal(SortKeys(keys), want) {
				t.Errorf("%d keys, hashes %s: out of order", count, name)
			}
		}
	}
}

func BenchmarkSortKeys(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	keys := make([]Key, 200_000)
	for i := range keys {
		keys[i] = Key{Hash: rng.Uint64(), Position: uint32(i)}
	}
	for b.Loop() {
		SortKeys(slices.Clone(keys))
	}
}
