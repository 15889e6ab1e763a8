// One case as a reviewer sees it: the example, and under it what each labeler says, side by side.

import { answerText, el, icon, kbd, numberText, plural, same, spanText } from "./console_dom.js";
import { drawExample, drawValue, inOrder } from "./console_view.js";

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
const NAMES_WIDTH = 116;
const COLUMN_WIDTH = 190;
const MOST_IN_LINE = 3; // columns in which a name has room beside its button
const PLAIN = /^The labelers disagree\.$/; // says no more than the reason does
const SOURCES = { accepted: "a suggestion, accepted", bulk: "given in bulk", import: "imported" };
const shortDate = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

/** What can be adopted, in the order of the keys: labels, what they say together, suggestions; then what is there now. */
export function columnsOf(found, controls) {
  const columns = [].concat(...groupsOf(found.labels, controls).map((group) => group.labels)).map((label) => ({ kind: "label", outcome: "adopted", ...label }));
  const together = found.consensus;
  if (together && !found.labels.some((label) => same(label.value, together.value))) {
    columns.push({ kind: "together", outcome: "adopted", value: together.value, confidence: together.confidence, method: found.method });
  }
  for (const one of found.suggestions) columns.push({ kind: "suggestion", outcome: "third_answer", ...one });
  columns.forEach((column, at) => (column.key = at < 9 ? String(at + 1) : ""));
  if (found.current !== null) columns.push({ kind: "current", outcome: "kept", value: found.current, key: "k" });
  return columns;
}

/** Labels by what they say in short, what most say first: [{answer, labels}]. */
function groupsOf(labels, controls) {
  const groups = [];
  for (const label of labels) {
    const answer = inShort(label.value, controls);
    const group = groups.find((one) => same(one.answer, answer));
    if (group) group.labels.push(label);
    else groups.push({ answer, labels: [label] });
  }
  return groups.sort((one, other) => other.labels.length - one.labels.length);
}

/** What stands for an answer in a few words: its first field that is picked from a few, else all of it. */
export function inShort(value, controls) {
  if (!isObject(value)) return value;
  const picked = controls.find((control) => ["choice", "class"].includes(control.kind) && control.path.length === 1 && control.path[0] in value);
  if (picked) return value[picked.path[0]];
  const names = Object.keys(value);
  return names.length === 1 ? value[names[0]] : value;
}

/** Draw a case; `act(name, column)` is called for what is pressed. */
export function drawCase(found, form, { blind, left, allQueues, act }) {
  const columns = columnsOf(found, form.controls);
  return el(
    "article",
    { class: "lr-case", "aria-labelledby": "lr-name" },
    head(found, left, allQueues, act),
    el("div", { id: "lr-find" }),
    found.input === null
      ? el("p", { class: "gd-note gd-note-warning" }, "The example left the working copy. Its labels are kept; it can only be kept as it is, or sent back.")
      : el("div", { class: "lr-example", id: "lr-example", tabindex: "0", role: "region", "aria-label": "The example" }, drawExample(found.input, form.input_view)),
    el("h2", { class: "lr-heading" }, found.labels.length ? "What the labelers say" : "No labels yet", tally(found, form.controls), waitingFor(found)),
    columns.length ? table(columns, form, { blind, act, found }) : null,
    remarks(found, blind),
  );
}

