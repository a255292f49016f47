package chaos

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/apogeemq/apogee/bench/check"
)

// pacedInFlight bounds the sends of a paced producer that have no answer yet.
const pacedInFlight = 256

// paced sends with an official producer at a pace: a send begins when it is due,
// whatever becomes of those before.
type paced struct {
	traffic        *traffic
	warm, measured *writer
	rate           int
}

// official sends with RocketMQ's Go client.
func (p *paced) official(ctx context.Context) error {
	client, err := rocketmq.NewProducer(producer.WithNameServer(p.traffic.nameservers), producer.WithInstanceName(instance()), producer.WithGroupName("failover-go"))
	if err == nil {
		err = client.Start()
	}
	if err != nil {
		return fmt.Errorf("start the official producer: %w", err)
	}
	defer func() { _ = client.Shutdown() }()
	room := make(chan struct{}, pacedInFlight)
	var sends sync.WaitGroup
	defer sends.Wait()
	var first atomic.Int64 // when a send was confirmed first
	began := time.Now()
	for ticks := pace(ctx, p.rate); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks:
		}
		select {
		case room <- struct{}{}:
		default:
			continue
		}
		w := p.warm
		if at := first.Load(); at > 0 && time.Since(began)-time.Duration(at) > warmUp {
			w = p.measured
		}
		m := w.begin(check.NoQueue)
		sends.Go(func() {
			w.finishOfficially(client, m)
			if w.source.confirmed.Load() > 0 {
				first.CompareAndSwap(0, int64(time.Since(began)))
			}
			<-room
		})
	}
}

//go:embed java/Paced.java
var pacedSource []byte

// compilePaced compiles the Java producer beside the jars that it needs, and
// returns the class path.
func compilePaced(ctx context.Context, jars string) (string, error) {
	dir := filepath.Join(filepath.Dir(jars), "paced")
	source := filepath.Join(dir, "Paced.java")
	path := filepath.Join(jars, "*")
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		err = os.WriteFile(source, pacedSource, 0o644)
	}
	if err != nil {
		return "", fmt.Errorf("compile the Java producer: %w", err)
	}
	if out, err := exec.CommandContext(ctx, "javac", "-cp", path, "-d", dir, source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile the Java producer: %w: %s", err, out)
	}
	return dir + string(filepath.ListSeparator) + path, nil
}

// java sends with RocketMQ's Java client in a process of its own, which writes its
// logs below home.
func (p *paced) java(ctx context.Context, classes, home string, poll time.Duration) error {
	cmd := exec.Command("java", "-Duser.home="+home, "-cp", classes, "Paced", strings.Join(p.traffic.nameservers, ";"), topic,
		fmt.Sprint(p.rate), fmt.Sprint(warmUp.Milliseconds()), fmt.Sprint(poll.Milliseconds()))
	var complaints beginning
	cmd.Stderr = &complaints
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start the Java producer: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return fmt.Errorf("start the Java producer: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { // it answers for what is under way, and ends
		_ = in.Close()
		time.AfterFunc(javaEndTime, func() { _ = cmd.Process.Kill() })
	})
	defer stop()
	if err = p.listen(out); err != nil {
		_ = cmd.Process.Kill()
	}
	if err = errors.Join(err, cmd.Wait()); err != nil {
		return fmt.Errorf("the Java producer: %w: %s", err, complaints.bytes)
	}
	if ctx.Err() == nil {
		return fmt.Errorf("the Java producer ended by itself: %s", complaints.bytes)
	}
	return nil
}

// javaEndTime is longer than the last of its sends may take.
const javaEndTime = 40 * time.Second

// listen takes what the Java producer tells.
func (p *paced) listen(out io.Reader) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if err := p.note(strings.Fields(lines.Text())); err != nil {
			return fmt.Errorf("it says %q: %w", lines.Text(), err)
		}
	}
	return lines.Err()
}

var errLine = errors.New("that is no event")

// note records an event that is told in words; see Paced.java.
func (p *paced) note(words []string) error {
	if len(words) < 3 {
		return errLine
	}
	w := map[string]*writer{"1": p.warm, "2": p.measured}[words[1]]
	var number uint64
	if _, err := fmt.Sscan(words[2], &number); err != nil || w == nil {
		return errLine
	}
	if words[0] == "B" {
		if m := w.begin(check.NoQueue); m.Number != number || m.Writer != w.id {
			return fmt.Errorf("%v was expected", m)
		}
		return nil
	}
	e := check.Event{Message: check.Message{Writer: w.id, Number: number}, Status: check.Unknown, Position: check.NoPosition}
	if len(words) == 8 {
		site := p.traffic.siteNamed(words[4])
		var queue int
		if _, err := fmt.Sscan(words[5]+" "+words[6], &queue, &e.Offset); err != nil || site == nil {
			return errLine
		}
		e.Status, e.Queue, e.Position = statusNamed(words[3]), site.queue(queue), check.PositionOf(words[7])
	}
	w.end(e)
	return nil
}

// statusNamed is the status that the Java client calls so.
func statusNamed(name string) check.Status {
	for s := check.OK; s.Placed(); s++ {
		if s.String() == name {
			return s
		}
	}
	return check.Unknown
}

// beginning keeps the first bytes of what is written.
type beginning struct{ bytes []byte }

func (t *beginning) Write(p []byte) (int, error) {
	const most = 4 << 10
	t.bytes = append(t.bytes, p[:min(len(p), most-len(t.bytes))]...)
	return len(p), nil
}
