"""What is measured: a function to a figure or a few that share their runs, each returning rows for performance.json."""

from __future__ import annotations

import asyncio
import dataclasses
import statistics
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

import tritonclient.grpc as triton_grpc

from backdrop import EarlyDropping
from bench.figures import Figure
from bench.performance.arms import Arm, Processes, Served, all_arms
from bench.performance.rounds import ROUNDS, Ratio, percentile, ratio, seconds, together
from bench.performance.workload import Order, orders

CONCURRENT = 16
COMMAND = "python -m bench.performance"


async def started(stack: AsyncExitStack, arms: Sequence[Arm]) -> None:
    """Starts arms, and stops them when the stack unwinds."""
    for arm in arms:
        stack.push_async_callback(arm.stop)
        await arm.start()


def figure(name: str, found: Ratio, mark: float, better: str, command: str, note: str = "") -> Figure:
    """A ratio's row."""
    spread = f"{found.spread}{'; ' + note if note else ''}"
    return Figure(name, round(found.median, 3), mark, better, f"{COMMAND} {command}", spread)


async def throughput() -> list[Figure]:
    """All arms, 16 requests at once."""
    async with AsyncExitStack() as stack:
        arms = all_arms()
        await started(stack, arms)
        found = await seconds(arms, lambda number: orders(CONCURRENT, first=100 * number))
    each = f"{CONCURRENT} requests of 8 guided steps; backdrop {statistics.median(found['backdrop']):.1f} s a round"
    marks = {"inprocess": 1.3, "inprocess×2": 0.95, "diffusers": 2.2}
    return [
        figure(f"throughput at 16 concurrent, backdrop ÷ {other}", ratio(found, other, "backdrop"), mark, "higher",
               "throughput", each)
        for other, mark in marks.items()
    ]  # fmt: skip


async def lonely() -> list[Figure]:
    """One request after another, nobody else."""
    async with AsyncExitStack() as stack:
        arms: list[Arm] = [Processes("inprocess", "inprocess"), Served()]
        await started(stack, arms)
        found = await seconds(arms, lambda number: orders(1, first=100 * number), rounds=3 * ROUNDS)
    note = f"inprocess {statistics.median(found['inprocess']):.2f} s"
    taken = ratio(found, "backdrop", "inprocess")
    return [figure("one lonely request, latency, backdrop ÷ inprocess", taken, 1.15, "lower", "lonely", note)]


async def under_load() -> list[Figure]:
    """Latencies of a burst of 16 by the latency of one alone; and how much of the wall the engines were busy."""
    least, taxes = list[float](), list[float]()
    async with AsyncExitStack() as stack:
        arm = Served()
        await started(stack, [arm])
        await together(arm, orders(4, first=9000))
        for number in range(1, ROUNDS + 1):
            alone = min([(await arm.make(order)).seconds for order in orders(3, first=1000 * number)])
            before = busy_s(arm)
            wall, made = await together(arm, orders(CONCURRENT, first=1000 * number + 100))
            taxes.append(1 - (busy_s(arm) - before) / wall)
            least.append(min(each.seconds for each in made) / alone)
    return [
        figure("least latency in a burst of 16 ÷ alone", Ratio(tuple(least)), 1.2, "lower", "load"),
        figure("orchestrator tax at saturation: 1 − engine-busy ÷ wall", Ratio(tuple(taxes)), 0.05, "lower", "load",
               "all models' executions, which overlap where two run at once"),
    ]  # fmt: skip


def busy_s(arm: Served) -> float:
    """Seconds that the models of the arm's Triton have computed: executions, not requests."""
    assert arm.cluster is not None
    total = 0
    for address in arm.cluster.endpoints.triton:
        with triton_grpc.InferenceServerClient(address) as client:
            found: Any = client.get_inference_statistics()
        for model in found.model_stats:
            for batch in model.batch_stats:
                total += batch.compute_infer.ns + batch.compute_input.ns + batch.compute_output.ns
    return total / 1e9


async def previews() -> list[Figure]:
    """The first preview of a lonely request by its whole latency."""
    values = []
    async with AsyncExitStack() as stack:
        arm = Served()
        await started(stack, [arm])
        for order in orders(ROUNDS + 1, steps=20, preview_every=1):
            made = await arm.make(order)
            values.append(made.first_preview_s / made.seconds)
    found = Ratio(tuple(values[1:]))
    return [figure("first preview ÷ whole latency, as the client sees it", found, 0.2, "lower", "previews", "20 steps")]


async def mixed() -> list[Figure]:
    """4-step requests that come while 50-step ones run, by what they take alone."""
    values = []
    async with AsyncExitStack() as stack:
        arm = Served()
        await started(stack, [arm])
        await together(arm, orders(2, first=9000))
        for number in range(1, ROUNDS + 1):
            short = orders(12, first=1000 * number, steps=4)
            alone = [(await arm.make(order)).seconds for order in short]
            long = [asyncio.create_task(arm.make(order)) for order in orders(4, 1000 * number + 500, steps=50)]
            await asyncio.sleep(1.0)
            beside = [
                (await arm.make(dataclasses.replace(order, number=order.number + 100))).seconds for order in short
            ]
            for task in long:
                task.cancel()
            await asyncio.gather(*long, return_exceptions=True)
            values.append(percentile(beside, 95) / percentile(alone, 95))
    found = Ratio(tuple(values))
    note = "12 short ones in a row beside 4 long ones"
    return [figure("P95 of 4-step requests while 50-step ones run ÷ alone", found, 1.5, "lower", "mixed", note)]


