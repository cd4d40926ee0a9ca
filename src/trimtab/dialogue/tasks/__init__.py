"""Where dialogues come from: a generator of our own, and the formats of ReDial, INSPIRED and instruction sets."""
