package indexfile

import "math/bits"

const (
	lineBytes   = 64
	keysPerLine = 51 // about 10 bits a key: less than 2 % of absent hashes pass
	hashBits    = 6

	bitFactor = 0x9E3779B97F4A7C15
)

// filterLines is how many lines a filter over that many keys has.
func filterLines(keys int) uint32 { return uint32((keys + keysPerLine - 1) / keysPerLine) }

// place returns the line of a hash and the numbers of its bits in the line.
// Lines follow the order of hashes, in which a file's keys are written: so
// filling the filter walks through memory once.
func place(hash uint64, lines uint32) (line uint32, bitNumbers [hashBits]uint16) {
	high, _ := bits.Mul64(hash, uint64(lines))
	numbers := hash * bitFactor
	for i := range bitNumbers {
		bitNumbers[i] = uint16(numbers & 511)
		numbers >>= 9
	}
	return uint32(high), bitNumbers
}

// setHash sets the bits of a hash in a filter.
func setHash(filter []byte, hash uint64) {
	line, numbers := place(hash, uint32(len(filter)/lineBytes))
	for _, n := range numbers {
		filter[int(line)*lineBytes+int(n/8)] |= 1 << (n % 8)
	}
}

// lineHas reports whether all bits are set in a line.
func lineHas(line []byte, numbers [hashBits]uint16) bool {
	for _, n := range numbers {
		if line[n/8]&(1<<(n%8)) == 0 {
			return false
		}
	}
	return true
}