async def cache() -> list[Figure]:
    """The encode stage of a prompt that was encoded before, by that of a new one."""
    values = []
    async with AsyncExitStack() as stack:
        arm = Served()
        await started(stack, [arm])
        for number in range(ROUNDS + 1):
            miss, hit = [await arm.make(Order(number, steps=1)) for _ in range(2)]
            values.append(hit.encode_s / miss.encode_s)
    found = Ratio(tuple(values[1:]))
    return [figure("embedding cache: encode stage, hit ÷ miss", found, 0.1, "lower", "cache")]


async def joining() -> list[Figure]:
    """How many steps others take between a newcomer's start of denoising and its first step."""
    values = []
    async with AsyncExitStack() as stack:
        arm = Served()
        await started(stack, [arm])
        await together(arm, orders(2, first=9000))
        for number in range(1, ROUNDS + 1):
            running = asyncio.create_task(arm.make(Order(1000 * number, steps=60)))
            await asyncio.sleep(1.0)
            made = await arm.make(Order(1000 * number + 1, steps=4))
            other = await running
            begins, first = made.steps_at[:2]
            values.append(float(sum(begins < moment < first for moment in other.steps_at)))
    found = Ratio(tuple(values))
    return [figure("join delay of a new request, in steps of the others", found, 1, "lower", "joining")]


async def window() -> list[Figure]:
    """What a guidance window saves, and what the reward model says of the pictures with and without it."""
    count, chosen = 24, (0.0, 0.55)
    async with AsyncExitStack() as stack:
        arm = Served()
        await started(stack, [arm])
        _, whole = await together(arm, orders(count, first=0, steps=20, guidance_scale=5.0))
        _, part = await together(arm, orders(count, first=0, steps=20, guidance_scale=5.0, guidance_window=chosen))
    saved = 100 * (1 - sum(made.row_steps for made in part) / sum(made.row_steps for made in whole))
    differences = [b.score - a.score for a, b in zip(whole, part, strict=True)]
    mean, error = statistics.mean(differences), statistics.stdev(differences) / count**0.5
    spread = (
        f"guided in steps {chosen[0]:g} to {chosen[1]:g}; mean reward {mean:+.4f} ± {error:.4f} (standard error) over "
        f"{count} pictures of 20 steps"
    )
    why = "" if mean > -2 * error - 0.005 else "the reward fell by more than its error"
    command = f"{COMMAND} window"
    return [Figure("guidance window: row-steps saved, %", round(saved, 1), 20, "higher", command, spread, why)]


async def dropping() -> list[Figure]:
    """What early dropping saves, and what it costs the pictures that come back: their mean reward, by pairs."""
    count, chosen = 12, EarlyDropping(keep=3, after=0.5)
    settings: dict[str, Any] = {"steps": 20, "guidance_scale": 5.0, "variants": 8, "top_k": 2}
    async with AsyncExitStack() as stack:
        arm = Served()
        await started(stack, [arm])
        _, whole = await together(arm, orders(count, first=0, **settings))
        _, part = await together(arm, orders(count, first=0, early_dropping=chosen, **settings))
    saved = 100 * (1 - sum(made.row_steps for made in part) / sum(made.row_steps for made in whole))
    differences = [b.score - a.score for a, b in zip(whole, part, strict=True)]
    mean, error = statistics.mean(differences), statistics.stdev(differences) / count**0.5
    spread = (
        f"8 variants, the best 3 go on after half of 20 steps, top 2 returned; mean reward {mean:+.4f} ± {error:.4f} "
        f"(standard error) over {count} requests"
    )
    command = f"{COMMAND} dropping"
    return [Figure("early dropping: row-steps saved, %", round(saved, 1), 30, "higher", command, spread)]


async def exactness() -> list[Figure]:
    """Pictures of a burst by the same requests alone, in one process: differences in bytes."""
    async with AsyncExitStack() as stack:
        served, alone = Served(), Processes("inprocess", "inprocess")
        await started(stack, [served, alone])
        some = orders(CONCURRENT, first=500)
        _, burst = await together(served, some)
        differing = 0
        for order, made in zip(some, burst, strict=True):
            differing += (await alone.make(order)).digest != made.digest
    note = f"{CONCURRENT} pictures, served in one burst and made alone in a process without a server"
    return [Figure("pictures that differ, batched against alone", differing, 0, "lower", f"{COMMAND} exactness", note)]


FIGURES: dict[str, Callable[[], Coroutine[Any, Any, list[Figure]]]] = {
    "throughput": throughput,
    "lonely": lonely,
    "load": under_load,
    "previews": previews,
    "mixed": mixed,
    "cache": cache,
    "joining": joining,
    "window": window,
    "dropping": dropping,
    "exactness": exactness,
}
