"""Samples of a finished run."""

from __future__ import annotations

from torch import Tensor, nn

from otgen.seeding import named_stream
from otgen.train import RunConfig, RunDir, build_generator, checkpoint, generate


def load_generator(
    run: RunDir, *, raw: bool = False, config: RunConfig | None = None
) -> tuple[nn.Module, checkpoint.Shapes]:
    """The generator of the newest checkpoint, in evaluation mode, and the shape and range of its samples.

    Args:
        run: the run directory; the data are not needed.
        raw: use the weights themselves rather than their moving average.
        config: the run's configuration, if it is already loaded: reading it takes a tenth of a second.
    """
    path = checkpoint.verified(checkpoint.newest(run.checkpoints))
    shapes = checkpoint.read_shapes(path)
    generator = build_generator(run.load_config() if config is None else config, shapes)
    file = path / ("generator.safetensors" if raw else "generator_ema.safetensors")
    generator.load_state_dict(checkpoint.read_fitting(file, generator))
    return generator.eval(), shapes


def sample_run(run: RunDir, n: int, seed: int, *, raw: bool = False) -> tuple[Tensor, tuple[float, float] | None]:
    """``n`` samples, float32 ``(n, *shape)``, clamped to the data's range, and that range."""
    config = run.load_config()
    generator, shapes = load_generator(run, raw=raw, config=config)
    samples = generate(generator, config.latent, n, named_stream(seed, "sample"))
    if shapes.value_range is not None:
        samples = samples.clamp(*shapes.value_range)
    return samples, shapes.value_range
