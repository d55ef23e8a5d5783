"use strict";
// Shows and hides what was drawn beforehand. State lies behind the # of the address, as ?… may not change in a file.
const $ = (id) => document.getElementById(id);
const known = JSON.parse($("known").textContent);
const FIELDS = ["run", "vs", "metric", "q", "kind", "document", "outcome", "sort", "id"];
const unpacked = {};
let state = {};
let run = null;
let playing = 0;

async function unpack(name) {
  if (unpacked[name]) return unpacked[name];
  const element = [...document.querySelectorAll("[data-packed]")].find((e) => e.dataset.packed === name);
  const bytes = Uint8Array.from(atob(element.textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return (unpacked[name] = JSON.parse(await new Response(stream).text()));
}

function readAddress() {
  const hash = location.hash.slice(1);
  const query = new URLSearchParams(location.search);
  for (const [key, value] of new URLSearchParams(hash.includes("=") ? hash : "")) query.set(key, value);
  return Object.fromEntries(query);
}

function address() {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(state)) if (value && (key !== "tab" || value !== "ask")) query.set(key, value);
  return String(query);
}

function keep(changes) {
  state = { ...state, ...changes };
  history.replaceState(null, "", `#${address()}`);
}

function fill(select, options, value) {
  select.replaceChildren(...options.map(([key, name]) => new Option(name, key)));
  select.value = options.some(([key]) => key === value) ? value : options[0]?.[0] ?? "";
  return select.value;
}

function openTab(key) {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  const wanted = tabs.some((t) => t.id === `to-${key}`) ? key : tabs[0].id.slice(3);
  for (const tab of tabs) {
    const here = tab.id === `to-${wanted}`;
    tab.setAttribute("aria-selected", here);
    tab.tabIndex = here ? 0 : -1;
    $(tab.getAttribute("aria-controls")).hidden = !here;
  }
  keep({ tab: wanted });
}

async function openRun() {
  const names = known.runs.map((r) => [r.name, r.label]);
  const lost = state.run && !names.some(([name]) => name === state.run);
  const name = fill($("eval-run"), names, state.run || known.first);
  run = await unpack(`run:${name}`);
  $("eval-state").innerHTML = run.state;
  if (lost) {
    const notice = Object.assign(document.createElement("p"), { className: "ev-notice", textContent: `There is no run ${state.run}.` });
    $("eval-state").prepend(notice);
  }
  const vs = fill($("eval-vs"), [["", "no other run"], ...names.filter(([other]) => other !== name)], state.vs ?? "");
  for (const box of ["facts", "words", "bars", "table", "judge", "speed", "questions"]) $(`eval-${box}`).innerHTML = run[box];
  for (let n = 0; n < 3; n++) $(`eval-speed-${n}`).innerHTML = run.speeds[n] ?? "";
  $("eval-against").innerHTML = run.against[vs] ?? "";
  const metric = fill($("eval-metric"), Object.entries(run.metrics).map(([key, m]) => [key, m.title]), state.metric);
  const named = (values, any) => [["", any], ...[...new Set(values)].map((v) => [v, v])];
  const kind = fill($("eval-kind"), named(run.rows.map((r) => r.kind), "any kind"), state.kind ?? "");
  const doc = fill($("eval-document"), named(run.rows.map((r) => r.document).sort(), "any document"), state.document ?? "");
  const outcome = fill($("eval-outcome"), Object.entries(run.outcomes).map(([key, o]) => [key, o.name]), state.outcome ?? "");
  const sort = fill($("eval-sort"), Object.entries(run.sorts).map(([key, s]) => [key, s.name]), state.sort ?? "");
  $("eval-q").value = state.q ?? "";
  keep({ run: state.run ? name : "", vs, kind, document: doc, outcome, sort, metric: state.metric ? metric : "" });
  drawMetric();
  drawList();
  drawDetail();
  fillPlayer();
}

function drawMetric() {
  const metric = run.metrics[$("eval-metric").value];
  $("eval-spread").innerHTML = metric?.spread ?? "";
  $("eval-breakdown").innerHTML = metric?.breakdown ?? "";
}

function selected() {
  const words = (state.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  const left = new Set(run.outcomes[state.outcome ?? ""].ids);
  const rows = Object.fromEntries(run.rows.map((r) => [r.id, r]));
  return run.sorts[state.sort ?? ""].ids.filter((id) => left.has(id) && (!state.kind || rows[id].kind === state.kind)
    && (!state.document || rows[id].document === state.document) && words.every((w) => rows[id].text.includes(w)));
}

function drawList() {
  const ids = selected();
  const rows = new Map([...$("eval-questions").querySelectorAll("tr[data-question]")].map((r) => [r.dataset.question, r]));
  for (const row of rows.values()) row.hidden = true;
  for (const id of ids) {
    const row = rows.get(id);
    row.hidden = false;
    row.parentElement.append(row);
  }
  $("eval-questions").querySelector(".ev-count").textContent = `${ids.length} of ${run.rows.length} questions`;
  $("eval-questions").querySelector(".ev-scroll").hidden = !ids.length;
  let none = $("eval-questions").querySelector(".ev-none");
  if (!none) {
    none = Object.assign(document.createElement("p"), { className: "ev-none" });
    none.textContent = "No question fits. Take a filter away or search for less.";
    $("eval-questions").append(none);
  }
  none.hidden = ids.length > 0;
}

function drawDetail(follow = false) {
  const html = state.id && Object.hasOwn(run.details, state.id) ? run.details[state.id] : "";
  $("eval-detail").innerHTML = html;
  $("eval-steps").hidden = !html;
  for (const row of $("eval-questions").querySelectorAll("tr[data-question]")) {
    row.toggleAttribute("aria-current", Boolean(html) && row.dataset.question === state.id);
  }
  if (!html) return;
  const ids = selected();
  const place = ids.indexOf(state.id);
  const line = $("eval-detail").querySelector("header .ev-sub");
  const where = place < 0 ? "not among the questions that the filters leave" : `${place + 1} of ${ids.length} in the list`;
  line.textContent = line.textContent.replace(/ · [^·]*$/, ` · ${where}`);
  if (!follow) return;
  const row = $("eval-questions").querySelector("tr[aria-current]");
  const box = row.closest(".ev-tall");
  if (box) box.scrollTop = row.offsetTop - box.clientHeight / 2;
  $("eval-steps").scrollIntoView();
  $("eval-detail").querySelector("h3").focus({ preventScroll: true });
}

function step(by) {
  const ids = selected();
  if (!ids.length) return;
  const place = ids.indexOf(state.id);
  keep({ id: ids[place < 0 ? 0 : (place + by + ids.length) % ids.length] });
  drawDetail(true);
}

function download(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function connectDashboard() {
  for (const name of ["run", "vs"]) $(`eval-${name}`).addEventListener("change", (e) => { keep({ [name]: e.target.value }); openRun(); });
  $("eval-metric").addEventListener("change", (e) => { keep({ metric: e.target.value }); drawMetric(); });
  for (const name of ["kind", "document", "outcome", "sort"]) {
    $(`eval-${name}`).addEventListener("change", (e) => { keep({ [name]: e.target.value }); drawList(); drawDetail(); });
  }
  $("eval-q").addEventListener("input", (e) => { keep({ q: e.target.value }); drawList(); drawDetail(); });
  $("eval-previous").addEventListener("click", () => step(-1));
  $("eval-next").addEventListener("click", () => step(1));
  $("eval-csv").addEventListener("click", () => download(`${$("eval-run").value}.csv`, run.csv, "text/csv"));
  $("eval-json").addEventListener("click", () => download(`${$("eval-run").value}.json`, run.json, "application/json"));
  $("eval-copy").addEventListener("click", () => {
    keep({ run: $("eval-run").value });
    $("eval-link").value = location.href;
    $("eval-link").hidden = false;
    navigator.clipboard?.writeText(location.href).catch(() => {});
  });
  $("eval-questions").addEventListener("click", (event) => {
    const row = event.target.closest("[data-question]");
    if (!row || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    keep({ id: row.dataset.question });
    drawDetail(true);
  });
}

// The recorded answers, played: each column waits and writes as long as it did.
function fillPlayer() {
  const ids = run.sorts[""].ids;
  const rows = Object.fromEntries(run.rows.map((r) => [r.id, r]));
  const id = fill($("play-question"), ids.map((i) => [i, rows[i].question]), state.ask);
  showAnswers(id);
}

function showAnswers(id) {
  playing++;
  $("play").textContent = "▶ Play";
  $("play-columns").innerHTML = run.details[id];
  $("play-columns").className = "told";
  $("play-columns").querySelector("header .ev-sub").remove();
  const label = $("eval-run").selectedOptions[0].textContent;
  $("status").textContent = `Recorded answers of the run ${label}.`;
}

function play() {
  const id = $("play-question").value;
  if ($("play-columns").classList.contains("playing")) return showAnswers(id);
  showAnswers(id);
  const turn = ++playing;
  const pace = run.rows.find((r) => r.id === id).pace;
  const speed = Number($("play-pace").value);
  $("play").textContent = "■ Stop";
  $("play-columns").className = "playing";
  $("status").textContent = "Playing at the recorded pace, each column from its own start.";
  const columns = [...$("play-columns").querySelectorAll(".ev-answer")].map((article) => {
    const text = article.querySelector(".ev-text");
    const [first, writing] = pace[article.dataset.variant] ?? [0, 0];
    const column = { text, whole: text?.innerHTML, words: text?.textContent ?? "", first, writing };
    if (text) text.textContent = "";
    return column;
  });
  const started = performance.now();
  const tick = () => {
    if (turn !== playing) return;
    const now = (performance.now() - started) / 1000 * speed;
    let open = false;
    for (const c of columns) {
      if (!c.text) continue;
      const share = c.writing ? (now - c.first) / c.writing : now >= c.first ? 1 : 0;
      if (share < 1) {
        c.text.textContent = share > 0 ? c.words.slice(0, Math.ceil(c.words.length * share)) : "…";
        open = true;
      } else if (!c.done) {
        c.text.innerHTML = c.whole;
        c.done = true;
      }
    }
    if (open) requestAnimationFrame(tick); else showAnswers(id);
  };
  tick();
}

function connectPlayer() {
  $("play").addEventListener("click", play);
  $("play-question").addEventListener("change", (e) => { keep({ ask: e.target.value }); showAnswers(e.target.value); });
  $("play-another").addEventListener("click", () => {
    const options = $("play-question").options;
    $("play-question").selectedIndex = ($("play-question").selectedIndex + 1 + Math.floor(Math.random() * (options.length - 1))) % options.length;
    keep({ ask: $("play-question").value });
    showAnswers($("play-question").value);
  });
}

// Documents of the corpus are unpacked when one is opened.
async function openDocument(id, passage) {
  const documents = await unpack("corpus");
  if (!Object.hasOwn(documents, id)) return;
  const box = $("corpus-view");
  box.innerHTML = documents[id];
  const part = !passage ? null : [...box.querySelectorAll(".bit")].find((b) => b.querySelector(".bit-head [data-passage]")?.dataset.passage === passage);
  part?.classList.add("linked");
  keep({ doc: id, passage: part ? passage : "" });
  (part ?? box).scrollIntoView({ block: "start" });
  box.querySelector("h2").focus({ preventScroll: true });
}

function connectCorpus() {
  $("tab-corpus").addEventListener("click", (event) => {
    const link = event.target.closest("[data-doc]:not(article)");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    openDocument(link.dataset.doc, link.dataset.passage);
  });
}

function connectTabs() {
  const tabs = [...document.querySelectorAll('[role="tab"]')];
  for (const [n, tab] of tabs.entries()) {
    tab.addEventListener("click", () => openTab(tab.id.slice(3)));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const next = tabs[(n + by + tabs.length) % tabs.length];
      next.focus();
      openTab(next.id.slice(3));
    });
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#"]');
    if (!link) return;
    event.preventDefault();
    document.getElementById(link.hash.slice(1))?.scrollIntoView();
  });
  addEventListener("hashchange", () => { if (location.hash.includes("=")) start(); });
}

async function start() {
  state = readAddress();
  openTab(state.tab);
  try {
    if (known.runs.length) await openRun();
    if ($("tab-corpus") && state.doc) await openDocument(state.doc, state.passage);
  } catch (error) {
    $("trouble").hidden = false;
    $("trouble").textContent = typeof DecompressionStream === "undefined"
      ? "This page needs a browser of 2023 or newer." : `This page is damaged (${error.message}).`;
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark", dark.matches);
dark.addEventListener("change", follow);
follow();
connectTabs();
if (known.runs.length) { connectDashboard(); connectPlayer(); }
if ($("tab-corpus")) connectCorpus();
start();
