//go:build linux || darwin

package remoting

import (
	"net"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// idleConnections is how many connections the test opens; the process needs
// two descriptors for each.
const idleConnections = 10_000

// TestTenThousandIdleConnectionsCostLittle measures what a connection costs
// that sends heartbeats and nothing else.
func TestTenThousandIdleConnectionsCostLittle(t *testing.T) { // measures the memory of the process
	const bytesEach = 12 << 10 // a goroutine's stack of 2 to 8 KiB, and ours
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	want := idleConnections
	if raceEnabled {
		want /= 10 // it says nothing about memory, and much about time
	}
	connections := min(want, (int(min(limit.Cur, 1<<20))-200)/2)
	if connections < want/2 {
		t.Skipf("a process may have %d descriptors here, %d connections need %d", limit.Cur, want, 2*want+200)
	}
	h := newTestHandler(echo)
	h.closed = make(chan *Conn, connections+1)
	s := startServer(t, h, Options{})
	heartbeat := requestFrame(t, &Request{Code: RequestHeartBeat, Body: make([]byte, 500)}, 1, 0, JSON)
	before := memoryInUse()
	for range connections {
		connectPeer(t, s.Addr().(*net.TCPAddr), heartbeat)
	}
	await(t, "all are answered", func() bool {
		st := s.Stats()
		return st.Connections == connections && st.BytesOut >= uint64(connections*len(heartbeat)*9/10)
	})
	each := (memoryInUse() - before) / int64(connections)
	t.Logf("%d idle connections take %d bytes each", connections, each)
	if each > bytesEach && !raceEnabled {
		t.Errorf("an idle connection takes %d bytes, at most %d are expected", each, bytesEach)
	}
	startGoodClient(t, s).expectService()
}

// connectPeer opens a connection that costs this process a descriptor and no
// more, sends a request and never reads the answer.
func connectPeer(t *testing.T, to *net.TCPAddr, request []byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	address := &unix.SockaddrInet4{Port: to.Port, Addr: [4]byte(to.IP.To4())}
	if err := unix.Connect(fd, address); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(fd, request); err != nil {
		t.Fatal(err)
	}
}

// memoryInUse is the heap and the stacks.
func memoryInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
