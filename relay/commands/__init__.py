"""The subcommands of realtime-relay."""
