"""Small charts as SVG, drawn here: no script, and a sentence for whoever cannot see them."""

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT, GAP = 168, 36, 3


def sparkline(values: Sequence[int], what: str) -> Markup:
    """A bar for each of ``values``, oldest first; ``what`` is counted."""
    highest = max(values, default=0)
    step = WIDTH / max(len(values), 1)
    bars = Markup("").join(
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1"/>').format(
            index * step, HEIGHT - height, step - GAP, height
        )
        for index, value in enumerate(values)
        for height in [max(HEIGHT * value / highest, 1.5) if highest else 1.5]
    )
    said = f"{what}, last {len(values)} days: {sum(values):,} in all, {highest:,} on the busiest"
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, said, bars)
