"""A map of glyphs, projected by UMAP, as one web page that needs nothing else.

Bokeh writes it. datamapplot would save the colours and the search, but it fetches its JavaScript
and fonts from the network, and brings dask and datashader.
"""

from __future__ import annotations

import base64
import colorsys
import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from autoencoder.data.glyphs import GlyphDataset, GlyphRecord
from autoencoder.files import atomic
from conditioning.radicals import radical
from diffusion.pipeline import GlyphPipeline

THUMBNAIL = 56  # pixels
COLOURED = 20  # radicals with a colour of their own; the rest are grey
GREY = "#9a9a9a"

TOOLTIP = """
<div style="display:flex;gap:8px;max-width:280px;font:13px sans-serif">
  <img src="data:image/png;base64,@png" width="84" height="84" alt="">
  <div><b style="font-size:20px">@character</b> @code<br>@caption<br>
  <span style="color:#777">@radical, @layout</span></div>
</div>"""

MARK = """
const at = source.selected.indices;
marks.data = {x: at.map(i => source.data.x[i]), y: at.map(i => source.data.y[i])};
"""

SEARCH = """
const asked = search.value.trim().toLowerCase();
const {character, caption, x, y} = source.data;
const found = [];
for (let i = 0; asked && i < x.length; i++)
  if (character[i] === asked || caption[i].toLowerCase().includes(asked)) found.push(i);
const exact = found.filter(i => character[i] === asked);
const shown = exact.length ? exact : found;
source.selected.indices = shown;
said.text = asked ? `${shown.length} found` : "";
if (exact.length) {
  const near = 1.5, i = exact[0];
  [x_range.start, x_range.end] = [x[i] - near, x[i] + near];
  [y_range.start, y_range.end] = [y[i] - near, y[i] + near];
}
"""

# Ranges of fixed ends: those that follow the data would follow the marks as well.
FIT = """
const ends = (values, range) => {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  [range.start, range.end] = [low - 0.5, high + 0.5];
};
ends(source.data.x, x_range);
ends(source.data.y, y_range);
"""

PLACE = """
const which = place.active ? "pixels" : "latents";
source.data = {...source.data, x: source.data[which + "_x"], y: source.data[which + "_y"]};
"""

COLOUR = 'source.data = {...source.data, colour: source.data[["radicals", "layouts"][by.active]]};'


