// Package message shows RocketMQ's records to people: properties, hosts, times,
// and the body, decompressed.
//
// A body that its flag calls compressed is shown decompressed (zlib, zstd, LZ4
// frames), up to 16 MiB, so that a small body made for that can't take all
// memory. A body that is not what its flag says is shown as stored, with the
// problem. Text that goes to a terminal is quoted where it isn't plain.
package message
