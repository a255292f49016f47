// Package iouring drives one Linux io_uring: reads, writes and syncs of files,
// many in flight at once, without a goroutine and without an allocation per
// operation. It knows nothing of logs, messages or any other part of Apogee.
//
// # Layout
//
//	        owner goroutine                                 other goroutines
//	  Write, SyncData, …          Wait                            Wake
//	        │                      ▲                                │
//	        ▼                      │                                ▼
//	   slot table ◄──────────── settle                          eventfd
//	        │                      ▲                                │
//	        ▼                      │                                │
//	 ┌ submission queue ┐   ┌ completion queue ┐                    │
//	 │ 64-byte entries  │   │ 16-byte entries  │  shared memory     │
//	 └──────┬───────────┘   └──────▲───────────┘                    │
//	────────┼──────────────────────┼────────────────────────────────┼──────
//	        ▼                      │                                ▼
//	      enter ──► kernel ──► file, device ◄── one read of the eventfd
//
// An operation first takes a slot of a fixed table. The slot holds the buffer,
// the file and everything else the kernel may look at; it is freed when the
// kernel has completed the operation. user_data carries the slot's number and
// generation, never a pointer:
//
//	bit 63        the ring's own operation: no slot
//	bits 62..32   generation of the slot
//	bits 31..0    number of the slot
//
// # Ownership
//
// One goroutine owns a Ring and calls every method but Wake itself. With
// OwnerThread it calls runtime.LockOSThread before New and stays locked until
// Close has returned: the kernel ties the ring to the thread that made it
// (SINGLE_ISSUER) and delivers completions only while that thread is inside Wait
// (DEFER_TASKRUN). Calls from another thread fail with ErrNotOwner. With
// OwnerGoroutine the ring has neither flag, and the goroutine may move between
// threads. In both cases a thread that dies takes the operations that it handed
// over with it: the kernel cancels them. Go ends a thread only when a goroutine
// ends that is locked to it.
//
// A buffer belongs to the kernel from the call that queues it until its
// completion has come out of Wait. Nobody may change it meanwhile, nor read it
// if it is being read into. The ring keeps Go memory reachable that long; who
// passes memory from outside the Go heap must not unmap it earlier. The same
// holds for files: FileOf keeps the os.File open, Descriptor can't.
//
// # What the kernel promises, and what it doesn't
//
//   - Operations run in any order and complete in any order, also on one file,
//     unless they are linked.
//   - SyncData covers the writes that had completed before it was submitted.
//     A write that is still in flight may or may not be covered.
//   - Link holds back the operation queued next until this one has succeeded in
//     full. When it fails or moves fewer bytes, the rest of its chain completes
//     with ECANCELED. A chain is handed over in one piece.
//   - A write may be short. Its completion tells how far it came; with Whole the
//     ring writes the rest itself.
//   - Cancel asks. The canceled operation still completes, canceled or not.
//   - After a failed sync the state of the file is unknown; a second sync that
//     succeeds proves nothing.
//
// Two features are left out on purpose. A drained operation (IOSQE_IO_DRAIN)
// together with DEFER_TASKRUN and a wait for several completions never returns
// on Linux 6.18. Kernel-side polling (SQPOLL) burns a core.
//
// # Degradation
//
// New needs Linux 5.11. It asks for SINGLE_ISSUER, DEFER_TASKRUN and SUBMIT_ALL
// and gives up one after the other when the kernel refuses; the owner notices
// nothing. Where RLIMIT_MEMLOCK forbids registered buffers, WriteFixed and
// ReadFixed do plain writes and reads. Report says what is in use and why.
// Where there is no io_uring at all, Probe and New return an error that wraps
// ErrUnavailable and says why in one sentence; on other systems than Linux
// Probe does so, and Ring doesn't exist.
package iouring
