"""Attaching adapters to a model's linear layers, and taking them off again without a trace.

Each adapted layer (an `nn.Linear`, unless the method can sit on more) gets one child module, `adapters`, that holds its
methods by adapter name, and two forward hooks. The hooks are plain functions, so `copy.deepcopy`, pickling,
`accelerate`, gradient checkpointing and callers such as diffusers' attention processors (`attn.to_q(x)`) all keep
working; the child module lets `model.to(device)` and DistributedDataParallel find the parameters, and stays out of the
model's state dict.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from .config import METHODS, AdapterConfig
from .geometry import LayerGeometry, measure
from .methods import Method
from .products import f64
from .slot import CHILD, Slot, before

ALL = "*"  # as a target: every layer that the method can sit on


def attach(model: nn.Module, config: AdapterConfig, *, seed: int = 0, name: str = "default") -> Adapter:
    """Adapts every linear layer of `model` whose name ends in one of `config.targets`; "*" means all of them.

    Methods whose `kinds` say so sit on other layers too: `lora` on convolutions, `full` also on norms; a DoRA on the
    convolutions that `config.targets` names by their whole path.

    The model's own parameters are frozen (the adapter's `detach` gives back what they were) and its weights are never
    written. All methods but ETHER leave the model's output as it is, bit for bit, until the first training step. The
    start of each layer is drawn from `seed` and the layer's name.

    Raises ValueError, with nothing attached, where a target names no linear layer, a setting does not fit a layer, or
    an adapter of this name is already there.
    """
    linears = find_linears(model, config)
    methods = {path: _build(path, linear, config, seed) for path, linear in linears.items()}
    if not name or "." in name:
        raise ValueError(f"name: an adapter's name needs a letter and no dot, not {name!r}.")
    taken = [path for path, linear in linears.items() if name in getattr(linear, CHILD, ())]
    if taken:
        raise ValueError(f"name: {taken[0]} already has an adapter named {name!r}. Detach it, or choose another name.")
    frozen = [p for p in _own_parameters(model) if p.requires_grad]
    for parameter in frozen:
        parameter.requires_grad_(False)
    for path, linear in linears.items():
        _insert(linear, name, methods[path])
    return Adapter(name, config, linears, frozen)


def find_linears(model: nn.Module, config: AdapterConfig) -> dict[str, nn.Linear]:
    """The layers that `config` means, by module path, in the model's order."""
    kinds, named = METHODS[config.method].kinds, METHODS[config.method].named_kinds

    def ends(path: str, end: str) -> bool:
        return end in (ALL, path) or path.endswith(f".{end}")

    def fits(path: str, module: nn.Module) -> bool:
        return isinstance(module, kinds) or (path in config.targets and isinstance(module, named))

    linears = {p: m for p, m in model.named_modules() if fits(p, m) and m.weight is not None}

    found = {path: m for path, m in linears.items() if any(ends(path, t) for t in config.targets)}
    for target in config.targets:
        if not any(ends(path, target) for path in found):
            some = ", ".join(sorted({path.rpartition(".")[2] for path in linears})[:12]) or "none at all"
            raise ValueError(f"targets: no linear layer's name ends in {target!r}. The model's linear layers: {some}.")
    for pattern in ("rank_pattern", "lambda_pattern"):
        for end in getattr(config, pattern):
            if not any(ends(path, end) for path in found):
                raise ValueError(f"{pattern}: no adapted layer's name ends in {end!r}.")
    return found


def _build(path: str, linear: nn.Linear, config: AdapterConfig, seed: int) -> Method:
    weight = linear.weight
    if not weight.is_floating_point():
        raise ValueError(f"{path}: its weight is {weight.dtype}; adapters need an unquantised layer.")
    if isinstance(linear, nn.modules.linear.NonDynamicallyQuantizableLinear):
        raise ValueError(f"{path}: nn.MultiheadAttention reads this layer's weight without calling it. Leave it out.")
    layer_config = config.for_layer(path)
    if "rank" in METHODS[config.method].options and layer_config.rank > (most := min(weight.flatten(1).shape)):
        raise ValueError(
            f"rank: {layer_config.rank} is more than {path} has ({weight[0].numel()} in, {weight.shape[0]} out). "
            f"Choose at most {most}, or give this layer its own in rank_pattern."
        )
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {path}".encode()))
    try:
        return METHODS[config.method].on(linear, layer_config, generator)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _own_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    for module in model.modules():
        if not isinstance(module, Method):
            yield from module.parameters(recurse=False)


def _insert(linear: nn.Linear, name: str, method: Method) -> None:
    if not hasattr(linear, CHILD):
        linear.add_module(CHILD, Slot(linear))
    slot = getattr(linear, CHILD)
    if method.turns_input and len(slot.handles) == 1:
        slot.handles.append(linear.register_forward_pre_hook(before, with_kwargs=True))
    slot[name] = method
    slot.train(linear.training)


def _remove(linear: nn.Linear, name: str) -> None:
    slot = getattr(linear, CHILD)
    del slot[name]
    if not slot:
        for handle in slot.handles:
            handle.remove()
        delattr(linear, CHILD)


