package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// Options of a Guard.
type Options struct {
	Path string // of the file
	// Admit may refuse rules that are good as such; nil takes all.
	Admit func(*Rules) error
	// Process is the account of this process itself, an administrator that needs
	// no entry in the file. Zero for none.
	Process Credentials
	Log     *slog.Logger // slog.Default() when nil
}

// Guard applies the rules of a file. It is safe for concurrent use.
type Guard struct {
	options Options
	rules   atomic.Pointer[Rules]
	process *account

	mu     sync.Mutex // one reload at a time
	seen   os.FileInfo
	broken string // what was last reported about the file

	served, refused atomic.Uint64
	loads, failures atomic.Uint64
	lastLine        atomic.Int64 // Unix milliseconds of the last refusal that was logged
}

// Open reads the file, which must be there and good.
func Open(o Options) (*Guard, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Admit == nil {
		o.Admit = func(*Rules) error { return nil }
	}
	g := &Guard{options: o}
	if o.Process != (Credentials{}) {
		g.process = &account{key: o.Process.AccessKey, signer: newSigner(o.Process.SecretKey), admin: true}
	}
	info, rules, err := g.load()
	if err != nil {
		return nil, fmt.Errorf("access control: %w", err)
	}
	g.take(info, rules)
	return g, nil
}

// load reads the file, whose size is bounded.
func (g *Guard) load() (os.FileInfo, *Rules, error) {
	path := g.options.Path
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return info, nil, fmt.Errorf("read %s: %w", path, err)
	}
	rules, err := ParseRules(text)
	if err == nil {
		err = g.options.Admit(rules)
	}
	if err != nil {
		return info, nil, fmt.Errorf("read %s: %w", path, err)
	}
	return info, rules, nil
}

func (g *Guard) take(info os.FileInfo, rules *Rules) {
	g.seen, g.broken = info, ""
	g.rules.Store(rules)
	g.loads.Add(1)
	g.options.Log.Info("access control: rules read", "file", g.options.Path, "accounts", len(rules.accounts))
	if rules.Open() {
		g.options.Log.Warn("access control: globalWhiteRemoteAddresses lets everybody in without a signature", "file", g.options.Path)
	}
}

// Rules are the rules in force.
func (g *Guard) Rules() *Rules { return g.rules.Load() }

// checkInterval is how often the file is looked at.
const checkInterval = time.Second

// Watch reads the file again whenever it has changed, until the context ends.
func (g *Guard) Watch(ctx context.Context) {
	ticker := time.NewTicker(checkInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			g.Refresh()
		}
	}
}

// Refresh reads the file again if it has changed. Where it is not good, the
// rules stay.
func (g *Guard) Refresh() {
	g.mu.Lock()
	defer g.mu.Unlock()
	info, err := os.Stat(g.options.Path)
	if err == nil && g.broken == "" && same(info, g.seen) {
		return
	}
	var rules *Rules
	if err == nil {
		info, rules, err = g.load()
	}
	if err == nil {
		g.take(info, rules)
		return
	}
	if text := err.Error(); text != g.broken {
		g.broken = text
		g.failures.Add(1)
		g.options.Log.Error("access control: the file has changed and is not good; the rules from before stay", "file", g.options.Path, "cause", err)
	}
}

func same(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// Authorize returns nil if a request may be served, else what to tell its
// sender. It keeps nothing of the command.
func (g *Guard) Authorize(c *remoting.Conn, cmd *remoting.Command) error {
	remote := c.RemoteAddr().Addr()
	err := g.check(remote, cmd)
	if err == nil {
		g.served.Add(1)
		return nil
	}
	count := g.refused.Add(1)
	if now, last := time.Now().UnixMilli(), g.lastLine.Load(); now-last >= 1000 && g.lastLine.CompareAndSwap(last, now) {
		g.options.Log.Warn("access control: request refused", "remote", remote, "code", cmd.Code, "cause", err, "refused", count)
	}
	return err
}

var errNoAccessKey = errors.New("no accessKey is in the request: set the credentials of the client")

func (g *Guard) check(remote netip.Addr, cmd *remoting.Command) error {
	rules := g.rules.Load()
	if rules.white.contains(remote) {
		return nil
	}
	key, _ := cmd.Get(fieldAccessKey)
	if len(key) == 0 {
		return errNoAccessKey
	}
	a := rules.accounts[string(key)]
	if g.process != nil && string(key) == g.process.key {
		a = g.process
	}
	if a == nil {
		return fmt.Errorf("accessKey %.64q is not known here", key)
	}
	if a.white.contains(remote) {
		return nil
	}
	signature, _ := cmd.Get(fieldSignature)
	if !a.signer.signs(cmd, signature) {
		return fmt.Errorf("check signature failed for accessKey %s: the secret key is another one, or the request was changed on its way", a.key)
	}
	return a.allows(cmd)
}

// allows checks what the account may do.
func (a *account) allows(cmd *remoting.Command) error {
	if a.admin && !a.listed {
		return nil
	}
	r, known := requirements[cmd.Code]
	switch {
	case known:
		return r.check(cmd, a)
	case !a.admin:
		return fmt.Errorf("request %d needs an administrator, accessKey %s is none", cmd.Code, a.key)
	}
	return nil
}