function head(found, left, allQueues, act) {
  const agreement = found.consensus && found.consensus.agreement;
  return el(
    "header",
    { class: "lr-head" },
    el(
      "div",
      { class: "lr-head-line" },
      el("h1", { class: "lr-name", id: "lr-name", tabindex: "-1" }, found.name),
      allQueues ? el("span", { class: "gd-muted" }, `${found.queue_name} · ${found.dataset_name}`) : null,
      found.status && found.status !== "pending" ? el("span", { class: `gd-status gd-status-${found.status}` }, found.status) : null,
      el(
        "span",
        { class: "lr-steps" },
        el("span", { class: "gd-muted", id: "lr-left" }, left),
        button("previous", "chevron_left", "Previous", "p", act),
        button("next", "chevron_right", "Next, without deciding", "n", act),
      ),
    ),
    el(
      "p",
      { class: "lr-why" },
      el("span", { class: `gd-chip ${found.reason === "disagreement" ? "gd-tone-3" : "gd-tone-6"}` }, found.reason_said),
      typeof agreement === "number" ? el("span", { class: "lr-agreement" }, `${percent(agreement)} agreement`) : null,
      found.detail && !PLAIN.test(found.detail) ? el("span", { class: "lr-detail" }, found.detail) : null,
    ),
    found.elsewhere
      ? el("p", { class: "gd-note lr-elsewhere", role: "status" }, el("span", {}, found.elsewhere), el("button", { type: "button", class: "gd-button gd-button-small", "data-act": "over" }, kbd("o"), "Take it over"))
      : null,
    found.decided ? el("p", { class: "gd-note gd-note-warning" }, `Decided${found.decided.by ? ` by ${found.decided.by}` : ""}: ${found.decided.said}.${found.decided.comment ? ` “${found.decided.comment}”` : ""} `) : null,
  );
}

function button(name, glyph, title, key, act) {
  const made = el("button", { type: "button", class: "lc-icon-button", "aria-label": title, title: `${title} (${key.toUpperCase()})` }, icon(glyph));
  made.addEventListener("click", () => act(name));
  return made;
}

/** How often each answer was given, where that takes counting. */
function tally(found, controls) {
  if (found.labels.length < 3) return null;
  const parts = groupsOf(found.labels, controls).map((group) => el("span", {}, el("b", {}, answerText(group.answer, 40)), ` ×${group.labels.length}`));
  return el("span", { class: "lr-tally" }, ...parts);
}

function waitingFor(found) {
  const missing = found.labels_wanted - found.labels.length;
  return missing > 0 && found.labels.length ? el("span", { class: "gd-muted lr-missing" }, `${plural(missing, "label")} of ${found.labels_wanted} still to come`) : null;
}

// --- side by side
function table(columns, form, { blind, act, found }) {
  const rows = fieldsOf(columns, form.controls);
  const shown = rows.map((row) => fieldRow(row, columns));
  const said = columns.filter((column) => column.kind === "label");
  if (said.some((column) => column.confidence !== null)) shown.push(plainRow("Sure", columns, (column) => sure(column)));
  if (said.some((column) => column.notes)) shown.push(plainRow("Notes", columns, (column) => (column.notes ? el("span", { class: "lr-notes" }, column.notes) : null)));
  shown.push(plainRow("Given", columns, (column) => given(column)));
  const made = el(
    "table",
    { class: `lr-table${columns.length > MOST_IN_LINE ? " lr-stacked" : ""}` },
    el("thead", {}, el("tr", {}, el("td", {}), ...columns.map((column, at) => columnHead(column, at, { blind, act, found })))),
    el("tbody", {}, ...shown),
  );
  made.style.minWidth = `${NAMES_WIDTH + columns.length * COLUMN_WIDTH}px`; // beyond the window it scrolls
  return el("div", { class: "lr-table-wrap", tabindex: "0", role: "region", "aria-label": "Labels side by side" }, made);
}

function columnHead(column, at, { blind, act, found }) {
  const title = { label: nameOf(column, at, blind), together: `Together: ${(column.method || "").toLowerCase()}`, suggestion: column.source, current: "In the dataset now" }[column.kind];
  const press = el(
    "button",
    { type: "button", class: `gd-button gd-button-small lr-adopt${column.kind === "label" ? " gd-button-primary" : ""}`, disabled: Boolean(found.elsewhere), "aria-label": column.kind === "current" ? "Keep what is there" : `Adopt the answer of ${title}` },
    column.key ? kbd(column.key) : null,
    column.kind === "current" ? "Keep" : "Adopt",
  );
  press.addEventListener("click", () => act(column.kind === "current" ? "keep" : "adopt", column));
  return el(
    "th",
    { scope: "col", class: `lr-column lr-column-${column.kind}` },
    el(
      "div",
      { class: "lr-column-line" },
      el("span", { class: "lr-who", title }, column.kind === "suggestion" ? icon("auto_awesome") : null, title),
      found.input === null && column.kind !== "current" ? null : press,
    ),
  );
}

