// What the pages need beside htmx: when to look again, asking first, picking tasks, the chart, the theme.
// Every piece of content comes from the server, escaped there; nothing here makes HTML of data.
"use strict";

const $ = (id) => document.getElementById(id);
const page = () => $("page");
const SOON = 1000, LATER = 3000;

// -- Looking again ---------------------------------------------------------------------------------------------------
// #page says by data-live how it wants to be kept: "samples" (when the server has a new sample), "follow" (ask at once
// again: the server answers when something changed), "poll" (each second), or nothing.

let heard = 0, timer = 0, failing = false, chart = null;

function look() {
  if (!page() || document.hidden || busy()) return;
  clearTimeout(timer);
  htmx.trigger(page(), "refresh");
}

function busy() {
  return document.querySelector("dialog[open]") !== null || picked() > 0 || pickedAll();
}

function again(after) {
  clearTimeout(timer);
  timer = setTimeout(() => { look(); again(LATER); }, after);
}

function plan() {
  const how = page()?.dataset.live;
  if (!how) return clearTimeout(timer);
  if (failing) return again(SOON);
  if (how === "follow") return again(0);
  if (how === "poll") return again(SOON / 2);
  again(heard > Date.now() - 2 * LATER ? 4 * LATER : LATER);  // samples ring by themselves; this is the fallback
}

function listen() {
  const address = document.body.dataset.events;
  if (!address) return;
  const source = new EventSource(address);
  const rang = () => {
    live(true);
    if (Date.now() - heard < SOON * 0.8) return;
    heard = Date.now();
    if (page()?.dataset.live === "samples") look();
  };
  source.onopen = () => live(true);
  source.addEventListener("fleet", rang);
  source.onerror = () => {
    live(false);
    if (source.readyState === EventSource.CLOSED) setTimeout(listen, LATER);  // the server refused; else it tries by itself
  };
  addEventListener("pagehide", () => source.close());
}

function live(on) {
  const sign = $("live");
  if (!sign || sign.dataset.state === (on ? "on" : "off")) return;
  sign.dataset.state = on ? "on" : "off";
  sign.textContent = on ? "live" : "reconnecting";
}

document.addEventListener("visibilitychange", () => { if (!document.hidden && page()?.dataset.live) look(); });

// -- What the server answered ----------------------------------------------------------------------------------------

function trouble(words, html) {
  const place = $("trouble");
  failing = Boolean(words || html);
  page()?.classList.toggle("stale", failing);
  if (html) place.innerHTML = html;
  else if (words) {
    const notice = Object.assign(document.createElement("div"), { className: "notice bad", textContent: words });
    if (place.textContent !== words) place.replaceChildren(notice);
  } else place.replaceChildren();
}

document.addEventListener("htmx:before:swap", (event) => {
  const { response, sourceElement } = event.detail.ctx;
  if (response?.status === 401) location.reload();
  if (!response || response.status < 400) return;
  event.preventDefault();
  if (sourceElement === page() && response.status >= 500 && !page().dataset.trouble) trouble(null, event.detail.ctx.text);
});
document.addEventListener("htmx:after:swap", (event) => {
  const { response, sourceElement } = event.detail.ctx;
  if (response?.status < 400 && (sourceElement === page() || sourceElement.id === "search")) trouble();
  if (event.detail.ctx.target?.id === "confirm") $("confirm").showModal();
  draw();
  count();
});
document.addEventListener("htmx:error", (event) => {
  if (event.detail.ctx?.sourceElement === page()) trouble("The dashboard's server does not answer; trying again.");
  else if (event.detail.ctx) say("The dashboard's server does not answer; nothing is known of what was asked.");
});
document.addEventListener("htmx:finally:request", (event) => {
  const { sourceElement, request } = event.detail.ctx;
  if (sourceElement === page()) plan();
  else if (request.method === "POST") {
    if (sourceElement.closest("#confirm")) $("confirm").close();
    setTimeout(look);
  }
});
document.addEventListener("said", (event) => say(event.detail.text));
htmx.registerExtension("keep", {
  // What a reader unfolded stays unfolded, and what was typed into a field stays typed.
  htmx_before_morph_attr: (element, { attrName }) => attrName !== "open" || element.tagName !== "DETAILS",
});

let hush = 0;
function say(text) {
  $("toast").textContent = text;
  clearTimeout(hush);
  hush = setTimeout(() => { $("toast").textContent = ""; }, 6000);
}

// -- Asking first ----------------------------------------------------------------------------------------------------

