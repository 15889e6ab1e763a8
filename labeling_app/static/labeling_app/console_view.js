// The left side: an example, drawn from its type. Never raw JSON, never HTML: every value goes in as text.

import { el, numberText, plural, same } from "./console_dom.js";

const LONG = 90; // characters from which a text is a paragraph
const OPEN_ENTRIES = 12; // of a nested value that is drawn open
const MOST_COLUMNS = 6;
const AROUND = 160; // characters around a change

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const isScalar = (value) => value === null || typeof value !== "object";

/** Draw the input of an example: a section per field, in the type's order, then what the type does not name. */
export function drawExample(input, views) {
  if (!isObject(input)) return el("div", { class: "lc-fields" }, drawValue(input, {}, 0));
  const fields = inOrder(input, views);
  const single = fields.length === 1;
  return el(
    "div",
    { class: "lc-fields" },
    ...fields.map(([view, value]) =>
      el(
        "section",
        { class: `lc-field${isShort(value) ? " lc-field-short" : ""}` },
        el("h3", { class: "lc-field-title", title: view.description || null }, view.title),
        drawValue(value, { ...view, large: single }, 0),
      ),
    ),
  );
}

/** The fields of an object as [view, value]: those of the type first. Fields that are absent are left out. */
export function inOrder(value, views = []) {
  const known = views.filter((view) => Object.hasOwn(value, view.name));
  const names = new Set(known.map((view) => view.name));
  const rest = Object.keys(value).filter((name) => !names.has(name));
  const size = (name) => (isNested(value[name]) ? 2 : isShort(value[name]) ? 0 : 1);
  rest.sort((a, b) => size(a) - size(b)); // what the type says nothing of: the short first
  return [...known.map((view) => [view, value[view.name]]), ...rest.map((name) => [{ name, title: spoken(name) }, value[name]])];
}

function spoken(name) {
  const words = name.replace(/[_-]+/g, " ").trim();
  return words ? words[0].toUpperCase() + words.slice(1) : name;
}

const isShort = (value) => isScalar(value) && String(value).length <= LONG && !String(value).includes("\n");

export function drawValue(value, view = {}, depth = 0) {
  if (value === null || value === undefined) return el("span", { class: "lc-none" }, "none");
  if (typeof value === "string") return drawText(value, view);
  if (typeof value === "number") return el("span", { class: "lc-scalar lc-figure" }, numberText(value));
  if (typeof value === "boolean") return el("span", { class: "lc-scalar" }, value ? "Yes" : "No");
  return Array.isArray(value) ? drawList(value, view, depth) : drawObject(value, view, depth);
}

function drawText(text, view) {
  if (text === "") return el("span", { class: "lc-none" }, "empty");
  if (view.shown_as === "code" || (!view.shown_as && looksLikeCode(text))) return el("pre", { class: "lc-code", tabindex: "0" }, text);
  const long = text.length > LONG || text.includes("\n");
  const size = view.large && text.length <= 400 ? " lc-text-large" : "";
  if (/^https?:\/\/\S+$/.test(text)) return el("span", { class: "lc-url" }, text);
  return el(long ? "div" : "span", { class: `${long ? "lc-prose" : "lc-scalar"}${size}`, dir: "auto" }, text);
}

