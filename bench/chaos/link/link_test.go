package link

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

const patience = 20 * time.Second

// echo is a server that sends back what it gets, and then ends.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func open(t *testing.T) (*Link, net.Conn) {
	t.Helper()
	l, err := Listen("127.0.0.1:0", echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l, dial(t, l)
}

func dial(t *testing.T, l *Link) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", l.Address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("got %q, %v; want %q", got, err, text)
	}
}

// silent checks that nothing comes for a moment.
func silent(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes came through, %v", n, err)
	}
	_ = c.SetReadDeadline(time.Now().Add(patience))
}

func TestAWholeLinkCarriesBytesAndEnds(t *testing.T) {
	t.Parallel()
	_, c := open(t)
	large := bytes.Repeat([]byte("0123456789"), 1<<18)
	go func() {
		_, _ = c.Write(large)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, large) {
		t.Errorf("%d of %d bytes came back, %v", len(got), len(large), err)
	}
}

func TestACutDirectionHoldsBytesUntilItIsWhole(t *testing.T) {
	t.Parallel()
	for name, conditions := range map[string][2]Condition{
		"there": {{Cut: true}, {}}, "back": {{}, {Cut: true}}, "both": {{Cut: true}, {Cut: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, c := open(t)
			send(t, c, "before")
			expect(t, c, "before")
			l.Set(conditions[0], conditions[1])
			send(t, c, "during")
			silent(t, c)
			late := dial(t, l)
			send(t, late, "new")
			silent(t, late)
			l.Set(Condition{}, Condition{})
			expect(t, c, "during")
			expect(t, late, "new")
		})
	}
}

func TestTheEndOfAServerIsNotSeenThroughACutLink(t *testing.T) {
	t.Parallel()
	l, c := open(t)
	l.Set(Condition{}, Condition{Cut: true})
	_ = c.(*net.TCPConn).CloseWrite() // lets the server end
	silent(t, c)
	l.Set(Condition{}, Condition{})
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("want the end, got %v", err)
	}
}

func TestALateLinkDeliversInOrderAndInTime(t *testing.T) {
	t.Parallel()
	l, c := open(t)
	const late = 30 * time.Millisecond
	l.Set(Condition{Delay: late}, Condition{Delay: late})
	began := time.Now()
	send(t, c, "one")
	send(t, c, "two")
	expect(t, c, "onetwo")
	if took := time.Since(began); took < 2*late {
		t.Errorf("the round trip took %v, want at least %v", took, 2*late)
	}
}

func TestASlowLinkTakesTimeForEachByte(t *testing.T) {
	t.Parallel()
	l, c := open(t)
	l.Set(Condition{BytesPerSecond: 100_000}, Condition{})
	began := time.Now()
	send(t, c, string(make([]byte, 10_000)))
	expect(t, c, string(make([]byte, 10_000)))
	if took := time.Since(began); took < 90*time.Millisecond {
		t.Errorf("10 kB at 100 kB/s took %v", took)
	}
}

func TestAResetEndsConnectionsAndALinkThatRefusesTakesNone(t *testing.T) {
	t.Parallel()
	l, c := open(t)
	send(t, c, "before")
	expect(t, c, "before")
	l.Refuse(true)
	if n := l.Reset(); n != 1 {
		t.Errorf("%d connections were there, want 1", n)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read after the reset: %v", err)
	}
	if refused, err := net.Dial("tcp", l.Address()); err == nil { // else the reset came during the dial
		_ = refused.SetDeadline(time.Now().Add(patience))
		if _, err := refused.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read of a refused connection: %v", err)
		}
		_ = refused.Close()
	}
	l.Refuse(false)
	again := dial(t, l)
	send(t, again, "after")
	expect(t, again, "after")
}

func TestCloseEndsALinkThatIsCut(t *testing.T) {
	t.Parallel()
	l, c := open(t)
	l.Set(Condition{Cut: true}, Condition{Cut: true})
	send(t, c, "held")
	l.Close()
}
