package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/node"
)

// configCommand prints what can be configured.
func configCommand() *cobra.Command {
	role := string(node.ServerRole)
	cmd := &cobra.Command{
		Use:   "config",
		Short: "List all configuration keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(node.Roles(), node.Role(role)) {
				return fmt.Errorf("--role %q is not allowed: use one of %v", role, node.Roles())
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), node.SettingsTable(node.Role(role)))
			return err
		},
	}
	cmd.Flags().StringVar(&role, "role", role, "whose keys: server, broker or namesrv")
	return cmd
}
