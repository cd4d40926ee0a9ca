"""Steer the tree yourself: any function of the decoding state is a policy.

This one drafts deep while the head is sure of itself, and little otherwise.
"""

from trimtab.speculation import RoundState, Speculator, TreeShape

SURE, UNSURE = TreeShape(16, 5, 2), TreeShape(6, 1, 4)


def confident(state: RoundState) -> TreeShape:
    """Deep where the head gives its first guess at least 60%."""
    return SURE if float(state.root_logprobs_D.max().exp()) > 0.6 else UNSURE


def main() -> None:
    """Decode with the rule, and say what it chose."""
    speculator = Speculator.from_pretrained("zoo:chat", "zoo:chat-eagle3", dtype="float32")
    written = speculator.generate("I am looking for a cheap place to eat in San Jose.", 60, policy=confident)
    shapes = [str(r.shape) for r in written.rounds]
    print(written.text)
    print({shape: shapes.count(shape) for shape in sorted(set(shapes))}, f"tau {written.tau:.2f}")


if __name__ == "__main__":
    main()
