package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

var noDeadline time.Time

// bytesConn is a connection on which some bytes have arrived.
type bytesConn struct {
	net.Conn
	in *bytes.Reader
}

func (c bytesConn) Read(b []byte) (int, error)       { return c.in.Read(b) }
func (c bytesConn) SetReadDeadline(time.Time) error  { return nil }
func (c bytesConn) SetWriteDeadline(time.Time) error { return nil }
func (c bytesConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }

func frameOf(body []byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(body, castagnoli))
	return append(b, body...)
}

// FuzzFrames: whatever arrives becomes a request that can be sent again as it
// is, or an error.
func FuzzFrames(f *testing.F) {
	h := raft.RPCHeader{ProtocolVersion: 3, ID: []byte("id"), Addr: []byte("10.0.0.1:1")}
	a := &raft.AppendEntriesRequest{RPCHeader: h, Term: 4, PrevLogEntry: 9, PrevLogTerm: 3, LeaderCommitIndex: 8}
	c := &conn{}
	c.begin(kindAppend)
	c.out = binary.LittleEndian.AppendUint32(appendAppendHead(c.out, a), 1)
	c.out = append(appendEntryHead(c.out, &raft.Log{Index: 10, Term: 4, Type: 255}, 3), "abc"...)
	f.Add(frameOf(c.out[frameHeaderBytes:]))
	f.Add(frameOf(appendVote([]byte{byte(kindVote)}, &raft.RequestVoteRequest{RPCHeader: h, Term: 1})))
	f.Add(frameOf(appendPreVote([]byte{byte(kindPreVote)}, &raft.RequestPreVoteRequest{RPCHeader: h, Term: 1})))
	f.Add(frameOf(appendSnapshot([]byte{byte(kindSnapshot)}, &raft.InstallSnapshotRequest{RPCHeader: h, Term: 1, Size: 5, Configuration: []byte("c")})))
	f.Add(frameOf(appendHeader([]byte{byte(kindTimeoutNow)}, h)))
	f.Add(frameOf(Hello{Group: "g", Name: "n0", Address: "a:1"}.append([]byte{byte(kindHello)})))
	f.Fuzz(func(t *testing.T, wire []byte) {
		c := &conn{Conn: bytesConn{in: bytes.NewReader(wire)}, frameBytesMax: 1 << 20}
		body, err := c.receive(noDeadline)
		if err != nil {
			if !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
			return
		}
		if kind(body[0]) == kindHello {
			d := &decoder{left: body[1:]}
			if hello := decodeHello(d); d.end() == nil && !bytes.Equal(hello.append(nil), body[1:]) {
				t.Fatal("a hello changes when it is sent again")
			}
			return
		}
		rpc, err := (&Transport{}).decodeRequest(c, kind(body[0]), body[1:])
		if err == nil && !bytes.Equal(encodeAgain(rpc.Command), body[1:]) {
			t.Fatalf("%T changes when it is sent again", rpc.Command)
		}
	})
}

func encodeAgain(request any) []byte {
	switch r := request.(type) {
	case *raft.AppendEntriesRequest:
		b := binary.LittleEndian.AppendUint32(appendAppendHead(nil, r), uint32(len(r.Entries)))
		for _, e := range r.Entries {
			b = append(appendEntryHead(b, e, len(e.Data)), e.Data...)
		}
		return b
	case *raft.RequestVoteRequest:
		return appendVote(nil, r)
	case *raft.RequestPreVoteRequest:
		return appendPreVote(nil, r)
	case *raft.InstallSnapshotRequest:
		return appendSnapshot(nil, r)
	case *raft.TimeoutNowRequest:
		return appendHeader(nil, r.RPCHeader)
	}
	panic("BUG: another request")
}

// FuzzResponses: whatever arrives becomes a response that can be sent again as
// it is, or an error.
func FuzzResponses(f *testing.F) {
	responses := []any{
		&raft.AppendEntriesResponse{Term: 1, Success: true}, &raft.RequestVoteResponse{Term: 1, Granted: true},
		&raft.RequestPreVoteResponse{Term: 1}, &raft.InstallSnapshotResponse{Term: 3, Success: true}, &raft.TimeoutNowResponse{},
	}
	for i, r := range responses {
		f.Add(uint8(i), appendResponse(nil, r, nil))
		f.Add(uint8(i), appendResponse(nil, nil, errors.New("no")))
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		into := reflect.New(reflect.TypeOf(responses[int(which)%len(responses)]).Elem()).Interface()
		err := decodeResponse(&decoder{left: body}, into)
		var remote *RemoteError
		if err == nil && !bytes.Equal(appendResponse(nil, into, nil), body) {
			t.Fatalf("%T changes when it is sent again", into)
		}
		if errors.As(err, &remote) && !bytes.Equal(appendResponse(nil, nil, errors.New(remote.Text)), body) {
			t.Fatal("an error changes when it is sent again")
		}
	})
}
