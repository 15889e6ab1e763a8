// Controls that are answered by picking: buttons with keys, toggles, and a box to type ahead in when there are many.

import { el, icon, kbd, same } from "./console_dom.js";

const MOST_BUTTONS = 24;
const MOST_SHOWN = 200;

/** What a control shows of an answer: one of its options, or a class that somebody wrote; else nothing. */
function possible(control, given) {
  const known = control.options.some((option) => same(option.value, given));
  return known || (control.kind === "class" && typeof given === "string") ? given : undefined;
}

/** Buttons of which one is picked; picking it again takes it back. With `free`, another answer may be written. */
export function makeChoice(control, context) {
  if (control.options.length > MOST_BUTTONS) return makeTypeAhead(control, context);
  let value;
  const buttons = control.options.map((option) => {
    const button = el(
      "button",
      { type: "button", class: "lc-option", role: "radio", "aria-checked": "false", tabindex: "-1" },
      option.key ? kbd(option.key) : el("span", { class: "lc-nokey" }),
      el("span", { class: "lc-option-title" }, option.title),
    );
    if (option.key) button.setAttribute("aria-keyshortcuts", option.key);
    button.addEventListener("click", () => pick(option.value));
    return button;
  });
  const group = el("div", { class: optionsClass(control.options), role: "radiogroup", "aria-labelledby": context.labelId }, ...buttons);
  group.addEventListener("keydown", (event) => moveFocus(event, buttons));
  const other = control.kind === "class" ? otherBox(control, (text) => pick(text, true)) : null;
  const element = other ? el("div", { class: "lc-stack" }, group, other.element) : group;

  function draw() {
    const at = control.options.findIndex((option) => value !== undefined && same(option.value, value));
    buttons.forEach((button, index) => {
      button.setAttribute("aria-checked", String(index === at));
      button.tabIndex = index === Math.max(at, 0) ? 0 : -1;
    });
    if (other) other.show(at === -1 ? value : undefined);
  }

  function pick(picked, written = false) {
    value = picked !== undefined && value !== undefined && same(value, picked) && !written ? undefined : picked;
    draw();
    context.changed({ picked: value !== undefined && !written });
  }

  draw();
  return {
    control,
    element,
    get: () => value,
    set(given) {
      value = possible(control, given);
      draw();
    },
    focus: () => (buttons.find((button) => button.tabIndex === 0) || element).focus(),
    keys: new Map(control.options.filter((o) => o.key).map((option) => [option.key, () => pick(option.value)])),
  };
}

function optionsClass(options) {
  const longest = Math.max(...options.map((option) => option.title.length));
  return `lc-options${options.length > 3 && longest <= 16 ? " lc-options-narrow" : ""}`;
}

function moveFocus(event, buttons) {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const at = buttons.indexOf(document.activeElement);
  const next = buttons[(at + step + buttons.length) % buttons.length];
  buttons.forEach((button) => (button.tabIndex = button === next ? 0 : -1));
  next.focus();
}

function otherBox(control, write) {
  const input = el("input", {
    class: "lc-input",
    type: "text",
    placeholder: "Another answer",
    "aria-label": `Another answer for ${control.title}`,
    autocomplete: "off",
    maxlength: control.max_length,
  });
  input.addEventListener("input", () => write(input.value.trim() || undefined));
  const element = el("div", { class: "lc-other" }, input);
  return {
    element,
    show(value) {
      if (document.activeElement !== input) input.value = value === undefined || value === null ? "" : value;
      element.classList.toggle("lc-picked", value !== undefined);
    },
  };
}

/** Yes and no. */
export const makeBoolean = makeChoice;

/** Buttons of which any number is picked. */
export function makeToggles(control, context) {
  let picked = [];
  let touched = false;
  const buttons = control.options.map((option) => {
    const button = el(
      "button",
      { type: "button", class: "lc-option", role: "checkbox", "aria-checked": "false", "aria-keyshortcuts": option.key || null },
      option.key ? kbd(option.key) : el("span", { class: "lc-nokey" }),
      el("span", { class: "lc-option-title" }, option.title),
    );
    button.addEventListener("click", () => toggle(option.value));
    return button;
  });
  const element = el("div", { class: optionsClass(control.options), role: "group", "aria-labelledby": context.labelId }, ...buttons);

  function draw() {
    buttons.forEach((button, at) => {
      button.setAttribute("aria-checked", String(picked.some((one) => same(one, control.options[at].value))));
    });
  }

  function toggle(value) {
    touched = true;
    const there = picked.some((one) => same(one, value));
    picked = there
      ? picked.filter((one) => !same(one, value))
      : control.options.map((option) => option.value).filter((one) => same(one, value) || picked.some((p) => same(p, one)));
    draw();
    context.changed({});
  }

  return {
    control,
    element,
    get: () => (picked.length || (control.required && touched) ? [...picked] : undefined),
    set(given) {
      const values = Array.isArray(given) ? given : [];
      touched = Array.isArray(given);
      picked = values.filter((one) => control.options.some((option) => same(option.value, one)));
      draw();
    },
    focus: () => buttons[0].focus(),
    keys: new Map(control.options.filter((o) => o.key).map((option) => [option.key, () => toggle(option.value)])),
  };
}

