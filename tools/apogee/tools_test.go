package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// startTools runs a server and returns the address of its nameserver.
func startTools(t *testing.T) string {
	t.Helper()
	cmd := apogee(t, "server", "--set", "listenPort=0", "--set", "namesrvListenPort=0", "--set", "adminListenPort=0",
		"--set", "mappedFileSizeCommitLog=33554432")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var address string
	listening := regexp.MustCompile(`for=nameserver address=(\S+)`)
	log := bufio.NewReader(stderr)
	for {
		line, err := log.ReadString('\n')
		if err != nil {
			t.Fatalf("the server ended before it was ready: %v", err)
		}
		if found := listening.FindStringSubmatch(line); found != nil {
			address = found[1]
		}
		if strings.Contains(line, "msg=ready") {
			go func() { _, _ = io.Copy(io.Discard, log) }()
			return address
		}
	}
}

// tool runs a command against the server and returns its output.
func tool(t *testing.T, nameserver, stdin string, arguments ...string) string {
	t.Helper()
	cmd := apogee(t, append(arguments, "--namesrv", nameserver)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.Output()
	if err != nil {
		detail := ""
		if ended, ok := err.(*exec.ExitError); ok {
			detail = string(ended.Stderr)
		}
		t.Fatalf("%q: %v: %s", arguments, err, detail)
	}
	return string(out)
}

func TestWhatIsProducedIsConsumedAndFound(t *testing.T) {
	t.Parallel()
	at := startTools(t)
	sent := tool(t, at, "", "produce", "hello", "hello \x1b[2J world", "--tag", "greeting", "--key", "k1", "--property", "a=b", "--queue", "1")
	if !strings.HasPrefix(sent, "SEND_OK broker-a queue 1 offset 0 ") {
		t.Fatalf("sent: %s", sent)
	}
	tool(t, at, "first\n\nsecond\nthird\n", "produce", "hello", "--quiet")
	all := tool(t, at, "", "consume", "hello", "--stop-at-end", "--body-only")
	for _, body := range []string{"hello \x1b[2J world\n", "first\n", "second\n", "third\n"} {
		if strings.Count(all, body) != 1 {
			t.Errorf("%q is not there once: %q", body, all)
		}
	}
	if got := tool(t, at, "", "consume", "hello", "--stop-at-end", "--tag", "other || greeting"); strings.Count(got, "\n") != 1 || strings.Contains(got, "\x1b") {
		t.Errorf("with a tag: %q", got)
	}
	var place struct {
		MessageID string
		Queue     int
		Offset    int64
		Body      string
	}
	if err := json.Unmarshal([]byte(tool(t, at, "", "consume", "hello", "--queue", "1", "--from", "offset:0", "--count", "1", "--json")), &place); err != nil {
		t.Fatal(err)
	}
	if place.Queue != 1 || place.Offset != 0 || place.Body != "hello \x1b[2J world" {
		t.Errorf("got %+v", place)
	}
	for _, search := range [][]string{{"id", place.MessageID}, {"offset", "hello", "1", "0"}} {
		if got := tool(t, at, "", append([]string{"admin", "message"}, search...)...); !strings.Contains(got, "KEYS=k1") || !strings.Contains(got, "a=b") {
			t.Errorf("%q: %s", search, got)
		}
	}
}

func TestAGroupGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	at := startTools(t)
	tool(t, at, "", "produce", "orders", "one", "two", "three")
	read := []string{"consume", "orders", "--group", "payers", "--stop-at-end", "--body-only"}
	if got := tool(t, at, "", read...); strings.Count(got, "\n") != 3 {
		t.Errorf("the first time: %q", got)
	}
	tool(t, at, "", "produce", "orders", "four")
	if got := tool(t, at, "", "admin", "lag", "payers", "--json"); !strings.Contains(got, `"behind": 1,`) {
		t.Errorf("lag: %s", got)
	}
	if got := tool(t, at, "", read...); got != "four\n" {
		t.Errorf("the second time: %q", got)
	}
	tool(t, at, "", "admin", "resetoffset", "payers", "orders", "--to", "earliest")
	if got := tool(t, at, "", read...); strings.Count(got, "\n") != 4 {
		t.Errorf("after the reset: %q", got)
	}
	tool(t, at, "", "admin", "resetoffset", "payers", "orders", "--to", "latest")
	if got := tool(t, at, "", "admin", "lag", "--json"); !strings.Contains(got, `"group": "payers"`) || !strings.Contains(got, `"behind": 0,`) {
		t.Errorf("lag: %s", got)
	}
}

