package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const controlTime = 5 * time.Second

// isReady reports whether the process takes requests.
func (n *Node) isReady(ctx context.Context) bool {
	return n.ask(ctx, http.MethodGet, "readyz", "") == nil
}

// BreakDisk replaces the rules of the process's disk; see package faultdisk.
// What hung because of older rules goes on. No rules heal the disk.
func (n *Node) BreakDisk(ctx context.Context, rules string) error {
	return n.ask(ctx, http.MethodPut, "debug/faults/disk", rules)
}

// ShiftClock sets the process's clock so much ahead of the machine's.
func (n *Node) ShiftClock(ctx context.Context, by time.Duration) error {
	return n.ask(ctx, http.MethodPut, "debug/faults/clock", by.String())
}

var httpClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends a request to the operators' port.
func (n *Node) ask(ctx context.Context, method, path, body string) error {
	ctx, cancel := context.WithTimeout(ctx, controlTime)
	defer cancel()
	url := fmt.Sprintf("http://127.0.0.1:%d/%s", n.ports.admin(), path)
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask node %d: %w", n.index, err)
	}
	reply, err := httpClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask node %d: %w", n.index, err)
	}
	defer reply.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(reply.Body, 1<<10))
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("ask node %d for /%s: %s: %s", n.index, path, reply.Status, strings.TrimSpace(string(text)))
	}
	return nil
}
