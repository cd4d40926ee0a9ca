"""Real q processes as engines: messages, and the links that carry them."""
