"""Decode faster, and get the same text: a target, its draft head, a tree.

For your own model: ``Speculator.from_pretrained("meta-llama/Llama-3.1-8B-Instruct",
"yuhuili/EAGLE3-LLaMA3.1-Instruct-8B", device="cuda")``.
"""

from trimtab.speculation import Speculator, TreeShape


def main() -> None:
    """Write one answer with and without drafting."""
    speculator = Speculator.from_pretrained("zoo:chat", "zoo:chat-eagle3", dtype="float32")
    prompt = "A baker sells 12 loaves in the morning and twice as many in the afternoon. How many loaves does she sell?"
    drafted = speculator.generate(prompt, max_new_tokens=60, shape=TreeShape(12, 3, 4))
    plain = speculator.generate(prompt, max_new_tokens=60, shape=None)
    assert drafted.tokens == plain.tokens
    print(drafted.text)
    print(f"{len(drafted.rounds)} rounds in place of {len(plain.rounds)}: {drafted.tau:.2f} tokens a round")


if __name__ == "__main__":
    main()
