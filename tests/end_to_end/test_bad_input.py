"""Wrong input gets one clear message, a non-zero status, and leaves nothing behind."""

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import ddnn
from ddnn_runtime.data_spec import DataSpec
from tests.end_to_end.command import refused, run


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--full", "resnet43"], 1, "did you mean resnet44"),
        (["--full", "resnet20", "--subnets", "resnet9"], 1, "did you mean resnet8"),
        (["--full", "resnet20", "--subnets", "resnet56"], 1, "does not nest"),
        (["--full", "resnet50", "--subnets", "resnet34"], 1, "does not nest"),
        (["--subnets", "{tiny: [1, 1]}"], 1, "3 stages"),
        (["--subnets", "{tiny:[1,1,1]}"], 1, "a colon needs a space"),
        (["--full", "timm/resnet43"], 1, "did you mean resnet34"),
        (["--full", "timm/resnet34", "--subnets", "resnet50"], 1, "widths differ"),
        (["--full", "resnet34", "--subnets", "resnet18", "--weights", "IMAGENET1K_V7"], 1, "IMAGENET1K_V1"),
        (["--data", "cifar11"], 1, "cifar10"),
        (["--data", "folder:nowhere"], 1, "nowhere"),
        (["--data", "parquet:nowhere"], 1, "nowhere"),
        (["--epoch", "3"], 2, "did you mean --epochs"),
        (["--epochs", "three"], 2, "--epochs must be an integer, not three"),
        (["--epochs", "0"], 1, "epochs must be at least 1"),
        (["--objective", "ekdd"], 2, "--objective must be ekd, joint, inplace, adn, sampled or cooperative, not ekdd"),
        (["--compile", "maybe"], 2, "--compile must be true, false, reduce-overhead or max-autotune, not maybe"),
        (["--subnets_per_step", "x"], 2, "--subnets_per_step must be an integer, not x"),
        (["--fork_gradients", "max"], 2, "--fork_gradients must be sum or mean, not max"),
        (["--full", "cifar_vgg13_bn", "--subnets", "cifar_vgg11_bn", "--zero_init", "true"], 1, "no residual branches"),
        (["--lr", "x"], 2, "--lr must be a number, not x"),
        (["--augment.flip", "7"], 2, "--augment.flip must be true or false, not 7"),
        (["--model_options", "3"], 2, "--model_options must be a mapping, not 3"),
        (["--ekd.alpha", "-1"], 1, "ekd.alpha must be 0 or more"),
        (["--ekd.alhpa", "1"], 2, "did you mean --ekd.alpha"),
        (["--config", "cifar10-resnet21"], 1, "did you mean cifar10-resnet20"),
        (["--model_options.stem", "small"], 1, "unknown option 'stem'"),
        (["--device", "mps"], 1, "device mps is not available"),
        (["--train_images", "99999"], 1, "99999"),
        (["--weights", "nowhere.pt"], 1, "nowhere.pt is missing"),
        (["--augment.policy", "autoaugment"], 1, "large images"),
        (["--seed", str(2**32)], 1, "seed must be in"),
        (["--model_options.num_classes", "5"], 1, "num_classes cannot be among the model_options"),
        (["--model_options.weights", "x.pt"], 1, "weights cannot be among the model_options"),
        (["--precision", "16-mixed", "--device", "cpu"], 1, "16-mixed needs CUDA"),
        (["--train_images", "1", "--validation", "0", "--batch_size", "1", "--image_size", "4"], 1, "--batch_size"),
    ],
)
def test_train_refuses(
    arguments: list[str], status: int, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert message in refused(run(capfd, "train", *arguments, "--output", "run"), status)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochz: 3", "--epochs"),
        ("epochs: [", "YAML"),
        ("- 3", "mapping"),
        ("ekd: {alhpa: 1}", "--ekd.alpha"),
        ("ekd: {attention_stages: x}", "--ekd.attention_stages must be an integer, not x"),
    ],
)
def test_a_wrong_configuration_file_is_refused(
    text: str, message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    assert message in refused(run(capfd, "train", "--config", "mine.yaml"), 2)


def test_an_unknown_command_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    assert "did you mean evaluate" in refused(run(capfd, "evalute"), 2)
    assert "families" in refused(run(capfd), 2)


def test_a_run_directory_that_exists_is_not_touched(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    assert "--resume run" in refused(run(capfd, "train", "--output", "run"))
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


class TestFolders:
    def images(self, folder: Path, count: int = 3) -> None:
        folder.mkdir(parents=True)
        for number in range(count):
            Image.new("RGB", (16, 16), (number * 20, 0, 0)).save(folder / f"{number}.png")

    def test_an_empty_folder_is_refused(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "pictures").mkdir()
        assert "pictures" in refused(run(capfd, "train", "--data", "folder:pictures", "--output", "run"))
        assert not (tmp_path / "run").exists()

    @pytest.mark.parametrize("options", [["--image_size", "16"], ["--image_size", "96", "--workers", "1"]])
    def test_an_unreadable_image_is_named(
        self, options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        for split in ("train", "val"):
            for label in ("cat", "dog"):
                self.images(tmp_path / "pictures" / split / label)
        (tmp_path / "pictures" / "train" / "cat" / "1.png").write_bytes(b"no image")
        result = run(capfd, "train", "--data", "folder:pictures", "--validation", 0, *options, "--epochs", 1)
        assert "1.png" in refused(result)
        assert not list(tmp_path.rglob("config.yaml"))
        assert not list(tmp_path.glob("runs/*"))

    def test_a_folder_of_the_user_s_stays_and_is_left_empty(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        for split in ("train", "val"):
            for label in ("cat", "dog"):
                self.images(tmp_path / "pictures" / split / label)
        (tmp_path / "run").mkdir()
        options = ("--image_size", 96, "--workers", 0, "--validation", 0, "--epochs", 1, "--output", "run")
        for image in (tmp_path / "pictures").rglob("1.png"):
            image.write_bytes(b"no image")
        assert "1.png" in refused(run(capfd, "train", "--data", "folder:pictures", *options))
        assert not list((tmp_path / "run").iterdir())

    @pytest.mark.parametrize("options", [["--image_size", "16"], ["--image_size", "96", "--workers", "0"]])
    def test_a_test_split_that_cannot_be_used_is_told_before_training(
        self, options: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        for label in ("cat", "dog"):
            self.images(tmp_path / "pictures" / "train" / label)
        command = ("train", "--data", "folder:pictures", *options, "--epochs", 1, "--output", "run")
        assert "has no test images" in refused(run(capfd, *command))
        self.images(tmp_path / "pictures" / "val" / "cat", count=0)
        self.images(tmp_path / "pictures" / "val" / "dog", count=0)
        assert "has no test images: that part of it is empty" in refused(run(capfd, *command))
        assert not (tmp_path / "run").exists()

    def test_an_unreadable_small_test_image_is_told_before_training(
        self, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        for split in ("train", "val"):
            for label in ("cat", "dog"):
                self.images(tmp_path / "pictures" / split / label)
        (tmp_path / "pictures" / "val" / "dog" / "2.png").write_bytes(b"no image")
        result = run(capfd, "train", "--data", "folder:pictures", "--epochs", 1, "--output", "run")
        assert "val/dog/2.png" in refused(result)
        assert "epoch" not in result.err
        assert not (tmp_path / "run").exists()


def test_parquet_without_test_images_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = io.BytesIO()
    Image.new("RGB", (8, 8)).save(image, "PNG")
    (tmp_path / "data").mkdir()
    table = pa.table({"image": [{"bytes": image.getvalue()}] * 20, "label": [0, 1] * 10})
    pq.write_table(table, tmp_path / "data" / "train.parquet")
    assert "has no test images" in refused(run(capfd, "train", "--data", "parquet:data", "--output", "run"))
    assert not (tmp_path / "run").exists()


def test_the_system_s_errors_are_one_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert "file" in refused(run(capfd, "train", "--epochs", 1, "--train_images", 100, "--output", "file/run"))


def test_a_network_that_is_not_finite_has_no_scores(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    net = ddnn.build("resnet14", ["resnet8"], num_classes=10, in_channels=1)
    torch.nn.init.constant_(net["resnet14"].get_parameter("fc.bias"), float("nan"))
    net.data_spec = DataSpec(1, (8, 8), (0.5,), (0.2,), tuple("0123456789"))
    net.save(tmp_path / "network")
    assert "not finite" in refused(run(capfd, "evaluate", tmp_path / "network", "--data", "digits", "--json"))


class TestNetworks:
    @pytest.fixture
    def network(self, tmp_path: Path) -> Path:
        spec = DataSpec(1, (8, 8), (0.5,), (0.2,), tuple("abcd"))
        net = ddnn.build("resnet14", ["resnet8"], num_classes=4, in_channels=1)
        net.data_spec = spec
        net.save(tmp_path / "network")
        return tmp_path / "network"

    def test_other_classes_than_the_data(self, network: Path, capfd: pytest.CaptureFixture[str]) -> None:
        message = refused(run(capfd, "evaluate", network, "--data", "digits"))
        assert "10 classes" in message
        assert "4" in message

    def test_a_saved_network_does_not_know_its_data(self, network: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert "give --data" in refused(run(capfd, "evaluate", network))

    def test_a_truncated_file(self, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        weights = network / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:5000])
        for command in (["evaluate", network, "--data", "digits"], ["extract", network], ["predict", network, "x.png"]):
            assert "is damaged" in refused(run(capfd, *command))
        assert not list(tmp_path.glob("*.safetensors"))

    def test_extract(self, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert "did you mean resnet8" in refused(run(capfd, "extract", network, "--subnet", "resnet9"))
        assert "does not exist" in refused(run(capfd, "extract", network, "--output", "no/where.safetensors"))
        (tmp_path / "there.safetensors").write_text("mine")
        assert "exists already" in refused(run(capfd, "extract", network, "--output", "there.safetensors"))
        assert (tmp_path / "there.safetensors").read_text() == "mine"

    def test_predict(self, network: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "text.png").write_text("no image")
        assert "text.png" in refused(run(capfd, "predict", network, "text.png"))
        assert "missing.png" in refused(run(capfd, "predict", network, "missing.png"))
        assert "nowhere" in refused(run(capfd, "predict", "nowhere", "text.png"))
        assert "top must be" in refused(run(capfd, "predict", network, "text.png", "--top", 0))
