"""What is measured, one module a question; MEASURES has them in the order of a round."""

from ..bench import Measure
from . import concurrency, depth, drain, idle, latency, mixed, push, start

MEASURES: tuple[Measure, ...] = (
    drain.MEASURE,
    push.ONE_AT_A_TIME,
    push.MANY,
    push.LINES,
    latency.MEASURE,
    idle.MEASURE,
    concurrency.MEASURE,
    mixed.MEASURE,
    depth.MEASURE,
    start.MEASURE,
)
