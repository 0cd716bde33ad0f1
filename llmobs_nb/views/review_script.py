"""The browser's side of the review widget: one module and its style. It loads nothing, and text only ever becomes text.

State comes from Python (``rows`` is what is in the store, ``items`` the traces around the one that is shown); what the reviewer
does is kept in ``drafts`` until Python has answered for it.
"""

STYLE = """
.llmobs-review { padding: .3em; border-radius: 4px; }
.llmobs-review :focus-visible, .llmobs-review:focus-visible { outline: 2px solid #56b4e9; outline-offset: 1px; box-shadow: 0 0 0 4px #004b75; }
.llmobs-review button, .llmobs-review input, .llmobs-review textarea, .llmobs-review select {
  font: inherit; color: inherit; background: rgba(127,127,127,.12); border: 1.5px solid rgba(127,127,127,.85); border-radius: .4em;
  padding: .15em .6em; box-sizing: border-box; }
.llmobs-review button { cursor: pointer; margin: .1em .3em .1em 0; }
.llmobs-review button[aria-pressed=true] { border: 3px double currentColor; font-weight: bold; background: rgba(86,180,233,.28); }
.llmobs-review kbd { font-family: monospace; border: 1px solid rgba(127,127,127,.6); border-radius: .25em; padding: 0 .3em; margin-right: .35em; }
.llmobs-review .columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(19em, 1fr)); gap: .8em; align-items: start; }
.llmobs-review .text { white-space: pre-wrap; overflow-wrap: anywhere; max-height: 24em; overflow: auto; padding: .4em .5em;
  border: 1px solid rgba(127,127,127,.4); border-radius: .3em; margin: .15em 0 .6em; }
.llmobs-review h4, .llmobs-review legend { margin: .2em 0; font-size: 1em; font-weight: bold; padding: 0; }
.llmobs-review fieldset { border: 0; padding: 0; margin: .3em 0; }
.llmobs-review table { border-collapse: collapse; } .llmobs-review th { white-space: nowrap; } .llmobs-review td { overflow-wrap: break-word; max-width: 24em; } .llmobs-review td, .llmobs-review th { text-align: left; padding: .1em .7em .1em 0; vertical-align: top; }
.llmobs-review progress { width: 12em; vertical-align: middle; } .llmobs-review textarea { width: 100%; min-height: 4em; }
.llmobs-review option { color: #111; background: #fff; }
.llmobs-review .status { min-height: 1.4em; padding: .2em 0; } .llmobs-review [hidden] { display: none !important; }
.llmobs-review .bad { border-left: 4px solid #d55e00; padding-left: .5em; font-weight: bold; }
"""