/** Indented lines with brackets or semicolons at their ends are code; prose is not. */
function looksLikeCode(text) {
  const lines = text.split("\n").filter((line) => line.trim());
  if (lines.length < 4) return false;
  const marked = lines.filter((line) => /[;{}()\[\]:]\s*$/.test(line) || /^\s{2,}\S/.test(line) || /^(\t|import |def |class |function |const |#include)/.test(line));
  return marked.length / lines.length > 0.6;
}

const isChips = (values) => values.every((value) => isScalar(value) && String(value).length <= 40);

function drawList(values, view, depth) {
  if (!values.length) return el("span", { class: "lc-none" }, "none");
  if (isChips(values)) {
    return el("ul", { class: "lc-chips" }, ...values.map((value) => el("li", {}, drawValue(value, view.item || {}, depth + 1))));
  }
  if (fitsTable(values)) return drawTable(values, view.item || {});
  return el("ol", { class: "lc-items" }, ...values.map((value) => el("li", {}, drawValue(value, view.item || {}, depth + 1))));
}

/** Rows of the same few short fields are a table. */
function fitsTable(values) {
  if (values.length < 2 || !values.every(isObject)) return false;
  const names = Object.keys(values[0]);
  if (!names.length || names.length > MOST_COLUMNS) return false;
  const set = new Set(names);
  return values.every((value) => {
    const own = Object.keys(value);
    return own.length === names.length && own.every((name) => set.has(name) && isScalar(value[name]) && String(value[name]).length <= LONG);
  });
}

function drawTable(values, view) {
  const columns = inOrder(values[0], view.children).map(([one]) => one);
  return el(
    "div",
    { class: "lc-table-wrap", tabindex: "0", role: "region", "aria-label": "Table" },
    el(
      "table",
      { class: "lc-table" },
      el("thead", {}, el("tr", {}, ...columns.map((column) => el("th", { scope: "col" }, column.title)))),
      el("tbody", {}, ...values.map((value) => el("tr", {}, ...columns.map((column) => el("td", { class: typeof value[column.name] === "number" ? "lc-right" : null }, drawValue(value[column.name], column, 2)))))),
    ),
  );
}

function drawObject(value, view, depth) {
  const fields = inOrder(value, view.children);
  if (!fields.length) return el("span", { class: "lc-none" }, "empty");
  return el("dl", { class: "lc-defs" }, ...fields.map(([one, part]) => (isNested(part) ? folded(one, part, depth) : defined(one, part, depth))));
}

function defined(view, value, depth) {
  const wide = !isShort(value) && !(Array.isArray(value) && isChips(value));
  return el("div", { class: wide ? "lc-def lc-def-wide" : "lc-def" }, el("dt", { title: view.description || null }, view.title), el("dd", {}, drawValue(value, view, depth + 1)));
}

/** Whether a value has so much in it that it can be folded away. */
function isNested(value) {
  if (isObject(value)) return Object.keys(value).length > 0;
  return Array.isArray(value) && value.length > 0 && !isChips(value) && !fitsTable(value);
}

/** A field with more in it: its title folds it; it is open unless it is long or lies deep. */
function folded(view, value, depth) {
  const count = Object.keys(value).length;
  const open = depth < 2 && count <= OPEN_ENTRIES;
  const size = Array.isArray(value) ? plural(count, "entry", "entries") : plural(count, "field");
  const summary = el("summary", { title: view.description || null }, view.title, el("span", { class: "lc-fold-count" }, size));
  return el("div", { class: "lc-def lc-def-wide" }, el("dt", { class: "gd-sr" }, view.title), el("dd", {}, el("details", { class: "lc-fold", open }, summary, drawValue(value, view, depth + 1))));
}

/** Draw what changed in an example, field by field, before beside now. */
export function drawChanges(before, after, views) {
  const both = { ...(isObject(before) ? before : { "": before }), ...(isObject(after) ? after : { "": after }) };
  const rows = inOrder(both, views)
    .map(([view]) => [view, isObject(before) ? before[view.name] : before, isObject(after) ? after[view.name] : after])
    .filter(([, old, now]) => old === undefined || now === undefined || !same(old, now));
  return el(
    "div",
    { class: "lc-changes" },
    ...rows.map(([view, old, now]) =>
      el(
        "section",
        { class: "lc-change" },
        el("h4", {}, view.title),
        el("div", { class: "lc-before" }, el("span", { class: "lc-side-name" }, "Before"), old === undefined ? el("span", { class: "lc-none" }, "was not there") : marked(old, now, view, "del")),
        el("div", { class: "lc-after" }, el("span", { class: "lc-side-name" }, "Now"), now === undefined ? el("span", { class: "lc-none" }, "is gone") : marked(now, old, view, "ins")),
      ),
    ),
  );
}

/** A text with the words that the other side does not have marked; other values as they are drawn anyway. */
function marked(value, other, view, tag) {
  if (typeof value !== "string" || typeof other !== "string" || value.length > 4000) return drawValue(value, view, 1);
  const [words, theirs] = [value, other].map((text) => text.split(/(\s+)/));
  let start = 0;
  while (start < words.length && words[start] === theirs[start]) start += 1;
  let end = 0;
  while (end < words.length - start && end < theirs.length - start && words.at(-1 - end) === theirs.at(-1 - end)) end += 1;
  const middle = words.slice(start, words.length - end).join("");
  const before = words.slice(0, start).join("");
  const after = words.slice(words.length - end).join("");
  const cut = [before.length > AROUND ? `… ${before.slice(-AROUND).replace(/^\S*\s/, "")}` : before, after.length > AROUND ? `${after.slice(0, AROUND).replace(/\s\S*$/, "")} …` : after];
  return el("span", { class: "lc-prose" }, cut[0], middle ? el(tag, {}, middle) : null, cut[1]);
}
