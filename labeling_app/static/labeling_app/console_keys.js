// Keys: what was pressed, where it may act, and the overlay that lists them.

import { el, kbd } from "./console_dom.js";
import { dialog } from "./console_dialogs.js";

/** The key of an event as keys are named: letters small, because Shift and Caps Lock make no other key of them. */
export function keyOf(event) {
  if (event.key === " ") return "Space";
  return event.key.length === 1 && /\p{L}/u.test(event.key) ? event.key.toLowerCase() : event.key;
}

/** With Alt the key's own character is what counts: Option+u makes a dead key on a Mac. */
function plainKeyOf(event) {
  const letter = /^Key([A-Z])$/.exec(event.code);
  const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code);
  return letter ? letter[1].toLowerCase() : digit ? digit[1] : keyOf(event);
}

const inText = (target) => target.matches && target.matches("input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");

/**
 * Listen to the keyboard. `actions` is {name: function}, `keys` {name: key}; `form()` gives the form that is shown.
 * While it is not `ready()`, keys do nothing: somebody types ahead of the next example.
 * In a box: Ctrl+Enter submits (Enter too, where it is one line), Esc leaves it, Alt with a key does what the key does.
 */
export function listen({ keys, actions, form, ready }) {
  const byKey = new Map(Object.entries(keys).map(([action, key]) => [key, action]));

  function act(key, event) {
    if (!ready()) return;
    const picked = form() && form().keyAction(key);
    const action = picked || (byKey.has(key) ? actions[byKey.get(key)] : null);
    if (!action) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    action();
  }

  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented || document.querySelector("dialog[open]")) return;
    if (event.altKey && !event.ctrlKey && !event.metaKey && event.key !== "Alt") {
      act(plainKeyOf(event), event);
      return;
    }
    if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
      event.preventDefault();
      actions.submit();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.repeat) return;
    if (inText(event.target)) return;
    const key = keyOf(event);
    // a button that has the focus is pressed by Space and Enter; on an option Enter submits, so that picking needs no mouse
    if (key === "Space") return;
    if (key === "Enter" && event.target.closest("button, a, summary") && !event.target.closest(".lc-option, .lc-step, .lc-submit")) return;
    act(key, event);
  }, true);

  // what a box does with a key itself comes first
  document.addEventListener("keydown", (event) => {
    if (event.isComposing || event.defaultPrevented || !inText(event.target) || event.target.closest("dialog")) return;
    if (event.key === "Escape") event.target.blur();
    else if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && event.target.closest(".lc-form") && event.target.dataset.lines !== "many") {
      event.preventDefault();
      if (!event.repeat) actions.submit();
    }
  });
}

/** Show all keys; `controls` are those of the form, as the server gives them. */
export function showKeys({ keys, titles, controls, keysUrl }) {
  const rows = Object.entries(titles).map(([action, title]) => [keys[action], title]);
  const options = pickable(controls).map((control) => section(control.title, control.options.filter((o) => o.key).slice(0, 24).map((o) => [o.key, o.title])));
  const fixed = [
    ["Ctrl ↵", "Submit from inside a box"],
    ["Esc", "Leave a box, close a panel"],
    ["Tab", "Go to the next control"],
    ["Alt + key", "What the key does, from inside a box"],
    ["1 – 5, 0", "How sure you are, after its key"],
  ];
  dialog({
    title: "Keys",
    wide: true,
    more: el("a", { class: "gd-link lc-dialog-more", href: keysUrl }, "Choose other keys"),
    body: [el("div", { class: "lc-keys" }, el("div", {}, section("Actions", rows)), el("div", {}, ...options, section("Everywhere", fixed)))],
  });
}

function section(title, rows) {
  if (!rows.length) return null;
  return el(
    "section",
    {},
    el("h3", {}, title),
    el("dl", { class: "lc-key-rows" }, ...rows.map(([key, what]) => el("div", {}, el("dt", {}, kbd(key, false)), el("dd", {}, what)))),
  );
}

function pickable(controls) {
  return [].concat(...controls.map((control) => [...(control.options ? [control] : []), ...pickable(control.children || [])]));
}