@torch.inference_mode()
def encoded(
    pipe: GlyphPipeline, glyphs: GlyphDataset, rows: Tensor, advance: Callable[[int], object]
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields some rows of glyphs `(B, 1, 128, 128)` and their latents, batch by batch."""
    for part in rows.split(64):
        images = glyphs.images(part)
        yield images, pipe.autoencoder.encode(images.to(pipe.device))
        advance(len(part))


def umap(points: Tensor, seed: int = 0) -> np.ndarray:
    """Places of points `(N, ...)` in the plane, near where they were near: float32 `(N, 2)`.

    McInnes et al. 2018 (https://arxiv.org/abs/1802.03426), by umap-learn.
    """
    from umap import UMAP  # takes seconds

    neighbours = min(15, len(points) - 1)
    model = UMAP(n_neighbors=neighbours, min_dist=0.1, random_state=seed, n_jobs=1)
    return model.fit_transform(points.flatten(1).numpy()).astype(np.float32)


def thumbnail(glyph: Tensor, size: int = THUMBNAIL) -> str:
    """A glyph `(1, H, W)` in [0, 1], 1 = ink, as a small PNG of four greys, in base64."""
    pixels = 255 - (glyph[0] * 255).byte().numpy()
    small = Image.fromarray(pixels).resize((size, size), Image.Resampling.BOX)
    levels = Image.fromarray(np.asarray(small) // 64).convert("P")
    levels.putpalette([value for level in (0, 85, 170, 255) for value in [level] * 3])
    file = io.BytesIO()
    levels.save(file, format="PNG", bits=2, optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def colours(names: Sequence[str], most: int = COLOURED) -> list[str]:
    """A colour for each of the commonest names, and grey for the rest."""
    common = [name for name, _ in Counter(names).most_common(most)]
    wheel = {}
    for i, name in enumerate(common):
        rgb = colorsys.hls_to_rgb(i / len(common), 0.42 if i % 2 else 0.55, 0.75)
        wheel[name] = "#" + "".join(f"{round(255 * value):02x}" for value in rgb)
    return [wheel.get(name, GREY) for name in names]


def radical_name(number: int) -> str:
    """A radical by name and form, as "water 水"."""
    one = radical(number)
    return f"{one.names[0]} {one.forms[0]}"


def extent(points: np.ndarray) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of points `(N, 2)`, with a little room."""
    (left, bottom), (right, top) = points.min(0) - 0.5, points.max(0) + 0.5
    return float(left), float(right), float(bottom), float(top)


def write_page(
    path: Path,
    records: Sequence[GlyphRecord],
    thumbnails: Sequence[str],
    places: Mapping[str, np.ndarray],
    layouts: Sequence[str],
) -> None:
    """Writes the page: a point for each glyph, with its picture and meaning under the pointer.

    Args:
        path: of the .html.
        records: of the glyphs.
        thumbnails: of each, as `thumbnail` makes them.
        places: by "latents" and by "pixels", `(N, 2)` each, between which the page changes.
        layouts: of each glyph.
    """
    from bokeh import models
    from bokeh.embed import file_html
    from bokeh.layouts import column, row
    from bokeh.plotting import figure
    from bokeh.resources import INLINE

    names = [radical_name(record.radical) for record in records]
    columns = {
        "character": [record.character for record in records],
        "code": [f"U+{ord(record.character):04X}" for record in records],
        "caption": [record.caption for record in records],
        "radical": names,
        "layout": list(layouts),
        "png": list(thumbnails),
        "radicals": colours(names),
        "layouts": colours(list(layouts)),
    }
    for name, points in places.items():
        columns |= {f"{name}_x": points[:, 0], f"{name}_y": points[:, 1]}
    shown = {"x": columns["latents_x"], "y": columns["latents_y"], "colour": columns["radicals"]}
    source = models.ColumnDataSource(columns | shown)
    left, right, bottom, top = extent(places["latents"])
    ranges = {"x_range": models.Range1d(left, right), "y_range": models.Range1d(bottom, top)}
    plot = figure(
        **ranges,
        sizing_mode="stretch_both",
        tools="pan,wheel_zoom,box_zoom,reset",
        active_scroll="wheel_zoom",
        output_backend="webgl",
    )
    plot.grid.visible = plot.axis.visible = False
    style = {"size": 4, "color": "colour", "alpha": 0.7, "nonselection_alpha": 0.2}
    dots = plot.scatter("x", "y", source=source, **style)
    marks = models.ColumnDataSource({"x": [], "y": []})
    plot.scatter("x", "y", source=marks, size=20, fill_alpha=0, line_color="black", line_width=2)
    hover = models.HoverTool(renderers=[dots], tooltips=TOOLTIP, attachment="right", limit=1)
    plot.add_tools(hover)
    search = models.TextInput(placeholder="a character or a word", width=240)
    place = models.RadioButtonGroup(labels=["by latents", "by pixels"], active=0)
    by = models.RadioButtonGroup(labels=["coloured by radical", "by layout"], active=0)
    said = models.Div(text="")
    for widget, changed, code, names in (
        (search, "value", SEARCH + MARK, {"search": search, "said": said, **ranges}),
        (place, "active", PLACE + FIT + MARK, {"place": place, **ranges}),
        (by, "active", COLOUR, {"by": by}),
    ):
        names |= {"source": source, "marks": marks}
        widget.js_on_change(changed, models.CustomJS(args=names, code=code))
    whole = column(row(search, place, by, said), plot, sizing_mode="stretch_both")
    page = file_html(whole, INLINE, f"Tianshu: {len(records):,} characters")
    with atomic(path) as part:
        part.write_text(page, "utf-8")
