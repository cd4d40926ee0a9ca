"""How does a model's hidden state become a few numbers, on the device, within microseconds? One product with a matrix."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from trimtab.encoders.projection import gaussian, unit

if TYPE_CHECKING:
    from torch import Tensor


class HiddenProjection:
    """A hidden state [H], brought to unit root mean square, times ``matrix_HK``. Raises ValueError for no such matrix."""

    def __init__(self, matrix_HK: np.ndarray) -> None:
        if matrix_HK.ndim != 2 or 0 in matrix_HK.shape:
            raise ValueError(f"a projection of shape {matrix_HK.shape}: expected [state width, projected width]")
        self.matrix_HK = np.ascontiguousarray(matrix_HK, dtype=np.float32)
        self._on_device: Tensor | None = None

    @classmethod
    def random(cls, state_width: int, projected_width: int, seed: int = 0) -> HiddenProjection:
        """A Gaussian one; the same for the same seed."""
        return cls(gaussian(state_width, projected_width, seed))

    @property
    def state_width(self) -> int:
        return self.matrix_HK.shape[0]

    @property
    def width(self) -> int:
        return self.matrix_HK.shape[1]

    @property
    def digest(self) -> str:
        """Tells this matrix from others."""
        return hashlib.sha256(self.matrix_HK.tobytes()).hexdigest()[:16]

    def __call__(self, state_H: Tensor) -> Tensor:
        """The numbers [K], float32, where the state lies; nothing is copied. Raises ValueError for another width."""
        if state_H.shape != self.matrix_HK.shape[:1]:
            raise ValueError(
                f"the hidden state has shape {tuple(state_H.shape)}, the projection was made for width "
                f"{self.state_width}: use a policy trained for this model and head"
            )
        state = state_H.float()
        return (state @ self._matrix(state)) * (state.shape[0] ** 0.5 / state.norm().clamp_min(1e-6))

    def rows(self, states_NH: np.ndarray) -> np.ndarray:
        """The same for many states at once, on the host: [N, K], float32."""
        return unit(states_NH) @ self.matrix_HK

    def _matrix(self, like: Tensor) -> Tensor:
        import torch

        if self._on_device is None or self._on_device.device != like.device:
            self._on_device = torch.from_numpy(self.matrix_HK).to(like.device)
        return self._on_device