document.addEventListener("submit", (event) => {
  const form = event.target, words = form.dataset.ask ?? manyMore(form);
  if (!words || form.dataset.sure) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  $("ask-title").textContent = form.dataset.askTitle;
  $("ask-text").textContent = words;
  $("ask-yes").textContent = form.dataset.askYes;
  const dialog = $("ask");
  dialog.returnValue = "";
  dialog.onclose = () => {
    if (dialog.returnValue !== "yes") return;
    form.dataset.sure = "yes";
    form.requestSubmit();
    delete form.dataset.sure;
  };
  dialog.showModal();
}, true);

function manyMore(form) {
  const now = Number(form.dataset.now ?? NaN), wanted = Number(form.elements.workers?.value);
  if (!(wanted > 2 * now + 8)) return null;
  return `${wanted - now} more processes on that host, each with connections of its own to the store. There are ${now} now.`;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  if ("close" in button.dataset) button.closest("dialog")?.close();
  if ("refresh" in button.dataset) htmx.trigger(page(), "refresh");
  if (button.dataset.copy) navigator.clipboard?.writeText($(button.dataset.copy).textContent).then(() => say("Copied."));
  if (button.dataset.step) {
    const field = button.form.elements.workers;
    field.value = Math.max(0, Number(field.value) + Number(button.dataset.step));
  }
  if (button.id === "theme") theme();
});

// -- Picking tasks ---------------------------------------------------------------------------------------------------

const boxes = () => [...document.querySelectorAll('#bulk input[name="id"]')];
const picked = () => boxes().filter((box) => box.checked).length;
const pickedAll = () => $("pick-every")?.checked ?? false;

function count() {
  if (!$("picked")) return;
  const n = picked();
  $("picked").textContent = pickedAll() ? "All selected" : n ? `${n} selected` : "None selected";
  for (const button of document.querySelectorAll("#bulk-bar button")) button.disabled = !n && !pickedAll();
  $("bulk-bar").classList.toggle("on", n > 0 || pickedAll());
  const all = $("pick-all");
  all.checked = n > 0 && n === boxes().length;
  all.indeterminate = n > 0 && !all.checked;
}

document.addEventListener("change", (event) => {
  if (event.target.id === "pick-all") for (const box of boxes()) box.checked = event.target.checked;
  if (event.target.closest("#bulk")) count();
});

// -- The theme and the chart -----------------------------------------------------------------------------------------

function theme() {
  const root = document.documentElement.dataset, order = ["", "light", "dark"];
  const next = order[(order.indexOf(root.theme ?? "") + 1) % order.length];
  if (next) root.theme = next;
  else delete root.theme;
  try { next ? localStorage.setItem("taskqueue-theme", next) : localStorage.removeItem("taskqueue-theme"); } catch {}
  say(next ? `The ${next} theme.` : "The theme of the system.");
  draw(true);
}

function draw(anew = false) {
  const place = $("chart"), points = $("chart-data")?.dataset.points;
  if (!place || !points) return;
  const data = JSON.parse(points);
  if (anew || !chart || !place.contains(chart.root)) {
    chart?.destroy();
    place.replaceChildren();
    chart = new uPlot(look_of(place), data, place);
  } else chart.setData(data);
}

function look_of(place) {
  const style = getComputedStyle(place);
  const colour = (name) => {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    place.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const axis = { stroke: colour("--dim"), font: `11px ${style.fontFamily}`, ticks: { show: false } };
  const grid = { stroke: colour("--line"), width: 1 };
  const whole = (_, values) => values.map((value) => (Number.isInteger(value) ? value.toLocaleString("en") : ""));
  return {
    width: place.clientWidth, height: place.clientHeight, legend: { show: false }, cursor: { show: false }, padding: [6, 14, 0, 0],
    scales: { y: { range: (_, low, high) => [0, Math.max(high * 1.1, 5)] } },
    axes: [
      { ...axis, grid: { show: false }, size: 22, values: (_, moments) => moments.map((at) => new Date(at * 1000).toTimeString().slice(0, 5)) },
      { ...axis, grid, size: 44, values: whole },
    ],
    series: [
      {},
      { stroke: colour("--edge"), width: 1, points: { show: false } },
      { stroke: colour("--run"), width: 1.6, points: { show: false } },
      { stroke: colour("--bad"), width: 1.4, points: { show: false } },
    ],
  };
}

addEventListener("resize", () => draw(true));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(true));

draw();
count();
listen();
plan();
