package transport

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/raft"
)

const (
	idBytesMax            = 255
	configurationBytesMax = 1 << 20
	// entryOverheadBytes is what an entry has beside its data.
	entryOverheadBytes = 8 + 8 + 1 + 8 + 4
	// entriesMax bounds the entries of a message.
	entriesMax = 4096
	// snapshotBytesMax bounds a snapshot.
	snapshotBytesMax = 1 << 32
)

func appendHeader(b []byte, h raft.RPCHeader) []byte {
	b = append(b, byte(h.ProtocolVersion))
	b = appendBytes(b, h.ID)
	return appendBytes(b, h.Addr)
}

func decodeHeader(d *decoder) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersion(d.uint8()), ID: clone(d.bytes(idBytesMax)), Addr: clone(d.bytes(idBytesMax))}
}

// clone copies what must outlive the buffer of its frame.
func clone(b []byte) []byte { return append([]byte(nil), b...) }

// appendAppendHead appends all of an AppendEntriesRequest but its entries.
func appendAppendHead(b []byte, r *raft.AppendEntriesRequest) []byte {
	b = appendHeader(b, r.RPCHeader)
	return appendUint64s(b, r.Term, r.PrevLogEntry, r.PrevLogTerm, r.LeaderCommitIndex)
}

// appendEntryHead appends an entry up to its data.
func appendEntryHead(b []byte, e *raft.Log, dataBytes int) []byte {
	b = appendUint64s(b, e.Index, e.Term)
	b = append(b, byte(e.Type))
	b = binary.LittleEndian.AppendUint64(b, uint64(millis(e.AppendedAt)))
	return binary.LittleEndian.AppendUint32(b, uint32(dataBytes))
}

// noTime stands for the time of an entry that has none.
const noTime = math.MinInt64

func millis(t time.Time) int64 {
	if t.IsZero() {
		return noTime
	}
	return t.UnixMilli()
}

