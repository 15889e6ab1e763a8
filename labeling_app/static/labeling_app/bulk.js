// Labeling in bulk: tick what was found, choose an answer, label, undo. The lists are drawn by the server; after each
// change they are fetched anew and put in place, so that what is shown is what is there.

import { gathered, makeControl } from "./console_controls.js";
import { dialog } from "./console_dialogs.js";
import { announce, el, kbd, numberText, plural } from "./console_dom.js";
import { keyOf } from "./console_keys.js";
import { makeTransport } from "./console_transport.js";
import { problems } from "./console_value.js";

const config = JSON.parse(document.getElementById("lk-config").textContent);
const $ = (id) => document.getElementById(id);
const { request } = makeTransport({ api: "", csrfCookie: config.csrf_cookie, timeoutMs: 120000 });
const here = () => window.location.pathname + window.location.search;
const send = (body) => request("POST", here(), body);
const words = (error) => [error.message, error.hint].filter(Boolean).join(" ");

// --- what is ticked
const ticks = () => [...document.querySelectorAll("#lk-rows .lk-tick:enabled")];
const ticked = () => ticks().filter((box) => box.checked);
const similarity = (box) => Number(box.closest(".lk-row").dataset.similarity);
const takesAll = () => Boolean($("lk-matching") && $("lk-matching").checked);
const total = () => Number($("lk-matching").dataset.total);

let last = null; // the box ticked before, for a range with Shift
let threshold = config.first_threshold;
let labeled = new Set(); // the examples labeled last: ticked again when that is taken back

function count() {
  const chosen = ticked().length;
  const all = ticks().length;
  if ($("lk-count")) $("lk-count").textContent = takesAll() ? "all that match" : `${numberText(chosen)} of ${numberText(all)} ticked`;
  if ($("lk-all")) {
    $("lk-all").checked = chosen > 0 && chosen === all;
    $("lk-all").indeterminate = chosen > 0 && chosen < all;
  }
  const go = $("lk-go");
  go.disabled = !chosen && !takesAll();
  go.replaceChildren(takesAll() ? `Label all ${numberText(total())}` : chosen ? `Label ${plural(chosen, "example")}` : "Tick examples first", ...(go.disabled ? [] : [kbd("Ctrl"), kbd("Enter")]));
}

function tickFrom(least) {
  threshold = least;
  for (const box of ticks()) box.checked = similarity(box) >= least;
  if ($("lk-threshold-value")) $("lk-threshold-value").textContent = least.toFixed(2);
  count();
}

/** The slider goes no lower than what was found; it starts where something is ticked. */
function setUpThreshold(keep) {
  const slider = $("lk-threshold");
  if (!slider || !ticks().length) return;
  const found = ticks().map(similarity);
  slider.min = Math.max(0, Math.floor(Math.min(...found) * 100) / 100);
  slider.value = Math.min(threshold, Math.floor(Math.max(...found) * 100) / 100);
  slider.addEventListener("input", () => tickFrom(Number(slider.value)));
  if (keep) $("lk-threshold-value").textContent = Number(slider.value).toFixed(2);
  else tickFrom(Number(slider.value));
}

/** `keep` are the examples to tick; without it the threshold decides. */
function setUpResults(keep = null) {
  last = null;
  const rows = $("lk-rows");
  if (rows) {
    rows.addEventListener("click", (event) => {
      const box = event.target.closest(".lk-tick");
      if (!box) return;
      if (event.shiftKey && last && last.isConnected) {
        const all = ticks();
        const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
        for (const between of all.slice(from, to + 1)) between.checked = box.checked;
      }
      last = box;
      count();
    });
    rows.addEventListener("change", count);
    $("lk-all").addEventListener("change", () => {
      for (const box of ticks()) box.checked = $("lk-all").checked;
      count();
    });
  }
  if ($("lk-matching")) {
    $("lk-matching").addEventListener("change", () => {
      $("lk-rows").classList.toggle("lk-all-taken", takesAll());
      count();
    });
  }
  setUpThreshold(keep);
  if (keep) for (const box of ticks()) box.checked = keep.has(box.value);
  count();
}

// --- the answer
const controls = config.controls;
const single = controls.length === 1 && controls[0].path.length === 0;
const parts = controls.map((control) => makeControl(control, { changed: () => tell("") }));
const flat = flattened(parts);
$("lk-controls").replaceChildren(el("div", { class: "lc-form" }, ...parts.map((part) => part.element)));

function flattened(made) {
  return [].concat(...made.map((part) => [part, ...(part.control.kind === "group" ? flattened(part.parts) : [])]));
}

function tell(text) {
  $("lk-problem").textContent = text;
  $("lk-problem").hidden = !text;
  if (!text) for (const part of flat) part.tell("");
}

/** Return the answer, or undefined when it is not one; then what is wrong is told beside it. */
function answer() {
  const value = single ? parts[0].get() : gathered(parts);
  const wrong = single ? problems(controls[0], value, []) : [].concat(...parts.map((part) => problems(part.control, part.get())));
  tell("");
  for (const { path, message } of wrong) {
    const place = flat.find((part) => part.control.path.join(".") === path.join(".")) || flat.find((part) => part.control.path[0] === path[0]) || flat[0];
    place.tell(message);
  }
  if (!wrong.length) return value;
  const first = flat.find((part) => !part.parts);
  if (first) first.focus();
  return undefined;
}

