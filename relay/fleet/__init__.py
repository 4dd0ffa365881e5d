"""What the relays of a fleet share, through Redis or Valkey."""