class Adapter:
    """One attached adapter: its layers by module path, and what is done to all of them."""

    def __init__(
        self, name: str, config: AdapterConfig, linears: Mapping[str, nn.Linear], frozen: Iterable[nn.Parameter]
    ) -> None:
        self.name = name
        self.config = config
        self.linears = dict(linears)
        self.layers: dict[str, Method] = {path: getattr(m, CHILD)[name] for path, m in linears.items()}
        self._frozen = list(frozen)
        self._weight_norms: dict[str, float] = {}
        self.attached = True

    def __repr__(self) -> str:
        return (
            f"Adapter({self.name!r}, {self.config.method}, {len(self.layers)} layers, {self.num_trainable:,} trainable)"
        )

    def parameters(self) -> list[nn.Parameter]:
        """Everything an optimizer should see."""
        return [p for layer in self.layers.values() for p in layer.parameters() if p.requires_grad]

    @property
    def num_trainable(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def parameter_groups(self, lr: float, lr_lambda: float | None = None, weight_decay: float = 0.0) -> list[dict]:
        """Groups for torch.optim: the directions with `lr`, and lambda, undecayed, with its own rate (None: `lr`)."""
        named = [
            (n, p, layer) for layer in self.layers.values() for n, p in layer.named_parameters() if p.requires_grad
        ]
        directions = [p for n, p, layer in named if n not in layer.own_rate]
        lambdas = [p for n, p, layer in named if n in layer.own_rate]
        groups = [{"name": "directions", "params": directions, "lr": lr, "weight_decay": weight_decay}]
        if lambdas:
            rate = lr if lr_lambda is None else lr_lambda
            groups.append({"name": "lambda", "params": lambdas, "lr": rate, "weight_decay": 0.0})
        return groups

    @property
    def strength(self) -> float:
        """Scale of the displacement: 0 is the base model exactly, 1 the adapter as trained."""
        return next(iter(self.layers.values())).strength

    @strength.setter
    def strength(self, value: float) -> None:
        if not math.isfinite(value):
            raise ValueError(f"strength: must be a number, not {value!r}.")
        for layer in self.layers.values():
            layer.strength = float(value)

    def to(self, device: torch.device | str) -> Adapter:
        """Moves the adapter's tensors; their precision stays."""
        for layer in self.layers.values():
            layer.to(device)
        return self

    def state_dict(self) -> dict[str, Tensor]:
        """`<module path>.<tensor>` -> detached tensor: what was trained and the constants of the start."""
        return {f"{p}.{n}": t.detach() for p, layer in self.layers.items() for n, t in layer.tensors().items()}

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Copies `state` in. Raises ValueError, with nothing changed, unless keys, shapes and numbers all fit."""
        own = self.state_dict()
        for word, keys in (("lacks", own.keys() - state.keys()), ("has unknown", state.keys() - own.keys())):
            if keys:
                raise ValueError(f"The adapter's state {word} {min(keys)!r} ({len(keys)} in all).")
        for key, tensor in own.items():
            if state[key].shape != tensor.shape:
                raise ValueError(f"{key}: the shape is {tuple(state[key].shape)}, not {tuple(tensor.shape)}.")
            if not torch.isfinite(state[key]).all():
                raise ValueError(f"{key}: holds NaN or infinite numbers.")
        for path, layer in self.layers.items():
            for name, tensor in layer.tensors().items():
                tensor.copy_(state[f"{path}.{name}"])

    def geometry(self) -> list[LayerGeometry]:
        """How far each layer has moved from its pretrained weight, and how far it may, at strength 1."""
        return measure(self.layers, self.linears, self._weight_norms)

    def detach(self) -> None:
        """Takes the adapter off: the model is again what it was before `attach`, bit for bit. May be called twice."""
        if not self.attached:
            return
        for linear in self.linears.values():
            _remove(linear, self.name)
        for parameter in self._frozen:
            parameter.requires_grad_(True)
        self.attached = False

    def merge(self) -> None:
        """Folds the displacement, at the present strength, into the weights and takes the adapter off."""
        merge([self])


@torch.no_grad()
def merge(adapters: Iterable[Adapter]) -> None:
    """Folds several adapters of one model into its weights, each at its strength, and takes them off.

    Raises ValueError where one of the layers holds an adapter that is not in `adapters`: what that one adds is stated
    relative to the weight as it is.
    """
    adapters = list(adapters)
    names = {adapter.name for adapter in adapters}
    for adapter in adapters:
        if not adapter.attached:
            raise ValueError(f"The adapter {adapter.name!r} is not attached, so it cannot be merged.")
        for path, linear in adapter.linears.items():
            if others := set(getattr(linear, CHILD)) - names:
                raise ValueError(f"{path}: also holds the adapter {min(others)!r}. Merge or detach it as well.")
    for linear in dict.fromkeys(linear for adapter in adapters for linear in adapter.linears.values()):
        sums: dict[str, Tensor] = {}
        for method in getattr(linear, CHILD).values():
            for name, moved in method.displacements(linear).items():
                sums[name] = sums.get(name, 0) + method.strength * moved
        for name, moved in sums.items():
            parameter = getattr(linear, name)
            parameter.copy_((f64(parameter) + moved).to(parameter.dtype))
    for adapter in adapters:
        adapter.detach()
