// Panels of the review page: another answer, and the keys.

import { gathered, makeControl, spread } from "./console_controls.js";
import { dialog } from "./console_dialogs.js";
import { el, kbd } from "./console_dom.js";
import { keyOf } from "./console_keys.js";
import { problems } from "./console_value.js";

const inText = (target) => target.matches("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select");

/** Ask for an answer of the reviewer's own, beginning with `value`. `done(answer)` resolves to what is wrong, or to null. */
export function askAnswer({ controls, value, done }) {
  const single = controls.length === 1 && controls[0].path.length === 0;
  const parts = controls.map((control) => makeControl(control, { changed: () => tell("") }));
  const flat = flattened(parts);
  let others = {};
  if (value !== undefined && value !== null) {
    if (single) parts[0].set(value);
    else others = spread(parts, value);
  }
  const problem = el("p", { class: "lc-problem", role: "alert", hidden: true });
  const send = el("button", { type: "button", class: "gd-button gd-button-primary" }, "Adopt this answer", kbd("Enter"));
  const panel = dialog({
    title: "Another answer",
    wide: flat.length > 2,
    body: [el("div", { class: "lc-form lr-form" }, ...parts.map((part) => part.element)), problem, el("div", { class: "lc-dialog-foot gd-actions gd-actions-end" }, send)],
  });

  function tell(text) {
    problem.textContent = text;
    problem.hidden = !text;
  }

  async function submit() {
    const answer = single ? parts[0].get() : { ...others, ...gathered(parts) };
    for (const part of flat) part.tell("");
    const wrong = single ? problems(controls[0], answer, []) : [].concat(...parts.map((part) => problems(part.control, part.get())));
    if (wrong.length) {
      for (const { path, message } of wrong) {
        const place = flat.find((part) => same(part.control.path, path)) || flat.find((part) => part.control.path[0] === path[0]) || flat[0];
        place.tell(message);
      }
      return;
    }
    send.disabled = true;
    const told = await done(answer);
    send.disabled = false;
    if (told) tell(told);
    else panel.close();
  }

  send.addEventListener("click", submit);
  panel.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey || !(event.target.matches("textarea") || event.target === send))) {
      event.preventDefault();
      submit();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || inText(event.target)) return;
    const key = keyOf(event);
    const able = flat.filter((part) => part.keys.has(key));
    const here = able.find((part) => part.element.contains(document.activeElement)) || able.find((part) => part.get() === undefined) || able[0];
    if (here) {
      event.preventDefault();
      here.keys.get(key)();
    }
  });
  const first = flat.find((part) => !part.parts);
  if (first) first.focus();
}

const same = (a, b) => a.length === b.length && a.every((step, at) => step === b[at]);

function flattened(parts) {
  return [].concat(...parts.map((part) => [part, ...(part.control.kind === "group" ? flattened(part.parts) : [])]));
}

const KEYS = [
  ["1 … 9", "Adopt the answer of that column"],
  ["t", "Give another answer"],
  ["k", "Keep what is there"],
  ["r", "Reject the example"],
  ["b", "Send it back to the labelers"],
  ["c", "Write a comment"],
  ["o", "Take over what another reviewer has open"],
  ["n", "Next, without deciding"],
  ["p", "The one before"],
  ["u", "Undo the last decision"],
  ["h", "Hide or show names"],
  ["/", "Search in the example"],
  ["?", "Show the keys"],
];

export function showKeys() {
  const rows = KEYS.map(([key, title]) => el("div", { class: "lr-key" }, el("dt", {}, kbd(key)), el("dd", {}, title)));
  dialog({ title: "Keys", body: [el("dl", { class: "lr-keys" }, ...rows)] });
}
