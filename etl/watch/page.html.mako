<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>
:root {
  --ground: #f6f7f9; --card: #fff; --text: #1b1f24; --soft: #57606a; --line: #d8dee4; --mark: #0b57d0;
  --c1: #2f6fdb; --c2: #e0861a; --c3: #2a9d76; --c8: #8b949e; --good: #2a9d76; --wait: #e3b341; --bad: #cf4a3c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #0f1318; --card: #181d24; --text: #e7ebf0; --soft: #a3adb8; --line: #323a45; --mark: #8ab4f8;
    --c1: #6ea0f5; --c2: #f0a44d; --c3: #4cc39a; --c8: #97a1ac; --good: #4cc39a; --wait: #d9ab3c; --bad: #f0776a;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
main, header, footer { max-width: 800px; margin: 0 auto; padding: 0 16px; }
header { padding-top: 24px; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 1.1rem; margin: 0 0 8px; }
h3 { font-size: .95rem; margin: 12px 0 0; }
p { margin: 0 0 8px; }
.soft, footer { color: var(--soft); font-size: .9rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px; margin: 0 0 16px; }
.wrong { border-left: 4px solid var(--bad); padding-left: 10px; margin: 0 0 12px; }
.ok { border-left: 4px solid var(--good); padding-left: 10px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 12px; }
figure { margin: 0; min-width: 0; }
figcaption { color: var(--soft); font-size: .85rem; }
svg { display: block; max-width: 100%; height: auto; overflow: visible; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { padding: 4px 14px 4px 0; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
button { font: inherit; color: var(--mark); background: none; border: 1px solid var(--line); border-radius: 6px; padding: 2px 10px; cursor: pointer; }
form { margin: 0; }
:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; border-radius: 4px; }
footer { padding-bottom: 32px; }
@media (max-width: 719px) { .pair { grid-template-columns: 1fr; } section { padding: 14px 12px; } }
</style>
</head>
<body>
<%def name="grid(name, header, rows)">
<div class="scroll" tabindex="0" role="region" aria-label="${name}">
<table>
<thead><tr>
% for each in header:
<th scope="col">${each}</th>
% endfor
</tr></thead>
<tbody>
% for row in rows:
<tr>
% for cell in row:
<td>${cell}</td>
% endfor
</tr>
% endfor
</tbody>
</table>
</div>
</%def>
<%def name="again(says, **fields)">
<form method="post" action="retry">
% for key, value in fields.items():
<input type="hidden" name="${key}" value="${value}">
% endfor
<button>${says}</button>
</form>
</%def>
<header>
<h1>${title}</h1>
% if problem:
<p class="soft">highlevel-etl ${version}</p>
% else:
<p class="soft">${moment(now)} · version ${version} · at most half a minute old</p>
% endif
</header>
<main>
% if problem:
<section><p class="wrong">${problem}</p></section>
% else:
<section aria-labelledby="wrong">
<h2 id="wrong">What is wrong</h2>
% for each in findings:
<div class="wrong">
<p><strong>${f"{each.name} {each.subject}".strip()}</strong>: ${each.says}${f", since {moment(each.since)} ({ago(each.since)})" if each.since else ""}.</p>
<p class="soft">${each.costs}. ${each.fix}</p>
</div>
% endfor
% if not findings:
<p class="ok">Nothing.</p>
% endif
</section>
<section aria-labelledby="plots">
<h2 id="plots">A day and a week</h2>
% for name, spans in drawings.items():
<h3>${name}</h3>
<div class="pair">
% for span, svg in spans.items():
<figure>
% if svg:
${svg | n}
% endif
<figcaption>Last ${span}${"" if svg else ": nothing is known yet"}</figcaption>
</figure>
% endfor
</div>
% endfor
% if not drawings:
<p class="soft">The first plots come within five minutes.</p>
% endif
<p class="soft">Times are UTC. A bar is an hour, or six.</p>
</section>
<section aria-labelledby="queue">
<h2 id="queue">Queue</h2>
% if queue:
${grid("Queue", ("kind", "location", "items", "due", "claimed", "oldest"), [(each.kind, shown(each.location_id), f"{each.items:,}", f"{each.due:,}", f"{each.in_hand:,}", ago(each.oldest) if each.due else "") for each in queue[:50]])}
% else:
<p>Empty.</p>
% endif
</section>
<section aria-labelledby="dead">
<h2 id="dead">Dead letters</h2>
% if causes:
<div class="scroll" tabindex="0" role="region" aria-label="Dead letters by cause">
<table>
<thead><tr><th scope="col">kind</th><th scope="col">cause</th><th scope="col">items</th><th scope="col"></th></tr></thead>
<tbody>
% for each in causes:
<tr><td>${each.kind}</td><td>${in_words(each.cause)}</td><td>${f"{each.letters:,}"}</td><td>${again("Retry all of these", kind=each.kind, cause=each.cause)}</td></tr>
% endfor
</tbody>
</table>
</div>
<h3>The newest</h3>
<div class="scroll" tabindex="0" role="region" aria-label="The newest dead letters">
<table>
<thead><tr><th scope="col">died</th><th scope="col">kind</th><th scope="col">id</th><th scope="col">location</th><th scope="col">cause</th><th scope="col"></th></tr></thead>
<tbody>
% for each in letters:
<tr><td>${moment(each.died_at)}</td><td>${each.kind}</td><td>${each.message_id}</td><td>${shown(each.location_id)}</td><td>${in_words(each.cause)}</td>
% if each.retried_at:
<td>retried ${moment(each.retried_at)}</td>
% else:
<td>${again("Retry", kind=each.kind, message_id=each.message_id, location_id=each.location_id)}</td>
% endif
</tr>
% endfor
</tbody>
</table>
</div>
% else:
<p>None.</p>
% endif
</section>
<section aria-labelledby="locations">
<h2 id="locations">Locations</h2>
${grid("Locations", ("location", "name", "state", "left today"), [(shown(each.location_id), each.name or "", state_of(each), "" if each.daily_remaining is None else f"{each.daily_remaining:,}") for each in locations])}
% if hidden:
<p class="soft">${hidden} more: etl locations list</p>
% endif
</section>
<section aria-labelledby="runs">
<h2 id="runs">Runs</h2>
${grid("Runs", ("run", "job", "started", "ending", "loaded", "retried", "dead"), [(each.run_id, each.job, moment(each.started_at), in_words(each.outcome) if state == "ended" else state, f"{each.loaded:,}", each.retried, each.dead) for each, state in runs])}
</section>
<section aria-labelledby="events">
<h2 id="events">Newest events</h2>
${grid("Newest events", ("received", "type", "location", "outcome"), [(moment(each.received_at), each.type, shown(each.location_id), in_words(each.outcome)) for each in events])}
</section>
% endif
</main>
<footer>
<p>No word of a customer is on this page.</p>
</footer>
</body>
</html>
