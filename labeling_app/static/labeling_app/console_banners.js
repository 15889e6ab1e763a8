// What stands above the form: what kind of session it is, what was suggested, what changed behind one's back.

import { answerText, el, icon, kbd } from "./console_dom.js";
import { lostText } from "./console_troubles.js";
import { drawChanges } from "./console_view.js";

const SESSIONS = {
  validation: ["fact_check", "Validation: the answer that is there is filled in. Submit it if it is right, or change it."],
  correction: ["build", "Correction: the answer that is there is filled in. Mend it, then submit."],
};

/** Say what is filled in and why. */
export function notes(sessionType, task) {
  const texts = [];
  if (SESSIONS[sessionType] && !task.mine) texts.push(task.current === null ? ["fact_check", "There is no answer to look at yet: give the first one."] : SESSIONS[sessionType]);
  if (task.mine) texts.push(["undo", "You took this answer back. Change it and submit it again."]);
  if (task.note) texts.push(["reply", `A reviewer sent it back: ${task.note}`]);
  return texts.map(([name, text]) => el("p", { class: "lc-note" }, icon(name), text));
}

/** What a model or a rule would answer, who says so and how sure it is. */
export function suggestionCard(one, { key, names, accept, edit }) {
  const take = el("button", { type: "button", class: "gd-button gd-button-small lc-accept" }, "Accept", key ? kbd(key) : null);
  const change = el("button", { type: "button", class: "gd-button gd-button-small gd-button-quiet" }, "Edit first");
  take.addEventListener("click", () => accept(one));
  change.addEventListener("click", () => edit(one));
  const sure = one.confidence === null ? null : el("span", { class: "lc-percent", title: "How sure the source is" }, `${Math.round(one.confidence * 100)} %`);
  return el(
    "div",
    { class: "lc-suggestion" },
    el("div", { class: "lc-suggestion-main" }, el("span", { class: "lc-suggestion-source" }, icon("lightbulb"), `Suggested by ${one.source}`, sure), el("b", {}, answerText(one.value, 200, names))),
    el("div", { class: "gd-actions" }, take, change),
  );
}

/** The example was changed: the answer is in the form. */
export function changedBanner() {
  const note = el("p", {}, "The example was changed after it was given to you. Your answer is filled in and not stored yet: look again, then submit.");
  return el("div", { class: "lc-note lc-note-changed", role: "alert" }, icon("published_with_changes"), note);
}

/** The server found the answer wrong where the browser did not. */
export function refusedBanner() {
  return el("div", { class: "lc-note lc-note-changed", role: "alert" }, icon("rule"), el("p", {}, "This answer does not fit what the type asks for, and is not stored yet. It is filled in: mend what is marked, then submit."));
}

/** What changed in it, before beside now: stands above the example. */
export function changesCard(before, now, views) {
  return el("section", { class: "lc-changed-card", "aria-label": "What changed" }, el("h3", {}, icon("difference"), "What changed"), drawChanges(before, now, views));
}

/** The form was changed: what has no place any more can be copied. */
export function lostBanner(lost) {
  const box = lost.length ? el("textarea", { class: "lc-input lc-text", readonly: true, rows: 2, "aria-label": "What does not fit any more" }) : null;
  if (box) box.value = lostText(lost);
  const what = lost.length ? "What still fits is filled in; this does not fit any more:" : "Your answer still fits and is filled in: look at it, then submit.";
  return el("div", { class: "lc-note lc-note-changed", role: "alert" }, icon("dynamic_form"), el("div", {}, el("p", {}, `The form was changed while you were answering. ${what}`), box));
}
