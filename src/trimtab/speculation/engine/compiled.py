"""How is a verification freed from Python? Its forward is compiled: one graph for all lengths, or one per bucket.

``dynamic``  one graph in which tree, context and capacity have symbolic lengths: nothing is padded but a single row to
             two, and nothing compiles again. For the CPU, where it was as fast as graphs of fixed lengths.
``buckets``  trees are padded to the next of ``BUCKETS`` rows, attention runs over the cache's whole capacity: all
             lengths are fixed, as CUDA graphs need them. One graph per bucket (and anew whenever the capacity doubles).

The head's drafting is not compiled: its layer gained a sixth alone and nothing within a round (see dev/LOG.md).
On a CPU the weights are frozen into the graph, repacked for its matrix products: each graph holds a copy of them.
Compilation happens at the first verification. The cache's layout is that of eager decoding, which prefill still is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin

from trimtab.speculation.engine.cache import TreeCache

COMPILE_MODES = ("off", "dynamic", "buckets")
BUCKETS = (1, 8, 16, 24, 32, 64, 128)
MOST_ROWS = BUCKETS[-1]
"""A forward over more rows than this runs eagerly: there the arithmetic takes the time."""

# Lengths to compile the dynamic graph with. All differ, lest the compiler take two of them for one.
_ROWS, _COMMITTED = 12, 50
_GRAPHS = 8 * len(BUCKETS)

Views = Sequence[tuple[Tensor, Tensor]]
Inputs = tuple[Tensor, Tensor, Tensor, Tensor]


def check_mode(mode: str) -> str:
    """``mode``, if there is such a one. Raises ValueError naming those that there are."""
    if mode not in COMPILE_MODES:
        raise ValueError(f"compile is {mode!r}: expected one of {', '.join(COMPILE_MODES)}")
    return mode


class _GraphLayer(CacheLayerMixin):
    """One layer's keys and values inside a graph: written at ``rows_T``, read up to ``stop``."""

    is_sliding = False
    is_croppable = False

    def __init__(self, keys: Tensor, values: Tensor, rows_T: Tensor, stop: int) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self._rows_T, self._stop = rows_T, stop
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to do: the memory is the cache's."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        assert self.keys is not None
        assert self.values is not None
        self.keys.index_copy_(2, self._rows_T, key_states)
        self.values.index_copy_(2, self._rows_T, value_states)
        return self.keys[:, :, : self._stop], self.values[:, :, : self._stop]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._stop, 0

    def get_seq_length(self) -> int:
        return 0  # asked only where positions are not given; ours always are

    def get_max_length(self) -> int:
        return -1

    def get_max_cache_shape(self) -> int:
        return -1


class _Step(nn.Module):
    """What a graph computes: logits [T, V] and features [T, F] of T rows, written into the cache's memory."""

    def __init__(self, model: PreTrainedModel, features: Callable[[], Tensor]) -> None:
        super().__init__()
        self.model = model
        self._features = features

    def forward(
        self, tokens_1T: Tensor, positions_1T: Tensor, mask_11TS: Tensor, rows_T: Tensor, views: Views
    ) -> tuple[Tensor, Tensor]:
        stop = mask_11TS.shape[-1]
        output = self.model(
            input_ids=tokens_1T,
            attention_mask=mask_11TS,
            position_ids=positions_1T,
            past_key_values=Cache(layers=[_GraphLayer(keys, values, rows_T, stop) for keys, values in views]),
            use_cache=True,
        )
        return output.logits[0], self._features()


def _keep_shapes(guards: Sequence[Any]) -> list[bool]:
    """Of what the compiler would check at each call, the inputs' shapes and kinds alone: the model does not change."""
    shapes = [guard.guard_type == "SHAPE_ENV" for guard in guards]
    inputs = torch.compiler.keep_tensor_guards_unsafe(guards)
    return [bool(one or other) for one, other in zip(shapes, inputs, strict=True)]


def _compiled(step: nn.Module, *, dynamic: bool, **options: Any) -> Any:
    """``step``, to be compiled at its first call (within ``compiling``). ``options`` go to the compiler.

    Raises ValueError where torch cannot keep the graphs of two models apart.
    """
    if "isolate_recompiles" not in inspect.signature(torch.compile).parameters:
        raise ValueError(
            f"compiling needs torch 2.13 or newer (which keeps the graphs of two models apart), this is "
            f"{torch.__version__}: upgrade it, or use compile='off'"
        )
    torch_compile: Any = torch.compile
    return torch_compile(
        step,
        fullgraph=True,
        dynamic=None if dynamic else False,
        options={"guard_filter_fn": _keep_shapes, **options},
        recompile_limit=_GRAPHS,
        isolate_recompiles=True,  # no model may ever run through another's graph, in which other weights are frozen
    )


