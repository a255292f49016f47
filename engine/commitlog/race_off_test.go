//go:build !race

package commitlog

const seedShare = 1
