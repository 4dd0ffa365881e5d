"""Plain HTTP beside the WebSocket."""