@contextmanager
def compiling(device: torch.device) -> Generator[None]:
    """The compiler's settings, in force while it compiles for us and nowhere else."""
    import torch._inductor.config as inductor

    if device.type != "cpu":
        yield
        return
    with inductor.patch(freezing=True, cpp_wrapper=True):
        yield


def _symbol(tensor: Tensor, *axes: int) -> Tensor:
    """``tensor``, the lengths of its ``axes`` taken for symbols by the compiler (an error where it cannot)."""
    from torch._dynamo.decorators import mark_dynamic

    for axis in axes:
        mark_dynamic(tensor, axis)
    return tensor


class CompiledForward:
    """The forward of ``model`` over a tree, compiled. ``features()`` [T, F]: what hooks captured during a forward."""

    def __init__(self, model: PreTrainedModel, features: Callable[[], Tensor], mode: str) -> None:
        devices = {parameter.device for parameter in model.parameters()}
        if len(devices) > 1:
            names = ", ".join(sorted(str(device) for device in devices))
            raise ValueError(f"compile={mode!r} needs the model on one device, it is on {names}: use compile='off'")
        self._model = model
        self._device = devices.pop()
        self._padded = mode == "buckets"
        self._ready: set[tuple[int, int]] = set()
        graphs = {"triton.cudagraphs": True} if self._padded and self._device.type == "cuda" else {}
        self._graph = _compiled(_Step(model, features), dynamic=not self._padded, **graphs)

    def rows(self, tokens: int) -> int:
        """Rows that a forward over ``tokens`` takes, padding included."""
        if self._padded:
            return next(bucket for bucket in BUCKETS if bucket >= tokens)
        return max(2, tokens)

    def columns(self, cache: TreeCache, rows: int) -> int:
        """Columns of a forward's mask: what the ``rows`` rows may attend to at most."""
        return cache.capacity if self._padded else cache.length + rows

    def __call__(self, inputs: Inputs, cache: TreeCache) -> tuple[Tensor, Tensor]:
        """Logits and features of padded inputs: tokens [1, T], positions [1, T], mask [1, 1, T, S], cache rows [T]."""
        key = (inputs[0].shape[1], cache.capacity) if self._padded else (0, 0)
        if key not in self._ready:
            self._compile(inputs, cache)
            self._ready.add(key)
        if self._device.type != "cuda":
            return self._graph(*inputs, cache.views)
        torch.compiler.cudagraph_mark_step_begin()
        logits, features = self._graph(*inputs, cache.views)
        return logits.clone(), features.clone()  # a graph's next replay writes over its outputs

    def _compile(self, inputs: Inputs, cache: TreeCache) -> None:
        """Build the graph for these inputs, or (dynamic) for all."""
        with compiling(self._device):
            if self._padded:
                self._pin(cache)
                self._graph(*inputs, cache.views)
            else:
                scratch = TreeCache(self._model, separate=True)
                self._graph(*self._symbolic(inputs[2].dtype, scratch), scratch.views)

    def _pin(self, cache: TreeCache) -> None:
        """Promise that the cache's memory stays where it is: CUDA graphs then write into it in place.

        Not on a CPU: what is promised to stay is frozen with the weights.
        """
        if self._device.type != "cuda":
            return
        from torch._dynamo.decorators import mark_static_address

        for keys, values in cache.views:
            mark_static_address(keys)
            mark_static_address(values)

    def _symbolic(self, mask_dtype: torch.dtype, scratch: TreeCache) -> Inputs:
        """Inputs whose lengths the compiler is told to take for symbols."""
        device = self._device
        steps = torch.arange(_ROWS, device=device)
        mask = torch.zeros((1, 1, _ROWS, _COMMITTED + _ROWS), dtype=mask_dtype, device=device)
        if mask_dtype == torch.bool:
            mask.fill_(True)
        for keys, values in scratch.views:
            _symbol(keys, 2)
            _symbol(values, 2)
        tokens, positions = torch.zeros_like(steps)[None], (steps + _COMMITTED)[None]
        return _symbol(tokens, 1), _symbol(positions, 1), _symbol(mask, 2, 3), _symbol(steps + _COMMITTED, 0)
