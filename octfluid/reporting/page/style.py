"""How the page looks: on light and dark screens, on a phone, and printed. Colours have names, which the plots use too."""

from octfluid.reporting.figures import OKABE_ITO

_BLUE, _ORANGE, _GREEN, _VERMILION, _PURPLE, _SKY, _ = OKABE_ITO
LIGHT = {
    'paper': '#ffffff', 'panel': '#f4f5f7', 'ink': '#1b1d21', 'soft': '#555b66', 'grid': '#d5d8de', 'link': '#0b57a4',
    'series-1': _BLUE, 'series-2': _VERMILION, 'series-3': '#007f5f', 'series-4': '#a8487f',
}  # fmt: skip
"""Colours on white. Series are those of Okabe and Ito, the pale ones darker, for a contrast of 3 to 1 with the background."""
DARK = {
    'paper': '#14161a', 'panel': '#1f2228', 'ink': '#e9eaec', 'soft': '#a9afba', 'grid': '#3b404a', 'link': '#8cc4ff',
    'series-1': _SKY, 'series-2': _ORANGE, 'series-3': '#2cc295', 'series-4': _PURPLE,
}  # fmt: skip
"""Colours on a dark background."""
SERIES = 4
"""Groups that plots can tell apart by colour and by marker."""


def _variables(colours: dict[str, str]) -> str:
    return ' '.join(f'--{name}: {value};' for name, value in colours.items())


CSS = (
    f"""
:root {{ color-scheme: light dark; {_variables(LIGHT)} }}
@media screen and (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}
"""
    + """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, "Noto Sans", "DejaVu Sans", sans-serif; }
header, nav, main, footer { max-width: 76rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: clamp(1.5rem, 5vw, 2.1rem); line-height: 1.2; margin: 1.5rem 0 .5rem; }
h2 { font-size: 1.35rem; line-height: 1.25; margin: 2.75rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--grid); }
h3 { font-size: 1.05rem; line-height: 1.3; margin: 1.5rem 0 .5rem; }
p, li, dd { max-width: 46rem; overflow-wrap: anywhere; }
ul { padding-left: 1.25rem; }
dt { font-weight: 600; margin-top: .75rem; }
dd { margin: 0; }
@media (min-width: 56rem) { .measures { columns: 2; column-gap: 2.5rem; } }
.measures div { break-inside: avoid; }
a { color: var(--link); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; list-style: none; margin: 1rem auto 0; padding: 0; }
.skip { position: absolute; left: -100vw; top: 0; padding: .5rem 1rem; background: var(--paper); }
.skip:focus { left: 0; z-index: 2; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
code, pre { font-family: ui-monospace, "SFMono-Regular", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .87em; }
pre { background: var(--panel); padding: .6rem .75rem; border-radius: .35rem; overflow-x: auto; margin: .25rem 0 1rem; }
.scroll { overflow-x: auto; margin: .75rem 0 1.25rem; }
.scroll:focus-visible, pre:focus-visible { outline: 2px solid var(--link); }
table { border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; }
caption span { position: sticky; left: 0; display: inline-block; max-width: calc(100vw - 2rem); }
.about { display: block; color: var(--soft); font-size: .93em; }
td { min-width: 3rem; }
#published td:nth-child(2) { min-width: 9rem; }
#published td:last-child { min-width: 15rem; }
th, td { padding: .4rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--grid); }
thead th { vertical-align: bottom; border-bottom: 2px solid var(--soft); }
tbody th { font-weight: 500; background: var(--paper); min-width: 9rem; max-width: 17rem; }
.value { font-weight: 600; white-space: nowrap; }
.interval { display: block; color: var(--soft); white-space: nowrap; font-size: .93em; }
.withheld { font-style: italic; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1.25rem 2rem;
  align-items: start; }
.grid.pictures { grid-template-columns: repeat(auto-fill, minmax(min(100%, 15.5rem), 1fr)); }
figure { margin: .75rem 0; max-width: 31rem; min-width: 0; }
figure svg, figure img { display: block; width: 100%; height: auto; }
figure img { border-radius: .25rem; background: #000; }
figure svg * { stroke-linejoin: round; stroke-linecap: butt; }
figure svg { overflow: visible; }
figure svg text { font-family: inherit; }
figcaption { padding-top: .4rem; overflow-wrap: anywhere; }
.key { white-space: nowrap; font-weight: 600; color: var(--ink); }
.s1 { color: var(--series-1); } .s2 { color: var(--series-2); } .s3 { color: var(--series-3); } .s4 { color: var(--series-4); }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; list-style: none; padding: 0; }
.legend span { display: inline-block; width: 1em; height: 1em; margin-right: .4em; vertical-align: -.12em;
  border: 1px solid var(--soft); print-color-adjust: exact; -webkit-print-color-adjust: exact; }
summary { cursor: pointer; padding: .45rem 0; font-weight: 600; color: var(--link); }
footer { padding-top: 2rem; padding-bottom: 3rem; }
@media (min-width: 48rem) {
  .scroll thead th:first-child, .scroll tbody th { position: sticky; left: 0; }
  .scroll thead th:first-child { background: var(--paper); }
}
@media print {
  :root { color-scheme: light; }
  @page { size: A4; margin: 14mm 12mm; }
  body { font-size: 9.5pt; line-height: 1.35; }
  header, nav, main, footer { max-width: none; padding: 0; }
  nav, .skip { display: none; }
  h1 { font-size: 17pt; } h2 { font-size: 13pt; margin-top: 1.2rem; } h3 { font-size: 10.5pt; }
  h2, h3, caption, summary { break-after: avoid; }
  figure, tr, dt { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll, pre { overflow: visible; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid var(--grid); }
  table { font-size: 7pt; width: 100%; }
  th, td { padding: 2pt 3pt; overflow-wrap: break-word; }
  tbody th, #published td:nth-child(n) { min-width: 0; }
  tbody th { position: static; }
  .interval, .value { white-space: normal; overflow-wrap: normal; }
  .grid { grid-template-columns: 1fr 1fr; gap: .5rem 1.25rem; }
  .grid.pictures { grid-template-columns: repeat(4, 1fr); gap: .5rem; }
  .grid.pictures figcaption { font-size: 7pt; }
  figcaption, .soft, caption { font-size: 8pt; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  summary { list-style: none; color: var(--ink); }
  summary::-webkit-details-marker { display: none; }
  a { color: inherit; text-decoration: none; }
}
"""
)
