"""What was measured, as tables of Markdown."""

from __future__ import annotations

from collections.abc import Callable

# A title, the key of a value, how it is written, and how another's compares with ours.
Row = tuple[str, str, Callable, Callable]


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3g}"


def duration(ms: float) -> str:
    """A time in the unit that suits it."""
    if ms < 1000:
        return f"{number(ms)} ms"
    return f"{number(ms / 1000)} s" if ms < 120_000 else f"{number(ms / 60_000)} min"


def millions(count: int) -> str:
    return f"{number(count / 1e6)} M"


def times(ours: float, theirs: float) -> str:
    """How the sizes of others compare with ours."""
    return f"{number(theirs / ours)} ×"


def ratio(ours: float, theirs: float) -> str:
    """How the times of others compare with ours: "412 × slower"."""
    factor = theirs / ours
    if number(factor) == "1":
        return "the same"
    return f"{number(factor)} × slower" if factor > 1 else f"{number(1 / factor)} × faster"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table of Markdown; numbers stand to the right."""
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def comparison(rows: list[Row], found: dict, titles: dict[str, str], skipped: str | None) -> str:
    """Our column, and for each other what it found and what that is of ours, or why there is none.

    `titles` are those of the columns by the names in `found`, ours first.
    """
    (ours, first), *others = ((found.get(name), title) for name, title in titles.items())
    head, cells = ["", first], [[title, text(ours[key])] for title, key, text, _ in rows]
    if skipped:
        head.append(" and ".join(title for _, title in others))
        cells = [[*row, "" if i else f"skipped: {skipped}"] for i, row in enumerate(cells)]
        return table(head, cells)
    for theirs, title in others:
        head += [title, ""]
        for row, (_, key, text, compare) in zip(cells, rows, strict=True):
            row += [text(theirs[key]), compare(ours[key], theirs[key])]
    return table(head, cells)


def markdown(results: dict) -> str:
    """The tables of what `benchmark` returned."""
    sections = [
        "# Benchmark",
        about_machine(results),
        "## Start and memory",
        start_table(results["start"]),
        "## Drawing glyphs",
        generation_table(results),
        "## The denoiser",
        denoiser_table(results),
        "## The samplers",
        sampler_table(results),
        "## Autoencoders",
        autoencoder_table(results),
        "## Training",
        training_table(results),
    ]
    return "\n\n".join(sections) + "\n"


def about_machine(results: dict) -> str:
    one, plan = results["machine"], results["plan"]
    lines = [
        f"{one['processor']}, {one['logical_cores']} logical cores, {one['threads']} threads used, "
        f"{number(one['memory_gb'])} GB",
        f"on {one['gpu'] or one['device']}, in {results['precision']}, uncompiled",
        f"{one['system']}, Python {one['python']}, PyTorch {one['torch']}",
        f"load before the start: {number(one['load_1_min'])}",
        f"runs behind each median: {plan['starts']} of whole processes, "
        f"{plan['slow_repeats']} of the article's network, {plan['repeats']} of all else",
    ]
    if results["skipped"]:
        lines.append(f"not measured beside it: {results['skipped']}")
    return "\n".join(f"- {line}" for line in lines)


def start_table(start: dict) -> str:
    rows = [
        [
            "sixteen glyphs by `generate.py`, the whole process",
            duration(1000 * start["generate_s"]),
        ],
        ["peak memory of that process", f"{number(start['peak_mb'])} MB"],
        ["`generate.py --help`, the whole process", duration(1000 * start["help_s"])],
    ]
    return table(["", "median"], rows)


def generation_table(results: dict) -> str:
    rows = [
        ("parameters", "parameters", millions, times),
        ("steps, each of two predictions", "steps", str, lambda *_: ""),
        ("one glyph at a time", "glyph_ms", duration, ratio),
        ("glyphs a second at the best batch", "glyphs_per_s", number, lambda a, b: ratio(b, a)),
        ("glyphs in that batch", "best_batch", str, lambda *_: ""),
    ]
    if results["generation"]["cuda_peak_mb"]:
        megabytes = "{:,.0f} MB".format
        rows.append(("peak of the GPU's memory, one glyph", "cuda_peak_mb", megabytes, times))
    titles = {"generation": "Tianshu", "article": "the article's pipeline"}
    both, theirs = comparison(rows, results, titles, results["skipped"]), results["article"]
    if theirs is None:
        return both
    return (
        f"{both}\n\nThe article's is the glyffuser ({theirs['source']}), untrained. "
        f"{theirs['timed_steps']} of its steps were timed: they cost alike, and the time of a "
        f"glyph is that of one times {theirs['steps']}. Its text encoder is not counted; ours is, "
        "and so is decoding."
    )


def denoiser_table(results: dict) -> str:
    rows = [
        ("parameters", "parameters", millions, times),
        ("one glyph, guided", "batch_2_ms", duration, ratio),
        ("sixteen glyphs, guided", "batch_32_ms", duration, ratio),
    ]
    kind = results["denoiser"]
    titles = {"tianshu": f"Tianshu's {kind}", "diffusers": f"diffusers' {kind}"}
    return comparison(rows, results["denoisers"], titles, results["skipped"])


def sampler_table(results: dict) -> str:
    rows = [
        [
            f"`{name}`",
            f"{number(own['glyphs_1_us'])} µs, {own['glyphs_1_share']:.2%}",
            f"{number(own['glyphs_16_us'])} µs, {own['glyphs_16_share']:.2%}",
        ]
        for name, own in results["samplers"].items()
    ]
    head = ["a step's own work, and its share with a guided call of ours", "a glyph", "sixteen"]
    return table(head, rows)


def autoencoder_table(results: dict) -> str:
    codecs = results["autoencoders"]
    rows = [
        ("parameters", "parameters", millions, times),
        ("encode a glyph", "encode_ms", duration, ratio),
        ("decode a glyph", "decode_ms", duration, ratio),
    ]
    titles = {"tianshu": "Tianshu's", "kl": "`AutoencoderKL`", "tiny": "`AutoencoderTiny`"}
    both = comparison(rows, codecs, titles, results["skipped"])
    return f"{both}\n\n{codecs['tianshu']['batch']} glyphs at a time."


def training_table(results: dict) -> str:
    kind = results["denoiser"]
    names = {
        "autoencoder": "Tianshu's autoencoder",
        "denoiser": f"Tianshu's {kind}",
        "denoiser_adamw": f"Tianshu's {kind}, with AdamW",
        "diffusers": f"diffusers' {kind}",
        "article": "the article's U-Net",
    }
    rows, trainings = [], results["training"]
    yardstick = trainings["denoiser_adamw"]["samples_per_s"]
    for name, title in names.items():
        if name not in trainings:
            rows.append([title, f"skipped: {results['skipped']}", *[""] * 5])
            continue
        one = trainings[name]
        compared = name in ("diffusers", "article")
        rows.append(
            [
                title,
                one["optimizer"],
                str(one["batch"]),
                number(one["samples_per_s"]),
                number(one["gflop_per_sample"]),
                f"{one['matmul_share']:.0%} of {number(one['matmul_gflop_per_s'])} GFLOP/s",
                ratio(1 / yardstick, 1 / one["samples_per_s"]) if compared else "",
            ]
        )
    head = [
        "one step",
        "optimiser",
        "batch",
        "samples a second",
        "GFLOP a sample",
        "of matrix products in turn with it",
        "against our denoiser with AdamW",
    ]
    return table(head, rows)
