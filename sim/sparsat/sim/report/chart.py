"""What Plotly charts have in common. Plotly takes texts for HTML, so names in them are escaped."""

from typing import Any

Figure = dict[str, Any]
"""A part of a chart as Plotly's JSON; a whole one is {"runs": traces by run, "layout": layout}."""

INK, GRID = "#20262e", "#e6e9ed"


def axis(title: str, **changes: Any) -> Figure:
    return {
        "title": {"text": title},
        "gridcolor": GRID,
        "zeroline": False,
        "automargin": True,
        **changes,
    }


def layout(**changes: Any) -> Figure:
    return {
        "font": {"family": "system-ui, sans-serif", "size": 13, "color": INK},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "showlegend": False,
        "dragmode": "zoom",
        **changes,
    }