func timeOf(millis int64) time.Time {
	if millis == noTime {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

// decodeAppend reads an AppendEntriesRequest. The data of its entries is part
// of the body.
func decodeAppend(d *decoder) *raft.AppendEntriesRequest {
	r := &raft.AppendEntriesRequest{RPCHeader: decodeHeader(d)}
	r.Term, r.PrevLogEntry, r.PrevLogTerm, r.LeaderCommitIndex = d.uint64(), d.uint64(), d.uint64(), d.uint64()
	n := d.uint32()
	if n > entriesMax || int(n)*entryOverheadBytes > len(d.left) {
		d.fail("%d entries in %d bytes; at most %d are allowed", n, len(d.left), entriesMax)
		return r
	}
	if n > 0 {
		logs := make([]raft.Log, n)
		r.Entries = make([]*raft.Log, n)
		for i := range logs {
			decodeEntry(d, &logs[i])
			r.Entries[i] = &logs[i]
		}
	}
	return r
}

func decodeEntry(d *decoder, e *raft.Log) {
	e.Index, e.Term, e.Type = d.uint64(), d.uint64(), raft.LogType(d.uint8())
	e.AppendedAt = timeOf(int64(d.uint64()))
	e.Data = d.bytes(math.MaxInt32)
}

func isHeartbeat(r *raft.AppendEntriesRequest) bool {
	return r.Term != 0 && len(r.Addr) > 0 && r.PrevLogEntry == 0 && r.PrevLogTerm == 0 && len(r.Entries) == 0 && r.LeaderCommitIndex == 0
}

func appendVote(b []byte, r *raft.RequestVoteRequest) []byte {
	b = appendUint64s(appendHeader(b, r.RPCHeader), r.Term, r.LastLogIndex, r.LastLogTerm)
	return appendFlag(b, r.LeadershipTransfer)
}

func decodeVote(d *decoder) *raft.RequestVoteRequest {
	r := &raft.RequestVoteRequest{RPCHeader: decodeHeader(d)}
	r.Term, r.LastLogIndex, r.LastLogTerm, r.LeadershipTransfer = d.uint64(), d.uint64(), d.uint64(), d.flag()
	return r
}

func appendPreVote(b []byte, r *raft.RequestPreVoteRequest) []byte {
	return appendUint64s(appendHeader(b, r.RPCHeader), r.Term, r.LastLogIndex, r.LastLogTerm)
}

func decodePreVote(d *decoder) *raft.RequestPreVoteRequest {
	return &raft.RequestPreVoteRequest{RPCHeader: decodeHeader(d), Term: d.uint64(), LastLogIndex: d.uint64(), LastLogTerm: d.uint64()}
}

func appendSnapshot(b []byte, r *raft.InstallSnapshotRequest) []byte {
	b = appendHeader(b, r.RPCHeader)
	b = append(b, byte(r.SnapshotVersion))
	b = appendUint64s(b, r.Term, r.LastLogIndex, r.LastLogTerm, r.ConfigurationIndex, uint64(r.Size))
	return appendBytes(b, r.Configuration)
}

func decodeSnapshot(d *decoder) *raft.InstallSnapshotRequest {
	r := &raft.InstallSnapshotRequest{RPCHeader: decodeHeader(d)}
	r.SnapshotVersion = raft.SnapshotVersion(d.uint8())
	r.Term, r.LastLogIndex, r.LastLogTerm, r.ConfigurationIndex = d.uint64(), d.uint64(), d.uint64(), d.uint64()
	size := d.uint64()
	if size > snapshotBytesMax {
		d.fail("a snapshot of %d bytes, at most %d are allowed", size, int64(snapshotBytesMax))
	}
	r.Size = int64(size)
	r.Configuration = clone(d.bytes(configurationBytesMax))
	return r
}

// appendResponse appends what one of Raft's handlers answered.
func appendResponse(b []byte, response any, err error) []byte {
	b = appendBytes(b, errorText(err))
	if err != nil {
		return b
	}
	switch r := response.(type) {
	case *raft.AppendEntriesResponse:
		b = appendUint64s(appendHeader(b, r.RPCHeader), r.Term, r.LastLog)
		b = appendFlag(appendFlag(b, r.Success), r.NoRetryBackoff)
	case *raft.RequestVoteResponse:
		b = appendFlag(appendUint64s(appendHeader(b, r.RPCHeader), r.Term), r.Granted)
	case *raft.RequestPreVoteResponse:
		b = appendFlag(appendUint64s(appendHeader(b, r.RPCHeader), r.Term), r.Granted)
	case *raft.InstallSnapshotResponse:
		b = appendFlag(appendUint64s(appendHeader(b, r.RPCHeader), r.Term), r.Success)
	case *raft.TimeoutNowResponse:
		b = appendHeader(b, r.RPCHeader)
	default:
		panic(fmt.Sprintf("BUG: transport: Raft answers with a %T", response))
	}
	return b
}

// decodeResponse reads what the other side's Raft answered into response.
func decodeResponse(d *decoder, response any) error {
	if text := d.text(errorBytesMax); text != "" {
		if err := d.end(); err != nil {
			return err
		}
		return &RemoteError{Text: text}
	}
	switch r := response.(type) {
	case *raft.AppendEntriesResponse:
		*r = raft.AppendEntriesResponse{RPCHeader: decodeHeader(d), Term: d.uint64(), LastLog: d.uint64(), Success: d.flag(), NoRetryBackoff: d.flag()}
	case *raft.RequestVoteResponse:
		*r = raft.RequestVoteResponse{RPCHeader: decodeHeader(d), Term: d.uint64(), Granted: d.flag()}
	case *raft.RequestPreVoteResponse:
		*r = raft.RequestPreVoteResponse{RPCHeader: decodeHeader(d), Term: d.uint64(), Granted: d.flag()}
	case *raft.InstallSnapshotResponse:
		*r = raft.InstallSnapshotResponse{RPCHeader: decodeHeader(d), Term: d.uint64(), Success: d.flag()}
	case *raft.TimeoutNowResponse:
		*r = raft.TimeoutNowResponse{RPCHeader: decodeHeader(d)}
	default:
		panic(fmt.Sprintf("BUG: transport: a %T is expected", response))
	}
	return d.end()
}

// RemoteError is what the Raft of another node answered instead of a response.
// The connection is good.
type RemoteError struct{ Text string }

// Error implements error.
func (e *RemoteError) Error() string { return "the peer answers: " + e.Text }
