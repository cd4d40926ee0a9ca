"""The parts that a dialogue's reward can be made of, each a function of a batch of replies."""
