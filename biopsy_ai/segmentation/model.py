"""Model folders: ``model.yaml``, ``weights.safetensors`` and a model card, ``README.md``."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml
from numpy.typing import NDArray

from biopsy_ai.config import OUTLINE_MPP
from biopsy_ai.errors import ModelError
from biopsy_ai.segmentation.activation_ranges import KEY, activated_modules, ranges_of
from biopsy_ai.segmentation.thresholds import (
    THRESHOLD_SETS,
    InstanceThresholds,
    NucleusThresholds,
)
from biopsy_ai.yaml_text import load_yaml

if TYPE_CHECKING:
    import torch

    from biopsy_ai.segmentation.device import Device
    from biopsy_ai.segmentation.network import FiberNet
    from biopsy_ai.segmentation.openvino_network import OpenVinoNetwork

SPEC_FILE = "model.yaml"
WEIGHTS_FILE = "weights.safetensors"

_REQUIRED = ("name", "version", "architecture", "working_mpp", "thresholds", "weights_sha256")

_COUNTER = "num_batches_tracked"
"""Of batch normalization; only training counts."""


@dataclass(frozen=True, eq=False)
class Model:
    """A trained network with everything that its use depends on.

    Attributes
    ----------
    name
        From ``model.yaml``.
    folder
        Where it was loaded from.
    spec
        The whole content of ``model.yaml``.
    weights_sha256
        Of the file with the weights.
    """

    name: str
    folder: Path
    spec: dict[str, Any]
    weights_sha256: str
    _weights: dict[str, NDArray[Any]] = field(repr=False)
    _prepared: dict[tuple[str, torch.dtype], torch.nn.Module] = field(
        default_factory=dict, init=False, repr=False
    )

    @property
    def working_mpp(self) -> float:
        """Pixel size of the network's input, µm."""
        return float(self.spec["working_mpp"])

    @property
    def thresholds(self) -> InstanceThresholds:
        """Thresholds tuned for this model in bright field."""
        return self.thresholds_for("thresholds")

    def thresholds_for(self, name: str) -> InstanceThresholds:
        """Thresholds tuned for sections of one kind; those of bright field where there are none.

        Parameters
        ----------
        name
            One of `biopsy_ai.segmentation.thresholds.THRESHOLD_SETS`. In fluorescence the inside
            of a fiber is as dark as the space between fascicles, and stains by enzymes leave some
            fibers as pale: there the maps are less certain than in bright field otherwise.
        """
        return InstanceThresholds.from_mapping(self.spec.get(name, self.spec["thresholds"]))

    @property
    def warning(self) -> str:
        """What whoever uses the model must know: that it has not earned its place; else empty."""
        if self.spec.get("ready", True):
            return ""
        reason = str(self.spec.get("ready_reason", "")).strip()
        return f"The model {self.name} is not ready for use. {reason}".strip()

    @cached_property
    def nucleus_thresholds(self) -> NucleusThresholds:
        """Thresholds of the nuclei; defaults where they were not tuned."""
        return NucleusThresholds.from_mapping(self.spec.get("nucleus_thresholds", {}))

    @property
    def draws_nuclei(self) -> bool:
        """Whether the network draws nuclei."""
        return bool(self.spec["architecture"].get("nuclei", False))

    @property
    def draws_tissue(self) -> bool:
        """Whether the network tells tissue classes."""
        return bool(self.spec["architecture"].get("tissue", False))

    def network(self, device: Device | str = "auto") -> torch.nn.Module:
        """Build the network for prediction on a device.

        Parameters
        ----------
        device
            A `Device`, or a name that `choose_device` takes.

        Returns
        -------
        torch.nn.Module
            In evaluation mode, in the precision of the device, channels last.
        """
        import torch

        from biopsy_ai.segmentation.device import choose_device
        from biopsy_ai.segmentation.network import FiberNet, fold_normalization

        if isinstance(device, str):
            device = choose_device(device)
        network = FiberNet(**self.spec["architecture"])
        # `load_model` has checked that nothing but the counters is missing.
        network.load_state_dict(
            {key: torch.from_numpy(array) for key, array in self._weights.items()}, strict=False
        )
        network = fold_normalization(network.float().eval())
        network = network.to(device.name, device.dtype)
        return network.to(memory_format=torch.channels_last)

    def prepared(self, device: Device) -> torch.nn.Module:
        """Give what `network` builds, the same one each time: it must not be changed."""
        key = device.name, device.dtype
        if key not in self._prepared:
            self._prepared[key] = self.network(device)
        return self._prepared[key]

    @cached_property
    def activation_ranges(self) -> dict[str, float]:
        """What it takes to compute in whole numbers; empty where it was not measured."""
        return ranges_of(self.spec)

    @cached_property
    def in_whole_numbers(self) -> OpenVinoNetwork:
        """The network in whole numbers; needs `activation_ranges`."""
        from biopsy_ai.segmentation.network import fold_normalization
        from biopsy_ai.segmentation.openvino_network import OpenVinoNetwork

        return OpenVinoNetwork(fold_normalization(self.unfolded()), self.activation_ranges)

    def unfolded(self) -> FiberNet:
        """Build the network as it was trained, in single precision and evaluation mode."""
        import torch

        from biopsy_ai.segmentation.network import FiberNet

        network = FiberNet(**self.spec["architecture"])
        network.load_state_dict(
            {key: torch.from_numpy(array) for key, array in self._weights.items()}
        )
        return network.float().eval()


