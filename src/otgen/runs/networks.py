"""The networks of a finished run, and what they read."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from otgen.data import Source
from otgen.data.labelled import LabelledLatent
from otgen.errors import InputError
from otgen.methods import Method
from otgen.ot import AtomPotentials
from otgen.train import Device, RunConfig, RunDir, Trainer, build_generator, checkpoint
from otgen.train.conditioning import labelled, of_samples


def load_generator(
    run: RunDir, *, raw: bool = False, config: RunConfig | None = None
) -> tuple[nn.Module, checkpoint.Shapes]:
    """The generator of the newest checkpoint, in evaluation mode, and the shape and range of its samples.

    If the run is conditioned on labels, it reads latent vectors with a one-hot vector of the label appended, ``(n, d +
    K)``, in the order of ``shapes.labels.names``.

    Args:
        run: the run directory; the data are not needed.
        raw: use the weights themselves rather than their moving average.
        config: the run's configuration, if it is already loaded: reading it takes a tenth of a second.
    """
    path = checkpoint.newest(run.checkpoints)
    shapes = checkpoint.read_shapes(path)
    config = run.load_config(without_method=True) if config is None else config
    generator = build_generator(config, shapes)
    file = path / ("generator.safetensors" if raw else "generator_ema.safetensors")
    generator.load_state_dict(checkpoint.read_fitting(file, generator))
    return of_samples(generator).eval(), shapes


def load_critic(run: RunDir, *, config: RunConfig | None = None) -> nn.Module:
    """The critic, or the feature map, of the newest checkpoint, on the CPU and in evaluation mode.

    It maps ``(n, *shape)`` to ``(n, k)``; ``k`` is 1 for WGAN, WGANGP and SCO, whose critic interpolates on a grid.

    Args:
        run: the run directory; the data must be there.
        config: the run's configuration, if it is already loaded.

    Raises:
        InputError: the run's method has no critic, there is no checkpoint, or the data cannot be read.
    """
    method, state = _restored(run, config)
    critic = method.critic_of(state)
    if critic is None:
        other = "; load_potentials gives its potentials" if method.potentials_of(state) is not None else ""
        raise InputError(f"{type(method).__name__} has no critic, so {run.path} holds none{other}")
    return critic.eval()


def load_potentials(run: RunDir, *, config: RunConfig | None = None) -> nn.Module | AtomPotentials:
    """The dual potentials between generated samples and data of the newest checkpoint, on the CPU.

    For SWGAN a module in evaluation mode: of samples x and data y, ``(n, *shape)`` and ``(m, *shape)``, or of their
    features by :func:`load_critic` if these are learnt, it gives ``f(x)`` and ``g(y)``, ``(n,)`` and ``(m,)``; with
    ``potential_input`` code it takes the codes of x in place of x. For
    SemiDiscreteGAN f as a function of samples, and g as a vector over the data points.

    Args:
        run: the run directory; the data must be there.
        config: the run's configuration, if it is already loaded.

    Raises:
        InputError: the run's method keeps no potentials, there is no checkpoint, or the data cannot be read.
    """
    method, state = _restored(run, config)
    potentials = method.potentials_of(state)
    if potentials is None:
        other = "; load_critic gives its critic" if method.critic_of(state) is not None else ""
        raise InputError(f"{type(method).__name__} keeps no potentials, so {run.path} holds none{other}")
    return potentials.eval() if isinstance(potentials, nn.Module) else potentials


def _restored(run: RunDir, config: RunConfig | None) -> tuple[Method, Any]:
    """A run's method and its state at the newest checkpoint."""
    path = checkpoint.newest(run.checkpoints)
    config = run.load_config() if config is None else config
    trainer = Trainer(replace(config, trainer=replace(config.trainer, device=Device.CPU, threads=0)), run)
    checkpoint.load(path, trainer.state)
    return config.method, trainer.state.method


def latent_law(config: RunConfig, shapes: checkpoint.Shapes, label: str | None = None) -> Source:
    """The law of what a run's generator reads: its latent law, with the labels if it is conditioned on labels.

    Args:
        config: the run's configuration.
        shapes: what the run's checkpoint says of the samples.
        label: the only label to draw; None for labels by the data's shares.

    Raises:
        InputError: there is no such label, or the run is not conditioned on labels.
    """
    latent = labelled(config.latent, shapes.labels)
    if label is None:
        return latent
    if not isinstance(latent, LabelledLatent):
        raise InputError(
            f"the run is not conditioned on labels, so it cannot be asked for {label!r}; leave the label out, or train "
            "with one (--data.label)"
        )
    return latent.only(latent.code.index_of(label))
