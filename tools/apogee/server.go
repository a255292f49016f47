package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/node"
)

// process is what a server's command line says.
type process struct {
	role      node.Role
	file      string
	pairs     []string
	logFormat string
}

// serverCommands run brokers and nameservers until a signal comes.
func serverCommands() []*cobra.Command {
	server := (&process{role: node.ServerRole}).command("Run a broker and a nameserver",
		"Run a broker and a nameserver until SIGINT or SIGTERM. Without flags it listens on\n"+
			"loopback and stores in ./data.")
	p := &process{role: node.BrokerRole}
	broker := p.command("Run a broker that reports to nameservers elsewhere",
		"Run a broker until SIGINT or SIGTERM. It reports to the nameservers of namesrvAddr in\n"+
			"its file, of --namesrv, or of the environment variable NAMESRV_ADDR.")
	nameservers := broker.Flags().StringP("namesrv", "n", "", "nameservers to report to, `host:port;…`; wins over the file")
	serve := broker.RunE
	broker.RunE = func(cmd *cobra.Command, args []string) error {
		if *nameservers != "" {
			p.pairs = append([]string{"namesrvAddr=" + *nameservers}, p.pairs...)
		}
		return serve(cmd, args)
	}
	return []*cobra.Command{server, broker, (&process{role: node.NameserverRole}).command("Run a nameserver",
		"Run a nameserver until SIGINT or SIGTERM. Brokers report to it and clients ask it\n"+
			"where topics are; it stores nothing of that. Any number of them may run, independent of each other.")}
}

func (p *process) command(short, long string) *cobra.Command {
	cmd := &cobra.Command{
		Use: string(p.role), Short: short, Args: cobra.NoArgs,
		Long: long + fmt.Sprintf(" `apogee config --role %s` lists the keys.", p.role),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := node.LoadRole(p.role, p.file, p.pairs)
			if err != nil {
				return err
			}
			log, err := newLogger(os.Stderr, p.logFormat, config.LogLevel)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), config, log)
		},
	}
	cmd.Flags().StringVarP(&p.file, "config", "c", "", "configuration `file` in RocketMQ's .conf format")
	cmd.Flags().StringArrayVar(&p.pairs, "set", nil, "`key=value` that wins over the file; may be repeated")
	cmd.Flags().StringVar(&p.logFormat, "log-format", "text", "how log lines are written: text or json")
	return cmd
}

// newLogger writes structured lines to w.
func newLogger(w io.Writer, format, levelName string) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(levelName)); err != nil {
		return nil, fmt.Errorf("log level %q: %w", levelName, err)
	}
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, fmt.Errorf("--log-format %q is not allowed: use text or json", format)
}

// serve runs a node until the context ends, then stops it in order. A node whose
// part in replication changes is stopped and started again.
func serve(ctx context.Context, config node.Config, log *slog.Logger) error {
	log.Info("apogee", "version", versionText(), "pid", os.Getpid())
	go slowMonitor(ctx)
	for {
		again, err := serveOnce(ctx, config, log)
		if !again || err != nil {
			return err
		}
	}
}

func serveOnce(ctx context.Context, config node.Config, log *slog.Logger) (again bool, err error) {
	n, err := node.Start(ctx, config, node.Options{Version: versionText(), Log: log, Fatal: func(err error) {
		log.Error("the log can't be written any more: ending without another write", "cause", err)
		os.Exit(1)
	}})
	if err != nil {
		return false, err
	}
	select {
	case <-ctx.Done():
		log.Info("stopping; a second signal ends the process at once")
	case <-n.Again():
		log.Info("stopping, to start again")
		again = true
	}
	err = n.Stop(context.WithoutCancel(ctx))
	if again && err != nil {
		log.Warn("the broker didn't stop in order; it starts again all the same", "cause", err)
		err = nil
	}
	return again, err
}
