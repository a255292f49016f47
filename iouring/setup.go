//go:build linux

package iouring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	abi "github.com/iceber/iouring-go/syscall"
	"golang.org/x/sys/unix"
)

// ladder lists the set-up flags that are tried, best first. Each rung is one
// that a released kernel accepted: 6.1, 6.0, 5.19, 5.18, 5.11.
var ladder = []Flag{
	SingleIssuer | DeferTaskRun | SubmitAll,
	SingleIssuer | CooperativeTaskRun | SubmitAll,
	CooperativeTaskRun | SubmitAll,
	SubmitAll,
	0,
}

// suits reports whether a ring of this owner can have these flags: some tie it
// to a thread, or let completions wait until the thread that asked for the
// operation enters the kernel.
func (f Flag) suits(owner Owner) bool {
	return owner == OwnerThread || f&(SingleIssuer|DeferTaskRun|CooperativeTaskRun) == 0
}

// featuresNeeded are what the ring can't do without; all are in Linux 5.11.
const featuresNeeded = SingleMap | NoDrop | SubmitStable | EnterArgument

// opcodesNeeded are what the methods of Ring can ask for.
var opcodesNeeded = []uint8{
	abi.IORING_OP_NOP, abi.IORING_OP_READ, abi.IORING_OP_WRITE, abi.IORING_OP_READ_FIXED,
	abi.IORING_OP_WRITE_FIXED, abi.IORING_OP_WRITEV, abi.IORING_OP_FSYNC,
	abi.IORING_OP_TIMEOUT, abi.IORING_OP_ASYNC_CANCEL,
}

// submissionQueue is the shared ring of entries that go to the kernel.
type submissionQueue struct {
	head    *uint32 // the kernel moves it
	tail    *uint32 // we move it
	mask    uint32
	entries []abi.SubmissionQueueEntry64
	slots   []uint32 // slot of each entry, or noSlot
	next    uint32   // where the next entry goes
	limit   uint32   // how many entries the owner may queue
}

// pending counts the entries that the kernel hasn't read yet.
func (q *submissionQueue) pending() uint32 { return q.next - atomic.LoadUint32(q.head) }

// completionQueue is the shared ring of results that come from the kernel.
type completionQueue struct {
	head    *uint32 // we move it
	tail    *uint32 // the kernel moves it
	mask    uint32
	entries []abi.CompletionQueueEvent16
}

// setUp makes the ring in the kernel and maps its queues.
func (r *Ring) setUp(submissions, completions uint32) error {
	parameters, err := r.create(submissions, completions)
	if err != nil {
		return err
	}
	r.features = Feature(parameters.Features)
	if missing := featuresNeeded &^ r.features; missing != 0 {
		return &unavailable{
			reason: "the kernel is older than Linux 5.11 and lacks " + missing.String(),
			cause:  unix.EOPNOTSUPP,
		}
	}
	if err := r.probeOperations(); err != nil {
		return err
	}
	return r.mapQueues(parameters)
}

// create climbs down the ladder until the kernel accepts.
func (r *Ring) create(submissions, completions uint32) (*abi.IOURingParams, error) {
	for _, flags := range ladder {
		if !flags.suits(r.owner) {
			continue
		}
		parameters := &abi.IOURingParams{
			Flags:     uint32(flags) | abi.IORING_SETUP_CQSIZE,
			CQEntries: completions,
		}
		descriptor, err := r.kernel.setup(submissions, parameters)
		if errors.Is(err, unix.EINVAL) {
			continue
		}
		if err != nil {
			return nil, refused(err, r.kernel.facts())
		}
		r.descriptor, r.flags = descriptor, flags
		return parameters, nil
	}
	return nil, &unavailable{
		reason: "the kernel refuses even the plainest ring; it is older than Linux 5.11",
		cause:  unix.EINVAL,
	}
}

// probeOperations makes sure that the kernel knows every operation of Ring.
func (r *Ring) probeOperations() error {
	var probe operationProbe
	err := r.kernel.register(r.descriptor, registerProbe, unsafe.Pointer(&probe), probeOperations)
	if err != nil {
		return refused(err, r.kernel.facts())
	}
	for _, opcode := range opcodesNeeded {
		if !probe.supports(opcode) {
			return &unavailable{
				reason: fmt.Sprintf("the kernel lacks operation %d", opcode),
				cause:  unix.EOPNOTSUPP,
			}
		}
	}
	return nil
}

// mapQueues maps both queues and the array of submission entries.
func (r *Ring) mapQueues(p *abi.IOURingParams) error {
	const protection, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	submissionEnd := uintptr(p.SQOffset.Array) + uintptr(p.SQEntries)*unsafe.Sizeof(uint32(0))
	completionEnd := uintptr(p.CQOffset.Cqes) + uintptr(p.CQEntries)*unsafe.Sizeof(abi.CompletionQueueEvent16{})
	var err error
	r.queueMemory, err = unix.Mmap(r.descriptor, int64(abi.IORING_OFF_SQ_RING),
		int(max(submissionEnd, completionEnd)), protection, flags)
	if err != nil {
		return fmt.Errorf("iouring: map the queues: %w", err)
	}
	entryBytes := unsafe.Sizeof(abi.SubmissionQueueEntry64{})
	r.entryMemory, err = unix.Mmap(r.descriptor, int64(abi.IORING_OFF_SQES),
		int(uintptr(p.SQEntries)*entryBytes), protection, flags)
	if err != nil {
		return fmt.Errorf("iouring: map the submission entries: %w", err)
	}
	word := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&r.queueMemory[offset])) }
	r.submissions = submissionQueue{
		head:    word(p.SQOffset.Head),
		tail:    word(p.SQOffset.Tail),
		mask:    *word(p.SQOffset.RingMask),
		entries: unsafe.Slice((*abi.SubmissionQueueEntry64)(unsafe.Pointer(&r.entryMemory[0])), p.SQEntries),
		slots:   make([]uint32, p.SQEntries),
		next:    *word(p.SQOffset.Tail),
	}
	// The kernel finds entries through an array of indexes. Ours never changes:
	// position i of the queue is entry i.
	indexes := unsafe.Slice(word(p.SQOffset.Array), p.SQEntries)
	for i := range indexes {
		indexes[i] = uint32(i)
	}
	r.completions = completionQueue{
		head: word(p.CQOffset.Head),
		tail: word(p.CQOffset.Tail),
		mask: *word(p.CQOffset.RingMask),
		entries: unsafe.Slice(
			(*abi.CompletionQueueEvent16)(unsafe.Pointer(&r.queueMemory[p.CQOffset.Cqes])), p.CQEntries),
	}
	return nil
}

// release gives mappings and descriptor back. Nothing may be in flight.
func (r *Ring) release() error {
	var failed error
	for _, memory := range []*[]byte{&r.queueMemory, &r.entryMemory} {
		if *memory != nil {
			failed = errors.Join(failed, unix.Munmap(*memory))
			*memory = nil
		}
	}
	if r.descriptor >= 0 {
		failed = errors.Join(failed, unix.Close(r.descriptor))
		r.descriptor = -1
	}
	return failed
}
