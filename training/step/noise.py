"""The base model's noise schedule and what its UNet is trained to predict."""

from __future__ import annotations

import torch
from torch import Tensor

from training.errors import BadInput


class Schedule:
    """The base model's noise schedule: z_t = alpha_t z_0 + sigma_t noise, and what its UNet predicts."""

    def __init__(self, scheduler_config: dict):
        from diffusers import DDPMScheduler

        scheduler = DDPMScheduler.from_config(scheduler_config)
        self.prediction_type: str = scheduler.config.prediction_type
        if self.prediction_type not in TARGETS:
            raise BadInput(
                f"The base model predicts {self.prediction_type!r}, which cannot be trained.",
                f"Known: {', '.join(TARGETS)}.",
                "base",
            )
        self.alpha = scheduler.alphas_cumprod.sqrt()  # (T,)
        self.sigma = (1 - scheduler.alphas_cumprod).sqrt()  # (T,)
        # The noise level as sampling sees it, sigma / alpha; finite also where the last step is pure noise.
        self.levels = self.sigma / self.alpha.clamp(min=1e-6)

    def __len__(self) -> int:
        return len(self.alpha)

    def at(self, timestep: Tensor, device: torch.device) -> tuple[Tensor, Tensor]:
        """alpha and sigma of each sample, (n, 1, 1, 1)."""
        return self.alpha[timestep].to(device)[:, None, None, None], self.sigma[timestep].to(device)[
            :, None, None, None
        ]

    def weight(self, timestep: Tensor, gamma: float | None) -> Tensor:
        """Min-SNR loss weights (n,), (Hang et al., 2023): min(SNR, gamma) in units of the predicted quantity."""
        if gamma is None:
            return torch.ones(len(timestep))
        alpha, sigma = self.alpha[timestep].double(), self.sigma[timestep].double()
        snr = (alpha / sigma) ** 2
        unit = {"epsilon": snr, "v_prediction": snr + 1, "sample": torch.ones_like(snr)}[self.prediction_type]
        limit = 1.0 if self.prediction_type == "epsilon" else 0.0  # min(snr, gamma) / unit where snr is 0
        return torch.where(snr > 0, snr.clamp(max=gamma) / unit.clamp(min=1e-12), limit).float()


TARGETS = {
    "epsilon": lambda z0, noise, alpha, sigma: noise,
    "v_prediction": lambda z0, noise, alpha, sigma: alpha * noise - sigma * z0,
    "sample": lambda z0, noise, alpha, sigma: z0,
}
