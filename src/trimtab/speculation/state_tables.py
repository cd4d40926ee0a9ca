"""How does one replay table train many states? It is built with all their columns, and narrowed to each state's own.

The learned compression of the target's features is fitted here: to what the table's trees accept at each position.
Columns are float32, in memory and on the disk: float16 would lose what makes a live state equal to a tabulated one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from trimtab.encoders.hidden import HiddenProjection
from trimtab.encoders.minilm import MINILM
from trimtab.encoders.projection import reduced_rank
from trimtab.speculation.context import PositionFeatures
from trimtab.speculation.engine.speculator import Speculator
from trimtab.speculation.replay import PromptReplay, ReplayTable
from trimtab.speculation.state_parts import PREFIXES, Fused, FusedFc, Part, Projected, Text, measures
from trimtab.speculation.states import LEARNED, Features, StateFeatures, StateSpec, columns_of

Say = Callable[[str], None]


@dataclass(frozen=True)
class StateSettings:
    """Widths and encoders of a state: ``compressed_width`` numbers for ``fused-learned`` and for ``head``; the text is
    embedded by ``text_encoder`` every ``text_refresh_tokens`` tokens. ``seed``: of the random projection."""

    compressed_width: int = 8
    text_encoder: str = MINILM
    text_refresh_tokens: int = 16
    seed: int = 0


def tabulating(spec: StateSpec, speculator: Speculator, settings: StateSettings | None = None) -> Features:
    """What a replay table must be built with to train the state ``spec``, bound to the pair.

    Raises ValueError where the pair cannot provide a part.
    """
    held, settings = spec.tabulated, settings or StateSettings()
    if held.parts == ("statistics",):
        return PositionFeatures().bind(speculator)
    sizes = measures(speculator)
    makers: dict[str, Callable[[], Part]] = {
        "text": lambda: Text(settings.text_encoder, settings.text_refresh_tokens),
        "fused": lambda: Fused(sizes["target features"]),
        "fused-fc": lambda: FusedFc(sizes["head state"]),
        "head": lambda: Projected(
            "head", HiddenProjection.random(sizes["head state"], settings.compressed_width, settings.seed)
        ),
    }
    return StateFeatures(held, {part: makers[part]() for part in held.parts if part in makers}, sizes).bind(speculator)


def fitted(
    spec: StateSpec,
    held: Features,
    table: ReplayTable,
    settings: StateSettings | None = None,
    *,
    say: Say | None = None,
) -> Features:
    """The state ``spec`` from the features ``held`` that ``table`` was built with; a compression is learned from it.

    ``table`` should hold only prompts that gradients see. Raises ValueError where the table lacks the columns, or was
    built with other features.
    """
    if not isinstance(held, StateFeatures):
        if spec.parts != ("statistics",):
            raise ValueError(
                f"the table was made for the state statistics, wanted is {spec}: make it for {spec.tabulated}"
            )
        return held
    said = table.metadata.get("state", held.spec())
    if said != held.spec():
        raise ValueError(f"the table was built with the state {said}, given is {held.spec()}: build it anew")
    if LEARNED not in spec.parts:
        return held.with_parts(spec)
    settings, columns = settings or StateSettings(), columns_of("fused", table.feature_names)
    conversations = [prompt.task.split("/turn")[0] for prompt in table.prompts]
    groups_N = np.repeat(conversations, [prompt.positions for prompt in table.prompts])
    fused_ND, width = table.features_NF[:, columns], settings.compressed_width
    found = reduced_rank(fused_ND, table.accepted_NA, width, groups_N, seed=settings.seed)
    if say:
        say(
            f"compression of {len(columns)} target features to {width} | foretells {100 * found.explained:.1f}% of the "
            f"variance of acceptance on held-out prompts | ridge {found.strength:g}"
        )
    return held.with_parts(spec, {LEARNED: Projected(LEARNED, HiddenProjection(found.matrix_DK))})


def narrow(table: ReplayTable, features: Features) -> ReplayTable:
    """The table as ``features`` would have made it: their columns, a learned compression applied to those of ``fused``.

    Raises ValueError naming what the table lacks.
    """
    names, known = features.names, {name: column for column, name in enumerate(table.feature_names)}
    plain = [name for name in names if name in known or not name.startswith(f"{PREFIXES[LEARNED]}_")]
    missing = [name for name in plain if name not in known]
    if missing:
        raise ValueError(
            f"the table lacks {len(missing)} of the {len(names)} features, {missing[0]} among them: build it with them"
        )
    columns = [known[name] for name in plain]
    made = [prompt.features_PF[:, columns] for prompt in table.prompts]
    if len(plain) < len(names):
        made = _compressed(table, features, made, names.index(f"{PREFIXES[LEARNED]}_0"))
    return _with_features(table, names, made)


def _compressed(table: ReplayTable, features: Features, made: list[np.ndarray], place: int) -> list[np.ndarray]:
    """The columns with the compression of ``fused`` put in at ``place``."""
    assert isinstance(features, StateFeatures)
    assert features.compression is not None
    columns, project = columns_of("fused", table.feature_names), features.compression
    if len(columns) != project.state_width:
        raise ValueError(
            f"the table holds {len(columns)} columns of fused, the compression was learned from {project.state_width}: "
            "build it with the same models"
        )
    blocks = [project.rows(prompt.features_PF[:, columns]) for prompt in table.prompts]
    return [
        np.concatenate((rest[:, :place], block, rest[:, place:]), axis=1)
        for rest, block in zip(made, blocks, strict=True)
    ]


def _with_features(table: ReplayTable, names: list[str], features: list[np.ndarray]) -> ReplayTable:
    prompts = [
        PromptReplay(p.task, p.category, p.tokens, p.accepted_PA, features_PF, p.context_P)
        for p, features_PF in zip(table.prompts, features, strict=True)
    ]
    return ReplayTable(table.actions, names, prompts, table.metadata)


def select(table: ReplayTable, spec: StateSpec) -> ReplayTable:
    """The table with the columns of one state, so that a wide one trains many. Raises ValueError where it lacks them."""
    columns = spec.columns(table.feature_names)
    names = [table.feature_names[column] for column in columns]
    return _with_features(table, names, [prompt.features_PF[:, columns] for prompt in table.prompts])