// --- labeling and undoing
let busy = false;

async function label() {
  if (busy || $("lk-go").disabled) return;
  const value = answer();
  if (value === undefined) return;
  busy = true;
  $("lk-go").disabled = true;
  $("lk-go").textContent = "Labeling …";
  try {
    const body = { do: "label", value };
    if (takesAll()) body.all = true;
    else body.examples = ticked().map((box) => box.value);
    if ($("lk-threshold")) body.at_least = threshold;
    const done = await send(body);
    labeled = new Set(body.examples || []);
    await drawAgain(new Set());
    showResult(done);
  } catch (error) {
    tell(words(error));
  } finally {
    busy = false;
    count();
  }
}

function showResult(done) {
  const undo = el("button", { type: "button", class: "gd-button gd-button-small", "data-undo": done.bulk }, "Undo", kbd("U"));
  const said = `${plural(done.labeled, "example")} labeled.`;
  $("lk-done").replaceChildren(el("div", { class: "lk-result" }, el("p", {}, el("b", {}, said), done.left_out ? ` ${done.left_out}` : ""), undo));
  announce(said);
}

async function undo(bulk) {
  if (busy) return;
  busy = true;
  try {
    const done = await send({ do: "undo", bulk });
    await drawAgain(labeled);
    labeled = new Set();
    const said = `${plural(done.taken_back, "label")} taken back.`;
    $("lk-done").replaceChildren(el("div", { class: "lk-result lk-result-undone" }, el("p", {}, el("b", {}, said), done.left ? ` ${done.left}` : "")));
    announce(said);
  } catch (error) {
    tell(words(error));
  } finally {
    busy = false;
  }
}

/** Fetch the page anew and take its lists; `keep` are the examples to tick. */
async function drawAgain(keep) {
  const response = await fetch(here(), { credentials: "same-origin" });
  const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const id of ["lk-results", "lk-past"]) {
    const found = fresh.getElementById(id);
    if (found) $(id).replaceChildren(...found.childNodes);
  }
  setUpResults(keep);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-undo]");
  if (button) undo(button.dataset.undo);
});
$("lk-go").addEventListener("click", label);
$("lk-keys").addEventListener("click", showKeys);

// --- keys
const KEYS = [
  [["j", "k"], "Next, previous example"],
  [["Space"], "Tick it, or not"],
  [["Shift", "Space"], "Tick all from the last one to here"],
  [["a"], "Tick all, or none"],
  [["m"], "Find examples like this one"],
  [["[", "]"], "Threshold lower, higher"],
  [["/"], "Search"],
  [["Ctrl", "Enter"], "Label what is ticked"],
  [["u"], "Undo the newest batch"],
];

function showKeys() {
  const rows = KEYS.flatMap(([keys, title]) => [el("dt", {}, ...keys.flatMap((key, at) => (at ? [" ", kbd(key)] : [kbd(key)]))), el("dd", {}, title)]);
  dialog({ title: "Keys", body: [el("dl", { class: "lk-key-rows" }, ...rows), el("p", { class: "gd-muted lb-above" }, "The keys on the answers pick them.")] });
}

function move(step) {
  const all = ticks();
  if (!all.length) return;
  const at = all.indexOf(document.activeElement);
  const next = all[Math.min(Math.max(at + step, 0), all.length - 1)];
  next.focus();
  next.closest(".lk-row").scrollIntoView({ block: "nearest" });
}

function nudge(step) {
  const slider = $("lk-threshold");
  if (!slider) return;
  slider.value = Number(slider.value) + step;
  tickFrom(Number(slider.value));
}

const actions = {
  j: () => move(1),
  ArrowDown: () => move(1),
  k: () => move(-1),
  ArrowUp: () => move(-1),
  a: () => $("lk-all") && $("lk-all").click(),
  m: () => {
    const link = (document.activeElement.closest(".lk-row") || document).querySelector("[data-like]");
    if (link) link.click();
  },
  "[": () => nudge(-0.01),
  "]": () => nudge(0.01),
  "/": () => ($("lk-to") && !$("lk-to").disabled ? $("lk-to") : $("lk-text")).focus(),
  u: () => {
    const newest = document.querySelector("#lk-done [data-undo]") || document.querySelector("#lk-past [data-undo]");
    if (newest) newest.click();
  },
  "?": showKeys,
};
const inText = (target) => target.matches("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select");

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    label();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && inText(event.target)) {
    event.target.blur();
    return;
  }
  if (inText(event.target)) return;
  const key = keyOf(event);
  const able = flat.filter((part) => part.keys.has(key));
  const part = able.find((one) => one.element.contains(document.activeElement)) || able.find((one) => one.get() === undefined) || able[0];
  if (part) {
    event.preventDefault();
    part.keys.get(key)();
  } else if (Object.hasOwn(actions, key) && !(event.target.type === "range" && key.startsWith("Arrow"))) {
    event.preventDefault();
    actions[key]();
  }
});

setUpResults();
