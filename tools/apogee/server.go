package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/node"
)

// serverCommand runs broker and nameserver until a signal comes.
func serverCommand() *cobra.Command {
	var file string
	var pairs []string
	cmd := &cobra.Command{
		Use:   "server",
		Short: "Run a broker and a nameserver",
		Long: "Run a broker and a nameserver until SIGINT or SIGTERM. Without flags it listens on\n" +
			"loopback and stores in ./data. `apogee config` lists the keys.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := node.Load(file, pairs)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), config)
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `file` in RocketMQ's .conf format")
	cmd.Flags().StringArrayVar(&pairs, "set", nil, "`key=value` that wins over the file; may be repeated")
	return cmd
}

// serve runs a node until the context ends, then stops it in order.
func serve(ctx context.Context, config node.Config) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(config.LogLevel)); err != nil {
		return fmt.Errorf("log level %q: %w", config.LogLevel, err)
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	log.Info("apogee", "version", versionText(), "pid", os.Getpid())
	n, err := node.Start(ctx, config, node.Options{Version: versionText(), Log: log, Fatal: func(err error) {
		log.Error("the log can't be written any more: ending without another write", "cause", err)
		os.Exit(1)
	}})
	if err != nil {
		return err
	}
	<-ctx.Done()
	log.Info("stopping; a second signal ends the process at once")
	return n.Stop(context.WithoutCancel(ctx))
}
