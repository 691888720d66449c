<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>
:root {
  --ground: #f6f7f9; --card: #fff; --text: #1b1f24; --soft: #57606a; --line: #d8dee4; --mark: #0b57d0;
  --c1: #2f6fdb; --c2: #e0861a; --c3: #2a9d76; --c4: #8e5bd0; --c5: #d0577f; --c6: #b59a12; --c7: #3aa6c4; --c8: #8b949e;
  --good: #2a9d76; --fine: #7cc4a9; --plain: #7aa5e8; --wait: #e3b341; --bad: #cf4a3c; --none: #9aa4ae;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1318; --card: #181d24; --text: #e7ebf0; --soft: #a3adb8; --line: #323a45; --mark: #8ab4f8;
    --c1: #6ea0f5; --c2: #f0a44d; --c3: #4cc39a; --c4: #b38bea; --c5: #ea83a5; --c6: #d7bd45; --c7: #67c7e0; --c8: #97a1ac;
    --good: #4cc39a; --fine: #2f8a6b; --plain: #5d86c9; --wait: #d9ab3c; --bad: #f0776a; --none: #7b8591;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
main, header, footer { max-width: 720px; margin: 0 auto; padding: 0 16px; }
header { padding-top: 28px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 1.15rem; margin: 0 0 4px; }
p { margin: 0 0 12px; }
.soft, footer { color: var(--soft); font-size: .9rem; }
dl { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px; margin: 16px 0; }
dl div, section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
dl div { padding: 10px 14px; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.35rem; font-weight: 600; line-height: 1.3; }
section { padding: 16px; margin: 0 0 16px; }
figure { margin: 8px 0; }
svg { display: block; max-width: 100%; height: auto; overflow: visible; }
.narrow { display: none; }
details { margin-top: 8px; }
summary { cursor: pointer; color: var(--mark); padding: 6px 0; }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; border-radius: 4px; }
.scroll { overflow-x: auto; max-height: 420px; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; font-weight: 500; }
footer { padding-bottom: 32px; }
@media (max-width: 719px) { dl { grid-template-columns: 1fr 1fr; } .wide { display: none; } .narrow { display: block; } section { padding: 14px 12px; } }
@media print { details { display: none; } section { break-inside: avoid; } }
</style>
</head>
<body>
<header>
<h1>${title}</h1>
<p class="soft">${subtitle}</p>
</header>
<main>
<dl>
% for name, value in headlines:
<div><dt>${name}</dt><dd>${value}</dd></div>
% endfor
</dl>
% for each in sections:
<section aria-labelledby="${each.key}">
<h2 id="${each.key}">${each.chart.label}</h2>
<p class="soft">${each.says}</p>
% if each.rows:
<figure>
<div class="wide">${charts.draw(each.chart, width=charts.WIDE) | n}</div>
<div class="narrow">${charts.draw(each.chart, width=charts.NARROW) | n}</div>
</figure>
<details>
<summary>${each.chart.label} as a table</summary>
<div class="scroll" tabindex="0" role="region" aria-label="${each.chart.label} as a table">
<table>
<thead><tr>
% for name in each.header:
<th scope="col">${name}</th>
% endfor
</tr></thead>
<tbody>
% for row in each.rows:
<tr>
% for cell in row:
<td>${cell}</td>
% endfor
</tr>
% endfor
</tbody>
</table>
</div>
</details>
% endif
</section>
% endfor
</main>
<footer>
<p>Made by highlevel-etl ${version}. A day is a day in each location's own time zone. Internal messages, activities and
deleted messages do not count.</p>
</footer>
</body>
</html>
