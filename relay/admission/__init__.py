"""Who may have a session."""
