"""``python -m trimtab``: the command line as a module, which is what ``accelerate launch -m trimtab`` starts."""

from __future__ import annotations

from trimtab.cli import main

if __name__ == "__main__":
    main()
