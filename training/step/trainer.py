"""One run's training on one device: builds everything, makes steps, saves. `training.loop` is its life around it."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

import delora
from training.base import precision
from training.errors import BadInput
from training.runs import checkpoint
from training.step import memory
from training.step.adapting import attach, relative_geometry
from training.step.memory import Plan
from training.step.schedules import lr_factor

if TYPE_CHECKING:
    from accelerate import Accelerator

    from training.base.models import BaseModel
    from training.runs.run import Run
    from training.spec import RunSpec
    from training.step.objective import Objective

RATES = {"lambda": "lr_lambda", "trained": "lr_trained"}  # name of a group of parameters -> of its rate in events
SKIPPED_IN_A_ROW = 25  # fp16's loss scaling skips a step now and then; this many mean that it finds no scale


class Diverged(Exception):
    """The loss or the gradient is not finite."""


class Trainer:
    """Adapter, optimizer and objective of a run, at a step.

    step: steps made. saved_step: the step of the newest checkpoint, None before the first. name: of its adapter among
    others on the same base model.
    """

    def __init__(
        self,
        run: Run,
        base: BaseModel,
        objective: Objective,
        plan: Plan,
        accelerator: Accelerator,
        name: str = "default",
    ):
        self.run, self.base, self.objective, self.plan, self.name = run, base, objective, plan, name
        self.accelerator = accelerator
        self.spec: RunSpec = run.spec
        self.step = 0
        self.saved_step: int | None = None
        self.skipped = 0
        self.seconds = 0.0  # spent in steps, over all attempts
        self.adapter = None
        try:
            self._start_or_resume()
        except BaseException:
            self.close()
            raise

    # Building

    def _start_or_resume(self) -> None:
        """Take up the newest checkpoint that is whole, or attach a new adapter."""
        for step in self._starts():
            path = self.run.checkpoint(step)
            try:
                info = checkpoint.read(path)
                self.adapter = checkpoint.attach(self.base, path, self.name)
                if self.objective.trained is not None:
                    checkpoint.load_trained(path, self.objective.trained)
                self._build_optimizer()
                if (path / "trainer.safetensors").is_file():
                    checkpoint.load_optimizer(path, self.optimizer.optimizer)
            except BadInput as error:
                self.close()
                self.run.append_event({"kind": "note", "words": f"{error} Going on from an earlier save."})
                continue
            self._take_over(step, info)
            return
        if self.run.events("step"):
            self.run.append_event({"kind": "resume", "step": 0})
        self.adapter = attach(self.base, self.spec, self.name)
        self._build_optimizer()

    def _starts(self) -> list[int]:
        """The saves to go on from, best first: the run's own, or its parent's, whose optimizer may be gone."""
        first = self.spec.start_step
        inherited = [first] if first in self.run.checkpoints() else []
        return checkpoint.resumable(self.run) or inherited

    def _take_over(self, step: int, info: dict[str, Any]) -> None:
        config = self.spec.adapter.to_config(self.spec.targets)
        if self.adapter.config != config:
            raise BadInput(
                "The adapter's settings differ from those of the save that this run begins with.",
                "Keep method, rank and the like as they were, or begin at step 0.",
                "adapter",
            )
        self.step = self.saved_step = step
        self.seconds = info.get("seconds", 0.0)
        if info["run"] == self.run.id:
            self.plan = Plan(**info["plan"])
        if info.get("scaler") and self.accelerator.scaler:
            self.accelerator.scaler.load_state_dict(info["scaler"])
        now = {name: checkpoint.version(name) for name in checkpoint.PACKAGES}
        if info["versions"] != now or info["threads"] != torch.get_num_threads():
            words = "Packages or threads changed since the save, so the last digits may differ from an unbroken run."
            self.run.append_event({"kind": "note", "words": words})
        self.run.append_event({"kind": "resume", "step": step})

    def _build_optimizer(self) -> None:
        spec = self.spec
        groups = self.adapter.parameter_groups(spec.learning_rate, spec.learning_rate_lambda, spec.weight_decay)
        beside = [] if self.objective.trained is None else list(self.objective.trained.parameters())
        if beside:
            groups.append({"params": beside, "lr": self.objective.rate, "weight_decay": 0.0, "name": "trained"})
        for group in groups:
            group["base_lr"] = group["lr"]
        fused = self.base.unet.device.type in ("cpu", "cuda")
        self.optimizer = self.accelerator.prepare_optimizer(torch.optim.AdamW(groups, fused=fused))
        self.parameters = [*self.adapter.parameters(), *beside]
        self.apply_plan()

    def apply_plan(self) -> None:
        """Make the base model keep or forget activations, as the plan has it."""
        if self.plan.checkpointing:
            self.base.unet.enable_gradient_checkpointing()
        else:
            self.base.unet.disable_gradient_checkpointing()

    def close(self) -> None:
        """Take the adapter off and leave the base model as it was."""
        if self.adapter is not None:
            self.adapter.detach()
        self.adapter = None
        self.base.unet.disable_gradient_checkpointing()
        self.base.unet.eval()

    # Steps

    def make_step(self) -> dict[str, Any]:
        """Make one step and return its event.

        Raises Diverged where loss or gradient is not finite, with nothing changed. Out-of-memory errors pass through;
        nothing has changed then either, and the step can be made again.
        """
        began = time.perf_counter()
        self._seed_everything(self.step + 1)
        with self.alone():
            parts = self._gradients()
        return self.finish_step(parts, began)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """The base model with this adapter and, of others that sit on it, none."""
        self.apply_plan()
        with delora.by_rows(self.base.unet, [self.adapter]):
            yield

    def finish_step(self, parts: torch.Tensor, began: float) -> dict[str, Any]:
        """What follows the gradients, which lie ready: the second half of `make_step`.

        parts: of the loss, (1 or 2,). began: when the step did, by `time.perf_counter`.
        """
        rate = self._set_rates()
        norm = self._clip()
        instance, prior = (parts.tolist() + [None])[:2]
        loss = instance if prior is None else instance + self.spec.prior_weight * prior
        if not math.isfinite(loss) or not (math.isfinite(norm) or self.accelerator.scaler):
            self.optimizer.zero_grad(set_to_none=True)
            raise Diverged(self.step + 1)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self._count_skips()
        self.step += 1
        seconds = time.perf_counter() - began
        self.seconds += seconds
        return {
            "kind": "step",
            "step": self.step,
            "loss": loss,
            "loss_instance": instance,
            "loss_prior": prior,
            **rate,
            "grad_norm": norm,
            "seconds": round(seconds, 4),
            "memory_mb": round(memory.used_mb(self.base.unet.device)),
        }

    @property
    def pictures(self) -> int:
        """Pictures of the subject in a step, of all micro-batches and processes."""
        return self.spec.batch_size * self.spec.gradient_accumulation * self.accelerator.num_processes

    def _gradients(self) -> torch.Tensor:
        """Sum up the gradients of one step's micro-batches; returns the loss's parts, (1 or 2,)."""
        accelerator = self.accelerator
        mine, count = accelerator.process_index, accelerator.num_processes
        n = self.pictures
        instance, prior = self.objective.draw(self.step, n)
        self.base.unet.train()
        total = None
        # The processes take the micro-batches in turn.
        for start in range(mine * self.plan.micro_batch, n, self.plan.micro_batch * count):
            part = slice(start, start + self.plan.micro_batch)
            with self.computing():
                losses = self.objective.loss(instance[part], prior[part] if prior else None, n)
                accelerator.backward(losses.total)
            total = losses.parts if total is None else total + losses.parts
        if count > 1:
            flat = torch.cat([p.grad.flatten() for p in self.parameters] + [total])
            flat = accelerator.reduce(flat, "sum")
            *grads, total = flat.split([p.numel() for p in self.parameters] + [len(total)])
            for p, grad in zip(self.parameters, grads, strict=True):
                p.grad.copy_(grad.view_as(p))
        return total

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """The precision of the base model's work; the backward pass of checkpointed blocks needs it as well."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(self.accelerator.autocast())
            if self.accelerator.mixed_precision == "bf16" and self.base.unet.device.type == "cpu":
                stack.enter_context(precision.Fp32Attention())
            yield

    def scaled(self, loss: torch.Tensor) -> torch.Tensor:
        """The loss as the backward pass takes it: times the scale that half precision asks for."""
        return self.accelerator.scaler.scale(loss) if self.accelerator.scaler else loss

    def _clip(self) -> float:
        limit = self.spec.max_grad_norm or math.inf
        return float(self.accelerator.clip_grad_norm_(self.parameters, limit))

    def _count_skips(self) -> None:
        self.skipped = self.skipped + 1 if self.optimizer.step_was_skipped else 0
        if self.skipped >= SKIPPED_IN_A_ROW:
            raise Diverged(self.step + 1)

    def _set_rates(self) -> dict[str, float]:
        factor = lr_factor(self.spec, self.step)
        rates = {}
        for group in self.optimizer.param_groups:
            group["lr"] = group["base_lr"] * factor
            rates[RATES.get(group.get("name"), "lr")] = group["lr"]
        return rates

    def _seed_everything(self, step: int) -> None:
        """torch's own generators, for what draws from them by itself (the adapter's dropout)."""
        torch.manual_seed((self.spec.seed * 1_000_003 + step) % 2**63)

    def step_down(self) -> bool:
        """Give up speed for memory, once; False where there is nothing more to give up."""
        down = self.plan.smaller() if self.plan == Plan.of(self.spec) else None
        if down is None:
            return False
        self.optimizer.zero_grad(set_to_none=True)
        memory.release(self.base.unet.device)
        self.plan = down
        self.apply_plan()
        return True

    # What is kept

    def geometry(self) -> dict[str, Any]:
        """The event with each layer's distance from its pretrained weight and its limits."""
        return {"kind": "geometry", "step": self.step, "layers": relative_geometry(self.adapter)}

    def save(self) -> None:
        """Write the checkpoint of this step, and remove old ones by the rule."""
        scaler = self.accelerator.scaler
        info = {
            "plan": self.plan.to_dict(),
            "precision": self.accelerator.mixed_precision,
            "seconds": round(self.seconds, 3),
            "scaler": scaler.state_dict() if scaler else None,
        }
        if self.accelerator.is_main_process:
            made = self.objective.trained
            checkpoint.save(self.run, self.step, self.adapter, self.optimizer.optimizer, self.base, info, made)
            removed = checkpoint.prune(self.run)
            self.run.append_event({"kind": "save", "step": self.step, "removed": removed})
        self.accelerator.wait_for_everyone()
        self.saved_step = self.step
