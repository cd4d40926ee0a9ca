"""Does the target answer as the engine needs it, and is it left as it was?"""

from __future__ import annotations

import torch

from speculation import tiny
from trimtab.speculation.engine.target import Target


def test_attention_by_cudnn_is_left_out_while_decoding_and_no_longer() -> None:
    target, before = Target(tiny.target(), None), torch.backends.cuda.cudnn_sdp_enabled()
    with target.tapped():
        assert not torch.backends.cuda.cudnn_sdp_enabled()
    assert torch.backends.cuda.cudnn_sdp_enabled() == before
