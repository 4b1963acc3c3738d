from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cases.checks import refused
from otgen.errors import InputError
from otgen.metrics import TorchFileFeatures

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
IMAGES = torch.rand(11, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def network() -> nn.Module:
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    with torch.no_grad():
        for k, parameter in enumerate(net.parameters()):
            parameter.copy_(torch.linspace(-1, 1 + k, parameter.numel()).view_as(parameter))
    return net.eval()


def scripted(net: nn.Module, path: Path) -> str:
    torch.jit.script(net).save(str(path))
    return str(path)


def exported(net: nn.Module, path: Path) -> str:
    batch = torch.export.Dim("batch", min=1)
    torch.export.save(torch.export.export(net, (IMAGES[:4],), dynamic_shapes=({0: batch},)), str(path))
    return str(path)


@pytest.mark.parametrize(("save", "ending"), [(scripted, "pt"), (exported, "pt2")])
def test_the_features_are_what_the_network_puts_out(save: Callable[..., str], ending: str, tmp_path: Path) -> None:
    net, path = network(), tmp_path / f"mine.{ending}"
    save(net, path)
    found = TorchFileFeatures(path=str(path), batch=4)(IMAGES)
    torch.testing.assert_close(found.values, net(IMAGES).detach().flatten(1))
    assert found.values.shape == (11, 5)
    assert found.probabilities is None
    assert found.name == f"mine-{hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"


def test_a_network_on_points(tmp_path: Path) -> None:
    path = scripted(nn.Linear(2, 3), tmp_path / "points.pt")
    assert TorchFileFeatures(path=path)(torch.zeros(7, 2, dtype=torch.float64)).values.shape == (7, 3)


class Says(nn.Module):
    """Puts out one thing or another."""

    def __init__(self, kind: int) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == 0:
            return x.flatten(1)[:, :2] / 0.0
        if self.kind == 1:
            return x.sum()
        if self.kind == 2:
            return x.flatten(1).long()
        if self.kind == 3:
            return x.flatten(1)[:1]
        return x


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (0, "NaN or infinite"),
        (1, r"makes \(\) of samples of shape \(11, 3, 8, 8\)"),
        (2, "puts out torch.int64; let the network return one floating tensor"),
        (3, r"makes \(1, 192\) of samples"),
        (4, r"makes \(11, 3, 8, 8\) of samples"),
    ],
)
def test_what_is_no_row_of_features_a_sample_is_refused(kind: int, message: str, tmp_path: Path) -> None:
    extract = TorchFileFeatures(path=scripted(Says(kind), tmp_path / "net.pt"))
    with pytest.raises(InputError, match=message) as caught:
        extract(IMAGES)
    assert "\n" not in str(caught.value)


def test_samples_of_another_shape_are_refused_in_a_line(tmp_path: Path) -> None:
    extract = TorchFileFeatures(path=scripted(network(), tmp_path / "net.pt"))
    with pytest.raises(InputError, match=r"cannot read samples of shape \(4, 1, 8, 8\)") as caught:
        extract(torch.zeros(4, 1, 8, 8))
    assert "\n" not in str(caught.value)


def test_a_network_in_training_mode_is_put_into_evaluation_mode(tmp_path: Path) -> None:
    path = scripted(network().train(), tmp_path / "net.pt")
    torch.testing.assert_close(TorchFileFeatures(path=path)(IMAGES).values, network()(IMAGES).detach().flatten(1))


def test_features_that_depend_on_their_batch_are_refused(tmp_path: Path) -> None:
    class Centred(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            rows = x.flatten(1)
            return rows - rows.mean(0)

    extract = TorchFileFeatures(path=scripted(Centred(), tmp_path / "net.pt"))
    refused("other features in other batches; save the network in evaluation mode", extract, IMAGES)


def test_what_is_no_network_is_refused_and_no_pickle_is_read(tmp_path: Path) -> None:
    """A pickle that would leave a mark where it is read."""
    mark = tmp_path / "mark"
    torch.save({"evil": _Marks(mark)}, tmp_path / "evil.pt")
    torch.save(network().state_dict(), tmp_path / "weights.pt")
    (tmp_path / "text.pt").write_text("no zip")
    for name, message in {
        "evil": "holds weights or a pickle",
        "weights": "holds weights",
        "text": "is neither",
    }.items():
        refused(message, TorchFileFeatures(path=str(tmp_path / f"{name}.pt")), IMAGES)
    assert not mark.exists()


class _Marks:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_damaged_or_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    scripted(network(), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 - 40 : len(content) // 2 + 40] = bytes(80)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"net\.pt") as caught:
        TorchFileFeatures(path=str(path))(IMAGES)
    assert "\n" not in str(caught.value)
    refused("cannot be read", TorchFileFeatures(path=str(tmp_path / "gone.pt")), IMAGES)
    refused("cannot be read: is a folder", TorchFileFeatures(path=str(tmp_path)), IMAGES)
    refused("batch must be at least 1", TorchFileFeatures, path="x", batch=0)
    refused("write one sample as", TorchFileFeatures(path=str(path)), torch.zeros(3))