def load_model(name_or_folder: str | Path, *, check: bool = True) -> Model:
    """Load a bundled model by name, or any model by its folder.

    Only numbers are read from the folder, nothing in it is executed.

    Parameters
    ----------
    name_or_folder
        Of the model.
    check
        Whether to see that architecture and weights fit, which takes PyTorch a second to load;
        where others do the work, they see to it.

    Raises
    ------
    ModelError
        When there is no such model, or its folder is incomplete, damaged or made for another
        version of biopsy-ai.
    """
    folder = _find(name_or_folder)
    spec = read_spec(folder / SPEC_FILE)
    weights, digest = _read_weights(folder / WEIGHTS_FILE, str(spec["weights_sha256"]))
    model = Model(str(spec["name"]), folder, spec, digest, weights)
    try:
        if check:
            _check(model)
    except ModelError as error:
        raise ModelError(f"{folder / SPEC_FILE}: {error}") from error
    return model


def save_model(
    folder: str | Path, network: torch.nn.Module, spec: Mapping[str, Any], *, card: str = ""
) -> Path:
    """Write a model folder, with the weights in half precision.

    Parameters
    ----------
    folder
        Made if missing.
    network
        A `FiberNet` as trained; batch normalization not folded.
    spec
        Content of ``model.yaml``, with at least name, version, architecture and thresholds.
        ``working_mpp`` and ``weights_sha256`` are filled in.
    card
        Text of ``README.md``; an existing one is kept where it is empty.

    Returns
    -------
    Path
        The folder.
    """
    import torch
    from safetensors.numpy import save

    from biopsy_ai.formats.files import replacing

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for key, tensor in network.state_dict().items():
        if key.endswith(_COUNTER):
            continue
        tensor = tensor.detach().cpu()
        if tensor.is_floating_point():
            tensor = tensor.to(torch.float16)
        arrays[key] = np.ascontiguousarray(tensor.numpy())
        if not np.isfinite(arrays[key]).all():
            raise ModelError(f"{folder}: {key} is not finite in half precision; not saved")
    payload = save(arrays)
    content = {
        "working_mpp": OUTLINE_MPP,
        **spec,
        "weights_sha256": hashlib.sha256(payload).hexdigest(),
    }
    missing = [key for key in _REQUIRED if key not in content]
    if missing:
        raise ModelError(f"{folder}: the specification lacks {', '.join(missing)}")
    with replacing(folder / WEIGHTS_FILE) as path:
        path.write_bytes(payload)
    with replacing(folder / SPEC_FILE) as path:
        text = yaml.safe_dump(_plain(content), sort_keys=False, allow_unicode=True)
        path.write_text(text, encoding="utf-8")
    if card:
        with replacing(folder / "README.md") as path:
            path.write_text(card, encoding="utf-8", errors="surrogateescape")
    return folder


