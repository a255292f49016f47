// Package faultdisk wraps a disk.Disk and breaks chosen operations: errors,
// latency, short transfers and operations that hang.
//
// What breaks is said by rules, one per line or separated by semicolons; text
// from # to the end of the line is a comment.
//
//	operations:paths:count=action+action
//
//	sync:*.log:3=EIO             the third sync of a *.log file fails
//	write:*.seg:5..=ENOSPC       every write from the fifth on fails
//	read:*.seg:*=delay(20ms)     every read takes 20 ms longer
//	write|sync:*:2..4=delay(1s)+EIO
//	write:*.seg:1=short(512)     512 bytes arrive, then the write fails
//	sync:*:*=hang                syncs hang until Release
//
// Operations are open, list, mkdir, rename, remove, syncdir, free, lock, read,
// write, sync, allocate, truncate and size, several of them joined by |, or *
// for all. Queued operations count where they belong: Write and WriteDurable
// are writes, SyncData is a sync.
//
// Paths is a pattern of path.Match. Without a slash it is compared with the
// last part of a name, so that * is every file; with a slash with all of it. A
// file that is open goes by the name it has now, a rename by either of its
// names, and free by ".".
//
// Count is * for every match, n for the n-th, n.. from the n-th on, and n..m
// for the n-th to the m-th. Each rule counts its own matches from 1.
//
// Actions are done in order, and those of an earlier rule before those of a
// later one, up to the first that fails. Errors are EIO, ENOSPC, EDQUOT, EROFS,
// EINVAL, EEXIST, ENOENT, EBUSY, EINTR and ETIMEDOUT; where package disk has an
// error of its own for one of these, errors.Is finds that too. delay(d) waits,
// hang waits for Release; both hold the operation back before it reaches the
// disk.
// short(n) lets the first n bytes of a read or write through (whole blocks
// with direct I/O) and then fails with io.ErrShortWrite or
// io.ErrUnexpectedEOF.
package faultdisk