SCRIPT = """
const VERDICTS = [["pass", "p"], ["fail", "f"], ["unsure", "u"]], PATIENCE_MS = 10000;
const HELP = [["p f u", "pass, fail, unsure: saved at once"], ["1 to 9", "failure category on or off"], ["g", "take the first suggested category"],
  ["c", "name a new category"], ["n", "write a note (#tags become categories); Esc saves it"], ["r", "go to the ratings, then 1 to 5"],
  ["j \\u2192", "next trace"], ["k \\u2190", "previous trace"], ["s", "try again to save what is kept"], ["?", "this help"]];

function make(tag, text, given) {
  const node = document.createElement(tag);
  if (text) node.textContent = text;
  for (const [name, value] of Object.entries(given || {})) node.setAttribute(name, value);
  return node;
}

function box(title, text) {
  const part = make("section"), inner = make("div", text || "(nothing)", { class: "text", tabindex: "0", role: "region", "aria-label": title, dir: "auto" });
  part.append(make("h4", title), inner);
  return part;
}

function folded(title, text) {
  const part = make("details");
  part.append(make("summary", title), make("div", text, { class: "text", tabindex: "0", role: "region", "aria-label": title, dir: "auto" }));
  return part;
}

function grid(head, lines) {
  const table = make("table"), top = make("tr"), body = make("tbody");
  for (const name of head) top.append(make("th", name, { scope: "col" }));
  for (const line of lines) {
    const row = make("tr");
    for (const text of line) row.append(make("td", text, { dir: "auto" }));
    body.append(row);
  }
  const thead = make("thead");
  thead.append(top);
  table.append(...(head.length ? [thead, body] : [body]));
  return table;
}

function trace(item) {
  const title = make("h4"), link = make("a", item.title);
  if (item.href) for (const [name, value] of Object.entries(item.href)) link.setAttribute(name, value);
  title.append("Trace ", item.href ? link : make("code", item.title));
  const asked = make("div"), found = make("div"), judged = make("div");
  asked.append(title, box("Question", item.input), box("Answer", item.output));
  found.append(make("h4", `Context: ${item.contexts.length} retrieved`));
  for (const c of item.contexts) found.append(box([c.id || "document", c.score && `score ${c.score}`].filter(Boolean).join(", "), c.text));
  if (item.system_prompt) found.append(folded("System prompt", item.system_prompt));
  judged.append(make("h4", "Scores"), item.scores.length ? grid(["score", "value", "by", "reason"],
    item.scores.map((s) => [s.name, s.value, s.rater, s.comment])) : make("div", "none"), make("h4", "About"), grid([], item.facts));
  const all = make("div", "", { class: "columns" });
  all.append(asked, found, judged);
  return all;
}

function render({ model, el }) {
  const root = make("div", "", { class: "llmobs-review", tabindex: "0", role: "group", "aria-label": "Review queue: press ? for the keys",
    "data-lm-suppress-shortcuts": "true" });
  const drafts = new Map(), sent = new Map();
  let counter = 0, shown = null;

  const bar = make("progress", "", { "aria-label": "traces reviewed" }), count = make("span"), who = make("span");
  const status = make("div", "", { class: "status", role: "status", "aria-live": "polite" });
  const reading = make("div"), verdicts = make("div", "", { role: "group", "aria-label": "verdict" });
  const help = make("div"), names = make("div"), hints = make("div"), ratings = make("fieldset"), place = make("span");
  const note = make("textarea", "", { "aria-label": "note", placeholder: "note; #tags become categories" });
  const fresh = make("input", "", { type: "text", "aria-label": "new failure category", placeholder: "new category", maxlength: "60" });
  help.hidden = true;
  help.append(grid(["key", "does"], HELP));

  function button(words, key, does) {
    const made = make("button", "", { type: "button" });
    if (key) made.append(make("kbd", key));
    made.append(words);
    made.addEventListener("click", does);
    return made;
  }

  const rows = () => model.get("rows"), at = () => model.get("at"), row = () => rows()[at()];
  function mine() {
    const one = row();
    if (!drafts.has(one.id)) return { verdict: one.verdict, note: one.note, categories: [...one.categories], ratings: { ...one.ratings } };
    return drafts.get(one.id);
  }

  function tell(text, bad) {
    status.textContent = text;
    status.classList.toggle("bad", Boolean(bad));
  }

  function say(change) {
    const id = row().id, said = { ...mine(), ...change };
    drafts.set(id, said);
    if (!said.verdict) {
      tell("Not saved yet: give a verdict with p, f or u.", true);
    } else {
      const seq = ++counter;
      sent.set(id, seq);
      tell("Saving \\u2026");
      model.send({ do: "label", trace_id: id, seq, ...said });
      setTimeout(() => { if (sent.get(id) === seq) tell("Not confirmed as saved: is the kernel busy or gone? Your words are kept on this page.", true); }, PATIENCE_MS);
    }
    panel();
  }

  function answered() {
    const answer = model.get("status");
    if (answer.seq && sent.get(answer.trace_id) === answer.seq) {
      sent.delete(answer.trace_id);
      if (answer.kind !== "refused") drafts.delete(answer.trace_id);
    }
    if (answer.text) tell(answer.text, answer.kind !== "saved" && answer.kind !== "info");
    panel();
  }

  function flip(name) {
    const have = mine().categories;
    say({ categories: have.includes(name) ? have.filter((c) => c !== name) : [...have, name] });
  }

  function go(step) {
    const to = at() + step;
    if (to < 0 || to >= rows().length) return tell(step > 0 ? "This is the last trace." : "This is the first trace.");
    if (note.matches(":focus")) note.blur();
    model.set("at", to);
    model.save_changes();
  }

  function panel() {
    const one = row(), said = mine(), done = model.get("progress");
    const focus = root.getRootNode().activeElement, held = root.contains(focus), was = [...names.children].indexOf(focus);
    bar.max = Math.max(done.total, 1);
    bar.value = done.done;
    count.textContent = ` ${done.done} of ${done.total} done` + (done.unsaved ? `, ${done.unsaved} not saved` : "");
    place.textContent = ` trace ${at() + 1} of ${rows().length} ` + (sent.has(one.id) ? "\\u2026 saving" : one.state === "saved" ? "\\u2713 saved"
      : one.state === "kept" ? "\\u2717 not saved" : drafts.has(one.id) ? "\\u270e not saved" : "");
    who.textContent = one.others.length ? ` also done by ${one.others.join(", ")}` : "";
    again.hidden = !done.unsaved;
    forget.hidden = one.state !== "kept";
    for (const [word, node] of marks) node.setAttribute("aria-pressed", String(said.verdict === word));
    const known = [...new Set([...model.get("categories"), ...said.categories])];
    names.replaceChildren(...known.map((name, i) => {
      const node = button(name, i < 9 ? String(i + 1) : "", () => flip(name));
      node.setAttribute("aria-pressed", String(said.categories.includes(name)));
      return node;
    }));
    const near = (model.get("suggested")[one.id] || []).filter((name) => !said.categories.includes(name));
    hints.replaceChildren(...(near.length ? ["Suggested: ", ...near.map((name, i) => button(name, i ? "" : "g", () => flip(name)))] : []));
    rate(said);
    if (!note.matches(":focus") || shown !== one.id) note.value = said.note;
    if (was >= 0 && names.children[was]) names.children[was].focus();
    else if (held && !root.contains(root.getRootNode().activeElement)) root.focus();
  }

  function rate(said) {
    const dimensions = model.get("rubric");
    ratings.hidden = !dimensions.length;
    if (ratings.childElementCount !== dimensions.length + 1) {
      ratings.replaceChildren(make("legend", "Ratings, 1 (bad) to 5 (good)"), ...dimensions.map((name) => {
        const line = make("label", `${name} `), pick = make("select", "", { "data-dimension": name });
        for (const value of ["", "1", "2", "3", "4", "5"]) pick.append(make("option", value || "\\u2013", { value }));
        pick.addEventListener("change", () => {
          const next = { ...mine().ratings };
          if (pick.value) next[name] = Number(pick.value); else delete next[name];
          say({ ratings: next });
        });
        line.append(pick, " ");
        return line;
      }));
    }
    for (const pick of ratings.querySelectorAll("select")) pick.value = String(said.ratings[pick.dataset.dimension] ?? "");
  }

  function draw() {
    const one = row(), item = model.get("items")[one.id];
    if (shown !== one.id || !reading.dataset.there) {
      reading.replaceChildren(item ? trace(item) : make("div", "Reading the trace \\u2026"));
      reading.dataset.there = item ? "yes" : "";
    }
    panel();
    shown = one.id;
  }

  function keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inside = event.composedPath()[0], typing = inside.matches && inside.matches("textarea, input");
    event.stopPropagation();
    if (typing && event.key === "Escape") { event.preventDefault(); return root.focus(); }
    if (inside === fresh && event.key === "Enter") { event.preventDefault(); return add(); }
    if (typing || (inside.matches && inside.matches("select") && event.key !== "Escape")) return;
    const does = DOES[event.key] || (/^[1-9]$/.test(event.key) ? () => { const node = names.children[event.key - 1]; if (node) node.click(); } : null);
    if (!does) return;
    event.preventDefault();
    does();
  }

  function add() {
    const name = fresh.value.trim();
    fresh.value = "";
    if (name && !mine().categories.includes(name)) flip(name);
    root.focus();
  }

  const DOES = { j: () => go(1), ArrowRight: () => go(1), k: () => go(-1), ArrowLeft: () => go(-1), n: () => note.focus(), c: () => fresh.focus(),
    g: () => { const first = hints.querySelector("button"); if (first) first.click(); }, s: () => model.send({ do: "retry" }), Escape: () => root.focus(),
    r: () => { const first = ratings.querySelector("select"); if (first) first.focus(); },
    "?": () => { help.hidden = !help.hidden; ask.setAttribute("aria-expanded", String(!help.hidden)); } };
  const marks = VERDICTS.map(([word, key]) => { DOES[key] = () => say({ verdict: word }); return [word, button(word, key, DOES[key])]; });
  const ask = button("keys", "?", () => DOES["?"]());
  ask.setAttribute("aria-expanded", "false");
  const again = button("save what is kept", "s", DOES.s);
  const forget = button("discard mine", "", () => { drafts.delete(row().id); model.send({ do: "discard", trace_id: row().id }); });
  const head = make("div"), steps = make("div");
  head.append(bar, count, " as ", make("b", model.get("reviewer")), " ", ask, button("see what others did", "", () => model.send({ do: "refresh" })));
  steps.append(button("previous", "k", () => go(-1)), button("next", "j", () => go(1)), place, who);
  verdicts.append(...marks.map(([, node]) => node), again, forget);
  note.addEventListener("change", () => say({ note: note.value }));
  fresh.addEventListener("change", add);
  const title = make("h4", "Failure categories"), line = make("div");
  line.append(fresh);
  root.append(head, help, steps, reading, verdicts, status, title, hints, names, line, ratings, make("h4", "Note"), note);
  root.addEventListener("keydown", keys);
  el.append(root);

  if (!rows().length) { root.replaceChildren(make("div", "Nothing to review.")); return; }
  const seen = { "change:rows": panel, "change:progress": panel, "change:categories": panel, "change:suggested": panel, "change:at": draw,
    "change:items": draw, "change:status": answered };
  for (const [name, does] of Object.entries(seen)) model.on(name, does);
  draw();
  return () => { for (const [name, does] of Object.entries(seen)) model.off(name, does); };
}

export default { render };
"""
