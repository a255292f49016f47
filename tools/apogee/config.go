package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/node"
)

// configCommand prints what can be configured.
func configCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "List all configuration keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), node.SettingsTable())
			return err
		},
	}
}