def _find(name_or_folder: str | Path) -> Path:
    folder = Path(name_or_folder)
    if (folder / SPEC_FILE).is_file():
        return folder
    looks_like_path = isinstance(name_or_folder, Path) or len(folder.parts) > 1
    if folder.is_dir():
        raise ModelError(
            f"{folder}: no {SPEC_FILE} in this folder. Give the folder of a model, which holds "
            f"{SPEC_FILE} and {WEIGHTS_FILE}."
        )
    from biopsy_ai.resources import bundled, list_models

    if not looks_like_path and str(name_or_folder) in list_models():
        return bundled("models", str(name_or_folder))
    names = ", ".join(list_models()) or "none in this installation"
    raise ModelError(
        f"{name_or_folder}: there is no model of this name and no such folder. Bundled models: "
        f"{names}."
    )


def read_spec(path: Path) -> dict[str, Any]:
    """Read a ``model.yaml`` without the weights.

    Raises
    ------
    ModelError
        It cannot be read, is incomplete, or was made for another version of biopsy-ai.
    """
    try:
        spec = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(
            f"{path}: the description of the model cannot be read ({error})"
        ) from error
    if not isinstance(spec, dict):
        raise ModelError(f"{path}: expected a mapping with {', '.join(_REQUIRED)}")
    missing = [key for key in _REQUIRED if key not in spec]
    if missing:
        raise ModelError(f"{path}: lacks {', '.join(missing)}. Was the folder copied completely?")
    for key in ("architecture", "thresholds"):
        if not isinstance(spec[key], dict):
            raise ModelError(f"{path}: {key} must be a mapping")
    if not isinstance(spec["working_mpp"], int | float) or not np.isclose(
        spec["working_mpp"], OUTLINE_MPP
    ):
        raise ModelError(
            f"{path}: the model works at {spec['working_mpp']} µm per pixel, this version of "
            f"biopsy-ai at {OUTLINE_MPP}. Use a model made for this version."
        )
    return spec


def _read_weights(path: Path, expected: str) -> tuple[dict[str, NDArray[Any]], str]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        payload = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: the weights cannot be read ({error})") from error
    digest = hashlib.sha256(payload).hexdigest()
    if digest != expected.lower():
        raise ModelError(
            f"{path}: the weights are not those that {SPEC_FILE} was written for (SHA-256 "
            f"{digest[:12]}…, expected {expected[:12]}…). Copy the model folder again; a Git LFS "
            "pointer in place of the file looks like this too."
        )
    try:
        weights = load(payload)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{path}: the weights are damaged ({error})") from error
    for key, array in weights.items():
        if not np.isfinite(array).all():
            raise ModelError(
                f"{path}: the weights hold values that are not finite ({key}). The training "
                "failed or the file is damaged; use another model."
            )
    return weights, digest


def _check(model: Model) -> None:
    """Check that thresholds, architecture and weights fit this version."""
    import torch

    from biopsy_ai.learned_rules import rules_of
    from biopsy_ai.segmentation.network import FiberNet

    _ = model.nucleus_thresholds, rules_of(model.spec)
    for name in THRESHOLD_SETS:
        model.thresholds_for(name)
    known = inspect.signature(FiberNet.__init__).parameters
    unknown = [key for key in model.spec["architecture"] if key == "self" or key not in known]
    if unknown:
        raise ModelError(
            f"unknown architecture setting {', '.join(map(str, unknown))}. The model was made "
            "for another version of biopsy-ai."
        )
    try:
        with torch.device("meta"):
            network = FiberNet(**model.spec["architecture"])
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"the architecture cannot be built ({error})") from error
    needed = {name for name, _ in activated_modules(network)}
    if model.activation_ranges and model.activation_ranges.keys() != needed:
        raise ModelError(
            f"{KEY} do not fit the architecture. Take them out: the network then computes in "
            "floating point, which is slower."
        )
    expected = {
        key: tuple(tensor.shape)
        for key, tensor in network.state_dict().items()
        if not key.endswith(_COUNTER)
    }
    found = {key: array.shape for key, array in model._weights.items()}
    wrong = sorted(
        key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)
    )
    if wrong:
        raise ModelError(
            f"the weights do not fit the architecture ({len(wrong)} differ, such as {wrong[0]}). "
            f"Copy {SPEC_FILE} and {WEIGHTS_FILE} from the same source."
        )


def _plain(value: Any) -> Any:
    """Turn tuples and numpy numbers into what YAML writes plainly."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, InstanceThresholds | NucleusThresholds):
        return value.as_dict()
    if isinstance(value, np.generic):
        return value.item()
    return value