/** Labelers have numbers instead of names while names are hidden. */
export function nameOf(column, at, blind) {
  return blind ? `Labeler ${at + 1}` : column.annotator;
}

/** The fields that any answer has, in the order of the form: [{title, name}]; one row without a name for a single value. */
function fieldsOf(columns, controls) {
  const objects = columns.map((column) => column.value).filter(isObject);
  if (!objects.length) return [{ name: null, title: controls[0] ? controls[0].title : "Answer" }];
  const all = Object.assign({}, ...objects);
  const views = controls.filter((control) => control.path.length === 1).map((control) => ({ name: control.path[0], title: control.title }));
  return inOrder(all, views).map(([view]) => ({ name: view.name, title: view.title }));
}

function fieldRow(row, columns) {
  const parts = columns.map((column) => (row.name === null ? column.value : isObject(column.value) ? column.value[row.name] : undefined));
  const kinds = []; // distinct answers of labelers, in the order in which they appear
  columns.forEach((column, at) => {
    if (column.kind === "label" && !kinds.some((one) => same(one, parts[at]))) kinds.push(parts[at]);
  });
  const differs = kinds.length > 1;
  return el(
    "tr",
    { class: differs ? "lr-differs" : null },
    el("th", { scope: "row" }, row.title, differs ? el("span", { class: "gd-sr" }, ": they differ") : null),
    ...parts.map((part, at) => {
      const tone = kinds.findIndex((one) => same(one, part));
      return el("td", { class: differs && tone >= 0 ? `lr-tone lr-tone-${tone % 6}` : null }, part === undefined ? el("span", { class: "lc-none" }, "not given") : drawValue(part, {}, 1));
    }),
  );
}

function plainRow(title, columns, draw) {
  return el("tr", { class: "lr-plain" }, el("th", { scope: "row" }, title), ...columns.map((column) => el("td", {}, draw(column) || "")));
}

function sure(column) {
  if (column.confidence === null || column.confidence === undefined) return null;
  return el("span", { class: "lr-sure" }, el("meter", { min: 0, max: 1, value: column.confidence, "aria-hidden": "true" }), percent(column.confidence));
}

function given(column) {
  if (column.kind !== "label") return null;
  const parts = [el("time", { datetime: column.labeled_at, title: column.labeled_at }, shortDate.format(new Date(column.labeled_at)))];
  if (column.seconds) parts.push(el("span", {}, ` · took ${spanText(column.seconds)}`));
  if (SOURCES[column.source]) parts.push(el("span", {}, ` · ${SOURCES[column.source]}`));
  return el("span", { class: "lr-given" }, ...parts);
}

function remarks(found, blind) {
  if (!found.remarks.length) return null;
  const rows = found.remarks.map((one) =>
    el(
      "li",
      {},
      el("time", { datetime: one.at, class: "gd-muted" }, shortDate.format(new Date(one.at))),
      el("span", {}, el("b", { class: "gd-strong" }, blind || !one.who ? "" : `${one.who} `), one.said, one.notes ? el("q", { class: "lr-notes" }, one.notes) : null),
    ),
  );
  return el("details", { class: "lr-remarks", open: found.remarks.length <= 3 }, el("summary", {}, `What happened before (${found.remarks.length})`), el("ul", {}, ...rows));
}

export function percent(share) {
  return `${numberText(Math.round(share * 100))} %`;
}
