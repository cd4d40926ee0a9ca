"""How is a draft head made for any target? Its own answers, a draft vocabulary, and training-time test (EAGLE-3)."""
