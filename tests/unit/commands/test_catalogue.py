"""The catalogue that ships with the package, against the registry."""

import pytest

from ddnn import families
from ddnn.commands.catalogue import FILE, as_text, catalogue, computed


def test_the_shipped_catalogue_is_what_the_registry_says() -> None:
    message = "a family, or how its cost is counted, has changed; `make catalogue` writes commands/catalogue.json anew"
    assert FILE.read_text() == as_text(computed()), message  # as text, since people see the order too


@pytest.mark.parametrize(
    ("asked", "shape", "classes", "parameters"),  # of ResNet-18: 11,176,512 and 513 a class
    [
        ({}, [3, 224, 224], 1000, 11_689_512),
        ({"image_size": 64}, [3, 64, 64], 1000, 11_689_512),
        ({"num_classes": 10}, [3, 224, 224], 10, 11_181_642),
    ],
)
def test_it_is_for_the_images_and_classes_that_are_asked_for(
    asked: dict[str, int], shape: list[int], classes: int, parameters: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(families, "REGISTRY", {"resnet_basic": families.REGISTRY["resnet_basic"]})
    entry = catalogue(**asked)["resnet_basic"]
    assert (entry["input"], entry["classes"]) == (shape, classes)
    assert entry["members"]["resnet18"]["parameters"] == parameters
    assert entry["members"]["resnet18"]["inside"] == ["resnet34"]
