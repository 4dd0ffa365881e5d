"""The process: options of twistd, the service, signals, the log."""
