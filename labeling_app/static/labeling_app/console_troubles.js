// Answers that the server did not take, each told plainly, kept, and copyable until the person has dealt with it.

import { answerText, copy, el, icon } from "./console_dom.js";

const TITLES = {
  lease_lost: "This answer came too late",
  example_gone: "The example was removed",
  example_redacted: "The example was redacted",
  example_changed: "The example was changed while you were answering",
  type_changed: "The form was changed while you were answering",
  schema_violation: "This answer does not fit the form",
  labeler_paused: "You are paused in this queue",
  queue_not_open: "This queue is not open",
  not_assigned: "This queue is not assigned to you any more",
  forbidden: "You may not label here any more",
  key_reused: "This answer was sent before with another content",
  unknown_lease: "This example is not yours any more",
};
// what may pass when somebody else does something: the same answer may be sent again
const MAY_PASS = ["labeler_paused", "queue_not_open", "not_assigned", "forbidden"];

/** Draw the answers in trouble into `place`. `again(record)` sends one again, `settle(record)` lets it go. */
export function drawTroubles(place, records, { again, settle }) {
  place.hidden = !records.length;
  place.replaceChildren(...records.map(card));

  function card(record) {
    const { error } = record;
    const given = record.body.value === undefined ? record.body.reason || record.body.comment : record.body.value;
    const copyButton = action("Copy the answer", () => copy(fullText(record), copyButton));
    const done = action("Done", () => settle(record));
    const retry = MAY_PASS.includes(error.code) ? action("Send again", () => again(record)) : null;
    return el(
      "article",
      { class: "lc-trouble", role: "alert" },
      icon("error"),
      el(
        "div",
        { class: "lc-trouble-main" },
        el("h3", {}, TITLES[error.code] || "This answer was not taken"),
        el("p", {}, [error.message, error.hint].filter(Boolean).join(" ")),
        el("p", { class: "lc-trouble-answer" }, el("span", { class: "gd-muted" }, `${record.what}: `), answerText(given, 300)),
      ),
      el("div", { class: "lc-trouble-actions" }, retry, copyButton, done),
    );
  }
}

function action(title, handler) {
  const button = el("button", { type: "button", class: "gd-button gd-button-small" }, title);
  button.addEventListener("click", handler);
  return button;
}

function fullText({ body, what }) {
  return JSON.stringify({ example: what, ...Object.fromEntries(Object.entries(body).filter(([name]) => ["value", "confidence", "notes", "reason", "comment"].includes(name))) }, null, 2);
}

/** Tell in words what an answer held that a new form has no place for. */
export function lostText(lost) {
  return lost.map(([name, value]) => (name ? `${name.replaceAll("_", " ")}: ${answerText(value, 300)}` : answerText(value, 300))).join("\n");
}
