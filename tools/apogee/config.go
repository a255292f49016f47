package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/node"
	"github.com/apogeemq/apogee/tools/outbox/agent"
)

// outboxRole is the role of a process that is no node.
const outboxRole = "outbox"

// configCommand prints what can be configured.
func configCommand() *cobra.Command {
	role := string(node.ServerRole)
	cmd := &cobra.Command{
		Use:   "config",
		Short: "List all configuration keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if role == outboxRole {
				_, err := fmt.Fprint(cmd.OutOrStdout(), agent.SettingsTable())
				return err
			}
			if !slices.Contains(node.Roles(), node.Role(role)) {
				return fmt.Errorf("--role %q is not allowed: use %s or one of %v", role, outboxRole, node.Roles())
			}
			_, err := fmt.Fprint(cmd.OutOrStdout(), node.SettingsTable(node.Role(role)))
			return err
		},
	}
	cmd.Flags().StringVar(&role, "role", role, "whose keys: server, broker, namesrv or outbox")
	return cmd
}