func TestTopicsAndGroupsAreChanged(t *testing.T) {
	t.Parallel()
	at := startTools(t)
	tool(t, at, "", "admin", "topics", "create", "bills", "--queues", "3")
	tool(t, at, "", "admin", "groups", "create", "payers", "--retries", "5")
	if got := tool(t, at, "", "admin", "topics"); got != "bills\n" {
		t.Errorf("topics: %q", got)
	}
	if got := tool(t, at, "", "admin", "topics", "list", "--system"); !strings.Contains(got, "TBW102\n") {
		t.Errorf("all topics: %q", got)
	}
	if got := tool(t, at, "", "admin", "topics", "show", "bills"); !regexp.MustCompile(`broker-a +3 +3 +read write`).MatchString(got) {
		t.Errorf("topic: %s", got)
	}
	if got := tool(t, at, "", "admin", "groups"); got != "payers\n" {
		t.Errorf("groups: %q", got)
	}
	if got := tool(t, at, "", "admin", "groups", "show", "payers"); !regexp.MustCompile(`redeliveries +5`).MatchString(got) || !strings.Contains(got, "no consumer is online") {
		t.Errorf("group: %s", got)
	}
	if got := tool(t, at, "", "admin", "cluster"); !regexp.MustCompile(`DefaultCluster +broker-a +0 +127\.0\.0\.1:`).MatchString(got) {
		t.Errorf("cluster: %s", got)
	}
	tool(t, at, "", "admin", "topics", "delete", "bills")
	tool(t, at, "", "admin", "groups", "delete", "payers")
	if got := tool(t, at, "", "admin", "topics", "--json") + tool(t, at, "", "admin", "groups", "--json"); strings.Join(strings.Fields(got), "") != "[][]" {
		t.Errorf("after the end: %q", got)
	}
}

func TestConsumeFollowsATopicUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	at := startTools(t)
	tool(t, at, "", "produce", "news", "old")
	cmd := apogee(t, "consume", "news", "--from", "latest", "--body-only", "--namesrv", at)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It says nothing while it waits, so messages come until one is printed.
	lines := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(out).ReadString('\n')
		lines <- line
	}()
	for printed := ""; printed == ""; {
		tool(t, at, "", "produce", "news", "new")
		select {
		case printed = <-lines:
			if printed != "new\n" {
				t.Fatalf("printed %q", printed)
			}
		default:
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("an interrupt is no failure: %v", err)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	t.Parallel()
	at := startTools(t)
	for _, c := range []struct {
		arguments []string
		says      string
	}{
		{[]string{"produce"}, "`apogee produce --help` shows what is possible"},
		{[]string{"produce", "t", "x", "--queue", "99"}, "no such queue"},
		{[]string{"produce", "t", "x", "--property", "a"}, "use name=value"},
		{[]string{"consume", "missing"}, "there is no such topic"},
		{[]string{"consume", "t", "--from", "yesterday"}, "or earliest, latest, offset:N"},
		{[]string{"admin", "topics", "delete", "missing"}, "there is no such topic"},
		{[]string{"admin", "groups", "show", "missing"}, "no broker knows group"},
		{[]string{"admin", "message", "id", "12"}, "hexadecimal digits"},
		{[]string{"admin", "resetoffset", "g", "t"}, "required flag"},
	} {
		cmd := apogee(t, append(c.arguments, "--namesrv", at)...)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), c.says) {
			t.Errorf("%q: %v: %s; want %q", c.arguments, err, out, c.says)
		}
	}
	out, err := apogee(t, "admin", "topics", "--namesrv", "127.0.0.1:1").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "connect to 127.0.0.1:1") {
		t.Errorf("no nameserver: %v: %s", err, out)
	}
}
