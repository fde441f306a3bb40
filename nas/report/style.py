"""The report's style sheet: system fonts, one column of sections, light and dark, and paper."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --ink: #1c1f24; --soft: #5d636e; --rule: #e4e5e8; --axis: #9aa0aa;
  --search: #1f5fbf; --baseline: #b45309; --strong: #1c1f24; --faint: #9aa0aa; --bad: #a3323a; --tint: #eef3fb;
  --s0: #f0b429; --s1: #e8944a; --s2: #d9736a; --s3: #bf5688; --s4: #9a44a0; --s5: #6d3aa8; --s6: #3b319c;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #131518; --card: #1a1d21; --ink: #e8e9eb; --soft: #a2a8b2; --rule: #2d3137; --axis: #6b727d;
    --search: #7db2ff; --baseline: #f2a65a; --strong: #e8e9eb; --faint: #737a85; --bad: #f0888f; --tint: #1b2635;
    --s0: #7674ec; --s1: #8d6fe0; --s2: #a465cf; --s3: #c970b4; --s4: #e58592; --s5: #f2a772; --s6: #f7d277;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; padding: 48px 24px 72px; background: var(--page); color: var(--ink);
  font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", "Liberation Sans", Arial, sans-serif;
}
main, header, footer { max-width: 1128px; margin: 0 auto; }
h1 { font-size: 30px; line-height: 1.2; margin: 2px 0 10px; letter-spacing: -0.015em; overflow-wrap: anywhere; }
h2 { font-size: 20px; margin: 56px 0 16px; letter-spacing: -0.01em; }
h3 { font-size: 15px; margin: 0 0 12px; }
p { margin: 0 0 12px; }
.eyebrow, .state { color: var(--soft); font-size: 13.5px; margin: 0; }
.headline { font-size: 18px; line-height: 1.5; max-width: 62em; margin: 14px 0 28px; text-wrap: pretty; }
.how { color: var(--soft); font-size: 13px; line-height: 1.5; margin: 10px 0 0; text-wrap: pretty; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; }
.tile { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 12px 13px 14px; flex: 1 1 auto; min-width: 120px; }
.tile .what { font-size: 13px; color: var(--soft); }
.tile .much { font-size: 22px; line-height: 1.4; font-weight: 600; letter-spacing: -0.01em; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile .spread { font-size: 14px; font-weight: 500; }
.tile .more { font-size: 13px; color: var(--soft); font-variant-numeric: tabular-nums; }
.tile .search { color: var(--search); } .tile .baseline { color: var(--baseline); }
.pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 20px; align-items: start; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 18px 20px 16px; min-width: 0; }
.card + .card, .pair + .card, .pair + .pair, .card + .pair { margin-top: 20px; }
.pair > .card { margin-top: 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: 12.5px; vertical-align: bottom; }
th, td { padding: 6px 8px 6px 0; border-bottom: 1px solid var(--rule); }
th:last-child, td:last-child { padding-right: 0; }
tr:last-child > td { border-bottom: 0; }
td { vertical-align: top; }
.figure { text-align: right; white-space: nowrap; } th.figure { white-space: normal; }
tr.won td { font-weight: 600; }
.arm.search { color: var(--search); } .arm.baseline { color: var(--baseline); }
.words { overflow-wrap: anywhere; }
details { border-top: 1px solid var(--rule); padding: 9px 0; }
details:first-of-type { border-top: 0; }
summary { cursor: pointer; }
summary:focus-visible { outline: 2px solid var(--search); outline-offset: 3px; border-radius: 3px; }
pre {
  margin: 8px 0 4px; padding: 12px 14px; background: var(--page); border: 1px solid var(--rule); border-radius: 6px; overflow-x: auto;
  font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, "Liberation Mono", monospace;
}
.reason { color: var(--soft); }
footer { margin-top: 56px; color: var(--soft); font-size: 13px; }
.drawing { background: #ffffff; color: #1c1f24; border-radius: 6px; overflow: auto; max-height: 620px; text-align: center; color-scheme: light; margin-bottom: 14px; }
.drawing svg { max-width: 100%; height: auto; }
@media screen and (prefers-color-scheme: dark) { .drawing { background: #1c1c1c; } .drawing svg { filter: invert(0.89) hue-rotate(180deg); } }

svg.chart { display: block; width: 100%; max-width: 600px; height: auto; margin: 0 auto; overflow: visible; }
svg.chart text { font-size: 12.5px; fill: var(--soft); font-variant-numeric: tabular-nums; font-family: inherit; }
svg .middle { text-anchor: middle; } svg .end { text-anchor: end; }
svg .search { --c: var(--search); } svg .baseline { --c: var(--baseline); } svg .strong { --c: var(--strong); } svg .faint { --c: var(--faint); }
svg .shade-0 { --c: var(--s0); } svg .shade-1 { --c: var(--s1); } svg .shade-2 { --c: var(--s2); } svg .shade-3 { --c: var(--s3); }
svg .shade-4 { --c: var(--s4); } svg .shade-5 { --c: var(--s5); } svg .shade-6 { --c: var(--s6); }
svg.chart .rule { stroke: var(--rule); } svg.chart .axis { stroke: var(--axis); }
svg.chart .label { fill: var(--c); font-size: 13px; } svg.chart .won { font-weight: 600; }
svg.chart .curve { fill: none; stroke: var(--c); stroke-width: 2.2; stroke-linejoin: round; } svg.chart .thin { stroke-width: 1.6; }
svg.chart .curve.search { stroke-width: 3.4; } svg.chart .curve.baseline { stroke-width: 1.6; }
svg.chart .point { fill: var(--c); fill-opacity: 0.6; } svg.chart .point.baseline { fill: none; stroke: var(--c); stroke-opacity: 0.75; stroke-width: 1.2; }
svg.chart .pale { fill: var(--c); fill-opacity: 0.35; } svg.chart .pale.baseline { fill: none; stroke: var(--c); stroke-opacity: 0.35; stroke-width: 1; }
svg.chart .miss { stroke: var(--c); stroke-width: 2; }
svg.chart .full { fill: var(--c); } svg.chart .edge { fill: var(--card); stroke: var(--c); stroke-width: 1.5; }
svg.chart .ring { fill: var(--card); stroke: var(--c); stroke-width: 1.8; }
svg.chart .mean { stroke: var(--c); stroke-width: 2.5; }
svg.chart .band { stroke: var(--c); stroke-width: 12; stroke-opacity: 0.2; }
svg.chart .whisker { stroke: var(--c); stroke-width: 1.3; stroke-opacity: 0.45; }
svg.chart .diagonal, svg.chart .reference { stroke: var(--soft); stroke-dasharray: 4 4; }
svg.chart .bar { fill: var(--search); fill-opacity: 0.75; }

@media (max-width: 860px) { .pair { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 560px) {
  body { padding: 28px 14px 48px; } h1 { font-size: 25px; } .headline { font-size: 16.5px; } h2 { margin-top: 40px; }
  .tiles { gap: 8px; } .tile { padding: 10px 12px; } .tile .much { font-size: 18px; } .card { padding: 14px 14px 12px; }
}
@media print {
  :root { --page: #ffffff; color-scheme: light; }
  body { padding: 0; font-size: 12px; } .card, .tile, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } .drawing { max-height: none; }
  .pair { grid-template-columns: repeat(2, minmax(0, 1fr)); }
}
"""
