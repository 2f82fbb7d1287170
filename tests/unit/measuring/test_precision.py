"""Which number format is chosen: bfloat16 where the device computes with it, and nothing else changes by itself."""

from pathlib import Path

import pytest
import torch

from ddnn import TrainConfig, train
from ddnn.errors import DDNNError
from ddnn.measuring import devices
from ddnn.measuring.devices import pick_precision

CPU = torch.device("cpu")


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One with AMX, whose instructions nobody forbids."""
    monkeypatch.setattr(devices, "_processor_info", lambda key: "avx2 avx512f amx_bf16")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    return monkeypatch


def test_a_processor_with_bfloat16_units_uses_them(processor: pytest.MonkeyPatch) -> None:
    assert pick_precision("auto", CPU)[0] == "bf16-mixed"
    processor.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE_VNNI")
    assert pick_precision("auto", CPU)[0] == "32-true"
    processor.setenv("ONEDNN_MAX_CPU_ISA", "avx512_core_amx")
    assert pick_precision("auto", CPU)[0] == "bf16-mixed"


def test_one_without_computes_in_single_precision(processor: pytest.MonkeyPatch) -> None:
    processor.setattr(devices, "_processor_info", lambda key: "avx2 avx512f avx512_vnni")
    assert pick_precision("auto", CPU) == ("32-true", "this processor has no fast bfloat16")


def test_what_is_asked_for_is_done_or_refused() -> None:
    assert pick_precision("bf16-mixed", CPU)[0] == "bf16-mixed"
    with pytest.raises(DDNNError, match="16-mixed needs CUDA, and the device is cpu; use bf16-mixed or 32-true"):
        pick_precision("16-mixed", CPU)


def test_a_run_says_what_it_chose_and_keeps_it(
    processor: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(TrainConfig(epochs=1, train_images=64, output=str(tmp_path / "run"), device="cpu"))
    assert "ddnn: precision bf16-mixed: this processor has bfloat16 units" in capsys.readouterr().err
    assert run.directory.read_config().precision == "bf16-mixed"
