package node

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

func TestAProcessCanBeBrokenOnlyWhereItsEnvironmentSaysSo(t *testing.T) {
	t.Parallel()
	f, err := openFaults("")
	if f != nil || err != nil {
		t.Fatalf("without the variable: %v, %v", f, err)
	}
	mux := http.NewServeMux()
	f.register(mux)
	if code := put(mux, "/debug/faults/clock", "24h"); code != http.StatusNotFound {
		t.Errorf("a request to break the process: status %d", code)
	}
	below := simdisk.New(1, simdisk.Options{})
	if d, err := f.over(below); err != nil || d != disk.Disk(below) {
		t.Errorf("the disk is %v, %v; want the one below", d, err)
	}
	for _, wrong := range []string{"off", "volatile", "volatile:x", "1"} {
		if _, err := openFaults(wrong); err == nil || !strings.Contains(err.Error(), "on or volatile:SEED") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

func put(h http.Handler, path, body string) int {
	reply := httptest.NewRecorder()
	h.ServeHTTP(reply, httptest.NewRequest(http.MethodPut, path, strings.NewReader(body)))
	return reply.Code
}

func TestAFaultRunBreaksTheDiskAndShiftsTheClock(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"on", "volatile:7"} {
		f, err := openFaults(value)
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		f.register(mux)
		if code := put(mux, "/debug/faults/disk", ""); code != http.StatusConflict {
			t.Errorf("%s: rules before there is a disk: status %d", value, code)
		}
		d, err := f.over(simdisk.New(1, simdisk.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		if code := put(mux, "/debug/faults/disk", "open:*:*=EIO"); code != http.StatusOK {
			t.Errorf("%s: rules: status %d", value, code)
		}
		if _, err := d.Open("file", disk.Create); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: a broken disk: %v", value, err)
		}
		if code := put(mux, "/debug/faults/disk", "nonsense"); code != http.StatusBadRequest {
			t.Errorf("%s: wrong rules: status %d", value, code)
		}
		if strings.Contains(d.Describe(), "until synced") != f.volatile {
			t.Errorf("%s: the disk is %s", value, d.Describe())
		}
		if code := put(mux, "/debug/faults/clock", "24h"); code != http.StatusOK {
			t.Errorf("%s: a shift: status %d", value, code)
		}
		if ahead := time.Until(f.now()); ahead < 23*time.Hour {
			t.Errorf("%s: the clock is %v ahead", value, ahead)
		}
	}
}

func TestAFaultRunLeadsWhatIsDialedOverDetours(t *testing.T) {
	t.Setenv(detoursVariable, "127.0.0.1:1000=127.0.0.2:1000,127.0.0.1:1001=127.0.0.3:1")
	f, err := openFaults("on")
	if err != nil {
		t.Fatal(err)
	}
	var none *faults
	for address, want := range map[string]string{
		"127.0.0.1:1000": "127.0.0.2:1000", "127.0.0.1:1001": "127.0.0.3:1", "127.0.0.1:1002": "127.0.0.1:1002",
	} {
		if got := f.reach(address); got != want {
			t.Errorf("%s is reached at %s, want %s", address, got, want)
		}
		if got := none.reach(address); got != address || none.dialPeer() != nil {
			t.Errorf("without faults %s is reached at %s", address, got)
		}
	}
	t.Setenv(detoursVariable, "nowhere")
	if _, err := openFaults("on"); err == nil || !strings.Contains(err.Error(), detoursVariable) {
		t.Errorf("a detour without addresses: %v", err)
	}
}