/** A box that finds among many: typing filters, Enter picks the marked one, digits pick what is shown with them. */
export function makeTypeAhead(control, context) {
  let value;
  let shown = [];
  let marked = 0;
  const id = `lc-list-${context.labelId}`;
  const digits = !control.options.some((option) => /\d/.test(option.title)); // digits that may be part of a name filter
  const input = el("input", {
    class: "lc-input lc-typeahead-box",
    type: "text",
    role: "combobox",
    "aria-expanded": "true",
    "aria-controls": id,
    "aria-autocomplete": "list",
    "aria-labelledby": context.labelId,
    autocomplete: "off",
    spellcheck: "false",
    placeholder: `Type to find one of ${control.options.length}`,
  });
  const list = el("ul", { class: "lc-list", role: "listbox", id, "aria-labelledby": context.labelId });
  const chosen = el("div", { class: "lc-chosen", hidden: true });
  const count = el("div", { class: "lc-hint", role: "status" });
  const element = el("div", { class: "lc-typeahead" }, chosen, input, list, count);
  const indexed = control.options.map((option) => ({ option, words: plain(option.title) }));

  function filter() {
    const text = plain(input.value);
    const parts = text.split(" ").filter(Boolean);
    const found = indexed
      .map((one, at) => ({ ...one, at, score: rank(one.words, parts) }))
      .filter((one) => one.score < Infinity)
      .sort((a, b) => a.score - b.score || a.at - b.at);
    shown = found.slice(0, MOST_SHOWN).map((one) => ({ value: one.option.value, title: one.option.title, key: one.option.key }));
    const written = input.value.trim();
    if (control.kind === "class" && written && !indexed.some((one) => one.words === text)) {
      shown.push({ value: written, title: `New: “${written}”`, fresh: true });
    }
    // a stray Enter picks nothing, and a slip of the hand makes no new class: that one is gone to with the arrow
    marked = parts.length && found.length ? 0 : -1;
    draw();
    count.textContent = parts.length ? `${found.length} of ${control.options.length}` : "";
  }

  function draw() {
    list.replaceChildren(
      ...shown.map((one, at) => {
        const key = digits && at < 10 ? String((at + 1) % 10) : "";
        const row = el(
          "li",
          { class: `lc-row${one.fresh ? " lc-row-new" : ""}`, role: "option", id: `${id}-${at}`, "aria-selected": String(at === marked) },
          one.fresh ? icon("add") : key ? kbd(key) : el("span", { class: "lc-nokey" }),
          el("span", { class: "lc-option-title" }, one.title),
          one.fresh ? el("span", { class: "lc-fresh-keys" }, kbd("↓"), kbd("Enter")) : null,
          value !== undefined && same(one.value, value) ? icon("check") : null,
        );
        row.addEventListener("mousedown", (event) => event.preventDefault());
        row.addEventListener("click", () => pick(one.value));
        return row;
      }),
    );
    if (shown[marked]) input.setAttribute("aria-activedescendant", `${id}-${marked}`);
    else input.removeAttribute("aria-activedescendant");
    chosen.hidden = value === undefined;
    if (value !== undefined) chosen.replaceChildren(icon("check_circle"), el("b", {}, titleOf(value)), clearButton());
  }

  const titleOf = (one) => (control.options.find((option) => same(option.value, one)) || { title: String(one) }).title;

  function clearButton() {
    const button = el("button", { type: "button", class: "lc-x", "aria-label": "Take this answer back" }, icon("close"));
    button.addEventListener("click", () => {
      value = undefined;
      filter();
      context.changed({});
      input.focus();
    });
    return button;
  }

  function mark(at) {
    marked = (at + shown.length) % shown.length;
    [...list.children].forEach((row, index) => row.setAttribute("aria-selected", String(index === marked)));
    input.setAttribute("aria-activedescendant", `${id}-${marked}`);
    list.children[marked].scrollIntoView({ block: "nearest" });
  }

  function pick(picked) {
    value = picked;
    input.value = "";
    filter();
    list.scrollTop = 0;
    context.changed({ picked: true });
  }

  input.addEventListener("input", filter);
  input.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (shown.length) mark(Math.max(marked, event.key === "ArrowDown" ? -1 : 0) + (event.key === "ArrowDown" ? 1 : -1));
    } else if (event.key === "Enter" && shown[marked]) {
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat) pick(shown[marked].value);
    } else if (digits && /^[0-9]$/.test(event.key) && shown[(Number(event.key) + 9) % 10] && !shown[(Number(event.key) + 9) % 10].fresh) {
      event.preventDefault();
      event.stopPropagation();
      if (!event.repeat) pick(shown[(Number(event.key) + 9) % 10].value);
    }
  });

  filter();
  return {
    control,
    element,
    get: () => value,
    set(given) {
      value = possible(control, given);
      input.value = "";
      filter();
    },
    focus: () => input.focus({ preventScroll: true }),
    startsInBox: true,
    keys: new Map(control.options.filter((option) => option.key).map((option) => [option.key, () => pick(option.value)])),
  };
}

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[_\-/.]+/g, " ").trim();

/** How well words match what was typed: 0 from the start, 1 at starts of words, 2 anywhere; Infinity not at all. */
export function rank(words, parts) {
  if (!parts.length) return 0;
  if (words.startsWith(parts.join(" "))) return 0;
  if (parts.every((part) => ` ${words}`.includes(` ${part}`))) return 1;
  return parts.every((part) => words.includes(part)) ? 2 : Infinity;
}
